"""What a person sees while a run goes on: a live line in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from geospot.evaluation.harness import Stats
from geospot.evaluation.limiter import Gauge
from geospot.evaluation.report import dollars
from geospot.outcomes import Outcome

_PLAIN_EVERY_S: Final = 15.0
_RATE_WINDOW_S: Final = 20.0


class View(Protocol):
    """Where a run says what it is doing."""

    def say(self, message: str) -> None:
        """One sentence that stays."""
        ...

    def warn(self, message: str) -> None:
        """One sentence that must not be overlooked."""
        ...

    @contextmanager
    def live(self, stats: Stats, limiter: Gauge) -> Generator[Callable[[], None]]:
        """Shows the figures while the block runs; calling what it yields draws them anew."""
        ...


class Meter:
    """Answers a second over the last seconds, and the time that is left."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._marks: list[tuple[float, int]] = [(time.monotonic(), stats.done)]

    def update(self) -> None:
        """Takes a reading."""
        now = time.monotonic()
        self._marks.append((now, self._stats.done))
        while len(self._marks) > 2 and now - self._marks[0][0] > _RATE_WINDOW_S:
            self._marks.pop(0)

    @property
    def per_s(self) -> float:
        """Answers a second."""
        (began, before), (now, after) = self._marks[0], self._marks[-1]
        return (after - before) / (now - began) if now > began else 0.0

    @property
    def left(self) -> str:
        """The time left, as h:mm:ss, `?` while nothing is known."""
        if not self.per_s:
            return "?"
        seconds = int((self._stats.total - self._stats.done) / self.per_s)
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


class TerminalView:
    """A live display on a terminal; plain lines now and then where standard error is none."""

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
    def live(self, stats: Stats, limiter: Gauge) -> Generator[Callable[[], None]]:
        """A live panel, or a line every quarter of a minute."""
        meter = Meter(stats)
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False, transient=True) as panel:

                def draw() -> None:
                    meter.update()
                    panel.update(_panel(stats, limiter, meter), refresh=True)

                draw()
                yield draw
            return
        spoken = time.monotonic()

        def speak() -> None:
            nonlocal spoken
            meter.update()
            if time.monotonic() - spoken >= _PLAIN_EVERY_S:
                spoken = time.monotonic()
                self.say(_line(stats, limiter, meter))

        yield speak
        meter.update()
        self.say(_line(stats, limiter, meter))


def _pace(stats: Stats, meter: Meter) -> str:
    return f"{stats.done}/{stats.total}  {meter.per_s:.1f}/s  left {meter.left}"


def _figures(stats: Stats, limiter: Gauge) -> str:
    done = max(stats.done, 1)
    figures = [
        f"GeoScore {stats.geoscore_sum / done:.0f}",
        f"coverage {stats.outcomes[Outcome.OK] / done:.1%}",
        f"under way {limiter.in_flight} of {int(limiter.window)}",
    ]
    if stats.spent_usd:
        figures.append(dollars(stats.spent_usd))
    return "  ".join(figures)


def _troubles(stats: Stats, limiter: Gauge) -> list[str]:
    """Failures, retries and what is waited for; nothing where all is well."""
    outcomes = [f"{name} {n}" for name, n in sorted(stats.outcomes.items()) if name != "ok"]
    retries = [f"{name} ×{n}" for name, n in sorted(stats.faults.items())]
    troubles = ["failures: " + ", ".join(outcomes)] if outcomes else []
    troubles += ["retried: " + ", ".join(retries)] if retries else []
    if stats.waiting_for:
        troubles.append(stats.waiting_for)
    elif limiter.paused_s > 0.0:
        troubles.append(f"waiting {limiter.paused_s:.0f} s as the server asked")
    return troubles


def _line(stats: Stats, limiter: Gauge, meter: Meter) -> str:
    return "  ".join([_pace(stats, meter), _figures(stats, limiter), *_troubles(stats, limiter)])


def _panel(stats: Stats, limiter: Gauge, meter: Meter) -> RenderableType:
    """Lines that fit 80 columns; troubles come below, so that the figures stand still."""
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(stats.total, 1), completed=stats.done, width=24)
    head.add_row(bar, Text(_pace(stats, meter)))
    troubles = [Text(text) for text in _troubles(stats, limiter)]
    return Group(head, Text(_figures(stats, limiter)), *troubles)
