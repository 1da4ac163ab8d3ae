"""What a person sees: every figure, within 80 columns, and plain lines where there is no terminal."""

import io
import time
from collections import Counter

import pytest
from rich.console import Console

from geospot.evaluation.harness import Stats
from geospot.evaluation.limiter import AdaptiveLimiter
from geospot.evaluation.progress import TerminalView
from geospot.speech import Meter


def busy() -> Stats:
    outcomes = Counter(ok=700, refusal=20, unparsed=30, transport_error=5)
    return Stats(
        total=210_122,
        outcomes=outcomes,
        faults=Counter({"429": 12, "timeout": 3}),
        geoscore_sum=755 * 3000.0,
        spent_usd=12.345,
    )


@pytest.mark.parametrize("width", [80, 200])
def test_the_live_display_shows_every_figure_in_whole_words(width: int) -> None:
    out = io.StringIO()
    view = TerminalView(Console(file=out, force_terminal=True, width=width, color_system=None))
    with view.live(busy(), AdaptiveLimiter(64)) as draw:
        draw()
    shown = out.getvalue()
    for figure in (
        *("755/210122", "GeoScore 3000", "coverage 92.7%", "under way 0 of 8", "$12.35"),
        *("refusal 20", "unparsed 30", "transport_error 5", "429 ×12", "timeout ×3", "left "),
    ):
        assert figure in shown
    assert max(len(line) for line in shown.splitlines() if "\x1b" not in line) <= width


def test_without_a_terminal_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    stats = busy()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with TerminalView(Console(file=out)).live(stats, AdaptiveLimiter(64)) as draw:
        draw()
        assert out.getvalue() == ""
        now += 16.0
        draw()
        assert out.getvalue().count("755/210122") == 1
    assert out.getvalue().count("755/210122") == 2
    assert "\x1b" not in out.getvalue()


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    meter = Meter(0, 1000, window_s=20.0)
    assert meter.left == "?"
    now += 10.0
    meter.update(100)
    assert meter.per_s == 10.0
    assert meter.left == "0:01:30"


def test_only_the_last_readings_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    meter = Meter(0, 10_000, window_s=20.0)
    for done in (1000, 1010, 1020, 1030):  # the first thousand came from the disk
        now += 10.0
        meter.update(done)
    assert meter.per_s == 1.0
    assert meter.left == "2:29:30"
