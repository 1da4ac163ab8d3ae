"""What a person sees of a run in training: a live summary on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_PLAIN_EVERY_S: Final = 10.0
_RATE_WINDOW_S: Final = 120.0
_COLUMNS: Final = 3

Shown = Mapping[str, str]
"""Figures as they are shown: a short name and a value with its unit."""
Draw = Callable[[int, Shown], None]
"""Is told the number of steps done, and what to show of them."""


class RunView(Protocol):
    """Where a training run says what it is doing."""

    def say(self, message: str) -> None:
        """One sentence that stays."""
        ...

    def warn(self, message: str) -> None:
        """One sentence that must not be overlooked."""
        ...

    @contextmanager
    def live(self, start: int, total: int) -> Generator[Draw]:
        """Shows progress from step `start` to `total` while the block runs."""
        ...


class SilentView:
    """Says nothing; what matters stands in the run directory too."""

    def say(self, message: str) -> None:
        """Says nothing."""

    def warn(self, message: str) -> None:
        """Says nothing."""

    @contextmanager
    def live(self, start: int, total: int) -> Generator[Draw]:
        """Shows nothing."""
        del start, total
        yield lambda _done, _shown: None


class TerminalRunView:
    """A bar and the newest figures on a terminal; a line now and then where there is none."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False)

    def say(self, message: str) -> None:
        """One plain sentence."""
        self._print(Text(message))

    def warn(self, message: str) -> None:
        """A sentence that starts with a word, not only with a colour."""
        self._print(Text(f"Warning: {message}", style="bold yellow"))

    def _print(self, text: Text) -> None:
        """Broken between words on a terminal; one line elsewhere, for whoever reads lines."""
        self.console.print(text, soft_wrap=not self.console.is_terminal)

    @contextmanager
    def live(self, start: int, total: int) -> Generator[Draw]:
        """A live panel, or a line every ten seconds and at the end."""
        pace = Pace(start, total)
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False, transient=True) as panel:

                def draw(done: int, shown: Shown) -> None:
                    pace.update(done)
                    panel.update(_panel(pace, shown), refresh=True)

                draw(start, {})
                yield draw
            return
        spoken_s = 0.0

        def speak(done: int, shown: Shown) -> None:
            nonlocal spoken_s
            pace.update(done)
            if time.monotonic() - spoken_s >= _PLAIN_EVERY_S or done == total:
                spoken_s = time.monotonic()
                self.say(_line(pace, shown))

        yield speak


class Pace:
    """How fast steps go by, over the last minutes, and how long the rest will take."""

    def __init__(self, start: int, total: int) -> None:
        self.total = total
        self._marks: list[tuple[float, int]] = [(time.monotonic(), start)]

    @property
    def done(self) -> int:
        """Steps done."""
        return self._marks[-1][1]

    def update(self, done: int) -> None:
        """Takes a reading."""
        now_s = time.monotonic()
        self._marks.append((now_s, done))
        while len(self._marks) > 2 and now_s - self._marks[0][0] > _RATE_WINDOW_S:
            self._marks.pop(0)

    @property
    def seconds_a_step(self) -> float | None:
        """None before the first step."""
        (began_s, before), (now_s, after) = self._marks[0], self._marks[-1]
        return (now_s - began_s) / (after - before) if after > before else None

    @property
    def left(self) -> str:
        """The time left as h:mm:ss, `?` while nothing is known."""
        each_s = self.seconds_a_step
        if each_s is None:
            return "?"
        seconds = round(each_s * (self.total - self.done))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

    def __str__(self) -> str:
        each_s = self.seconds_a_step
        speed = "" if each_s is None else f"  {each_s:.2f} s/step"
        return f"step {self.done}/{self.total}{speed}  left {self.left}"


def _line(pace: Pace, shown: Shown) -> str:
    return "  ".join([str(pace), *(f"{name} {value}" for name, value in shown.items())])


def _panel(pace: Pace, shown: Shown) -> RenderableType:
    """The bar, and below it the figures in columns that fit 80 characters."""
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(pace.total, 1), completed=pace.done, width=24)
    head.add_row(bar, Text(str(pace)))
    grid = Table.grid(padding=(0, 3))
    cells = [Text(f"{name} {value}") for name, value in shown.items()]
    for first in range(0, len(cells), _COLUMNS):
        grid.add_row(*cells[first : first + _COLUMNS])
    return Group(head, grid)
