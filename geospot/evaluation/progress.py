"""What a person sees while a run goes on: a live line in a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from geospot.evaluation.harness import Stats
from geospot.evaluation.limiter import Gauge
from geospot.evaluation.report import dollars
from geospot.outcomes import Outcome
from geospot.speech import Meter, Speaker

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


class TerminalView(Speaker):
    """A live display on a terminal; plain lines now and then where standard error is none."""

    @contextmanager
    def live(self, stats: Stats, limiter: Gauge) -> Generator[Callable[[], None]]:
        """A live panel, or a line every quarter of a minute."""
        meter = Meter(stats.done, stats.total, _RATE_WINDOW_S)
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False, transient=True) as panel:

                def draw() -> None:
                    meter.update(stats.done)
                    panel.update(_panel(stats, limiter, meter), refresh=True)

                draw()
                yield draw
            return
        spoken = time.monotonic()

        def speak() -> None:
            nonlocal spoken
            meter.update(stats.done)
            if time.monotonic() - spoken >= _PLAIN_EVERY_S:
                spoken = time.monotonic()
                self.say(_line(stats, limiter, meter))

        yield speak
        meter.update(stats.done)
        self.say(_line(stats, limiter, meter))


def _pace(meter: Meter) -> str:
    return f"{meter.done}/{meter.total}  {meter.per_s:.1f}/s  left {meter.left}"


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
    return "  ".join([_pace(meter), _figures(stats, limiter), *_troubles(stats, limiter)])


def _panel(stats: Stats, limiter: Gauge, meter: Meter) -> RenderableType:
    """Lines that fit 80 columns; troubles come below, so that the figures stand still."""
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(stats.total, 1), completed=stats.done, width=24)
    head.add_row(bar, Text(_pace(meter)))
    troubles = [Text(text) for text in _troubles(stats, limiter)]
    return Group(head, Text(_figures(stats, limiter)), *troubles)
