"""What a person sees of a run in training: a live summary on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from geospot.speech import Meter, Speaker

_PLAIN_EVERY_S: Final = 10.0
_RATE_WINDOW_S: Final = 120.0
_COLUMNS: Final = 3

Shown = Mapping[str, str]
"""Figures as they are shown: a short name and a value with its unit."""
Forms = Mapping[str, tuple[str, str]]
"""Which figures are shown: key → short name, and format with its unit."""
Draw = Callable[[int, Shown], None]
"""Is told the number of steps done, and what to show of them."""


def shown(figures: Mapping[str, float], forms: Forms) -> Shown:
    """Those of the figures that there is a form for, in the order of the forms."""
    return {
        short: form.format(figures[key]) for key, (short, form) in forms.items() if key in figures
    }


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


class TerminalRunView(Speaker):
    """A bar and the newest figures on a terminal; a line now and then where there is none."""

    @contextmanager
    def live(self, start: int, total: int) -> Generator[Draw]:
        """A live panel, or a line every ten seconds and at the end."""
        meter = Meter(start, total, _RATE_WINDOW_S)
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False, transient=True) as panel:

                def draw(done: int, shown: Shown) -> None:
                    meter.update(done)
                    panel.update(_panel(meter, shown), refresh=True)

                draw(start, {})
                yield draw
            return
        spoken_s = 0.0

        def speak(done: int, shown: Shown) -> None:
            nonlocal spoken_s
            meter.update(done)
            if time.monotonic() - spoken_s >= _PLAIN_EVERY_S or done == total:
                spoken_s = time.monotonic()
                self.say(_line(meter, shown))

        yield speak


def _pace(meter: Meter) -> str:
    speed = f"  {1 / meter.per_s:.2f} s/step" if meter.per_s else ""
    return f"step {meter.done}/{meter.total}{speed}  left {meter.left}"


def _line(meter: Meter, shown: Shown) -> str:
    return "  ".join([_pace(meter), *(f"{name} {value}" for name, value in shown.items())])


def _panel(meter: Meter, shown: Shown) -> RenderableType:
    """The bar, and below it the figures in columns that fit 80 characters."""
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(meter.total, 1), completed=meter.done, width=24)
    head.add_row(bar, Text(_pace(meter)))
    grid = Table.grid(padding=(0, 3))
    cells = [Text(f"{name} {value}") for name, value in shown.items()]
    for first in range(0, len(cells), _COLUMNS):
        grid.add_row(*cells[first : first + _COLUMNS])
    return Group(head, grid)
