"""The chart: what is drawn, every key, the mouse, hostile values."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from geospot.tui.inks import DARK
from geospot.tui.scales import Scale, without_outliers
from geospot.tui.widgets.chart import SMOOTHING, Chart
from geospot.tui.widgets.series import Series
from tests.support.approx import approx

SMALL, MIDDLE, LARGE = (40, 9), (80, 20), (200, 50)


class Host(App[None]):
    """A chart and nothing else; it notes what the chart tells."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[object] = []

    def compose(self) -> ComposeResult:
        yield Chart("Reward")

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.theme = DARK.name
        self.query_one(Chart).focus()

    def on_chart_cursor_moved(self, event: Chart.CursorMoved) -> None:
        self.told.append(event.x)

    def on_chart_view_changed(self, event: Chart.ViewChanged) -> None:
        self.told.append(event.chart.window)


Steps = Callable[[Pilot[None], Chart], Awaitable[None]]


def charted(
    steps: Steps, *series: Series, size: tuple[int, int] = MIDDLE, **shown: Any
) -> Sequence[object]:
    """Shows the series, does the steps, and gives what the chart has told."""
    host = Host()

    async def main() -> None:
        async with host.run_test(size=size) as pilot:
            chart = host.query_one(Chart)
            chart.show(series, **shown)
            await pilot.pause()
            await steps(pilot, chart)

    asyncio.run(main())
    return host.told


def painted(chart: Chart) -> str:
    return "\n".join(chart.render_line(y).text for y in range(chart.size.height))


def rising(count: int = 100, name: str = "a") -> Series:
    return Series(name, np.arange(count), np.linspace(0, 1, count))


@pytest.mark.parametrize("width", range(24, 60, 5))
def test_a_number_is_never_cut_off(width: int) -> None:
    """It would be another one: 2.8 for 2.8e-13."""

    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        for keys in ([], ["left"]):
            await pilot.press(*keys)
            head = chart.render_line(0).text.rstrip()
            assert head.endswith("e-13")
            assert head.startswith(" KL sam")

    values = 2.8234e-13 * np.linspace(1, 2, 12)
    charted(
        steps, Series("kl", np.arange(12), values), size=(width, 9), title="KL sampler to trainer"
    )


@pytest.mark.parametrize("width", range(24, 80, 9))
def test_numbers_of_several_curves_do_not_run_into_one_another(width: int) -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("left")
        entries = painted(chart).split("\n")[1:3]
        found = [word for line in entries for word in line.split() if "e-1" in word]
        assert len(found) == 2
        assert all(word.endswith("e-13") for word in found)

    values = -2.8234e-13 * np.linspace(1, 2, 12)
    one, two = (Series(name, np.arange(12), values) for name in ("start", "base"))
    charted(steps, one, two, size=(width, 12), title="KL")


def dots(text: str) -> int:
    """Cells that hold braille dots."""
    return sum("\u2801" <= character <= "\u28ff" for character in text)


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE])
def test_a_rising_curve_goes_from_the_lower_left_to_the_upper_right(size: tuple[int, int]) -> None:
    async def steps(_pilot: Pilot[None], chart: Chart) -> None:
        rows = painted(chart).split("\n")
        curve = [row for row in rows if dots(row)]
        assert all(len(row) == size[0] for row in rows)
        lefts = [min(x for x, c in enumerate(row) if dots(c)) for row in curve]
        assert lefts == sorted(lefts, reverse=True)
        assert len(curve) > size[1] // 2
        assert rows[0].startswith(" Reward ")
        assert rows[0].rstrip().endswith("1")
        assert "step" in rows[-1]
        axis = [row[:6].strip() for row in rows[1:-1] if row[:6].strip()]
        assert axis[0] == "1"
        assert axis[-1] == "0"

    charted(steps, rising(), size=size)


def test_the_cursor_goes_by_points_and_reads_the_value() -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("left")
        assert chart.cursor == 99
        await pilot.press("left", "left")
        assert chart.cursor == 97
        text = painted(chart)
        assert "step 97" in text
        assert "0.9798" in text
        assert "▲" in text.split("\n")[-1]
        await pilot.press("right")
        assert chart.cursor == 98
        await pilot.press("shift+left")
        assert chart.cursor == 93
        await pilot.press("home")
        assert chart.cursor == 0
        await pilot.press("left")
        assert chart.cursor == 0
        await pilot.press("shift+right")
        assert chart.cursor == 5
        await pilot.press("end")
        assert chart.cursor == 99

    told = charted(steps, rising())
    assert told == [99, 98, 97, 98, 93, 0, 5, 99]


def test_the_cursors_column_is_marked_without_hiding_the_curve() -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        before = painted(chart).split("\n")
        await pilot.press("home", "right")
        after = painted(chart).split("\n")
        x = after[-1].index("▲")
        curve = range(1, len(before) - 1)
        assert [after[y][x] for y in curve] == [before[y][x] for y in curve]
        inside = [chart.render_line(y).crop(x, x + 1) for y in curve]
        outside = [chart.render_line(y).crop(x + 3, x + 4) for y in curve]
        papers = {segment.style.bgcolor for strip in inside for segment in strip if segment.style}
        others = {segment.style.bgcolor for strip in outside for segment in strip if segment.style}
        assert len(papers) == 1
        assert papers != others

    charted(steps, rising())


def test_without_colour_the_cursor_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("home")
        assert painted(chart).count("┊") > 5

    charted(steps, rising())


def test_zoom_is_around_the_cursor_and_stays_when_data_grows() -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("home", *["right"] * 40, "plus", "plus")
        low, high = chart.seen
        assert low <= 40 <= high
        assert high - low == approx(99 / 4)
        assert "zoomed" in painted(chart)
        chart.show([rising(200)])
        await pilot.pause()
        assert chart.seen == (low, high)
        await pilot.press("right_square_bracket")
        assert chart.seen[0] > low
        await pilot.press("left_square_bracket")
        assert chart.seen == (low, high)
        await pilot.press("minus")
        assert chart.seen[1] - chart.seen[0] == approx(99 / 2)
        await pilot.press("0")
        assert chart.window is None
        assert chart.seen == (0, 199)
        assert chart.cursor is None

    charted(steps, rising())


def test_a_window_at_the_newest_point_goes_on_with_it() -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("plus")
        assert chart.seen == (49.5, 99)
        chart.show([rising(150)])
        assert chart.seen == (99.5, 149)

    charted(steps, rising())


def test_the_cursor_takes_the_window_along() -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("end", "plus", "plus", "plus", "home")
        assert chart.cursor == 0
        assert chart.seen[0] == 0

    charted(steps, rising())


def test_nothing_zooms_below_two_points() -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("home", *["plus"] * 40)
        low, high = chart.seen
        assert high - low >= 1

    charted(steps, rising(5))


def test_smoothing_goes_through_its_strengths_and_keeps_the_raw_line() -> None:
    noisy = Series("a", np.arange(200), np.random.default_rng(0).normal(size=200))

    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        raw = painted(chart)
        found: list[float] = []
        for _ in SMOOTHING:
            await pilot.press("a")
            found.append(chart.smoothing)
        assert found == [*SMOOTHING[1:], 0.0]
        assert painted(chart) == raw
        await pilot.press("a", "a")
        smoothed = painted(chart)
        assert "smoothed 0.9" in smoothed
        colours = {
            segment.style.color.name
            for y in range(1, chart.size.height - 1)
            for segment in chart.render_line(y)
            if dots(segment.text) and segment.style and segment.style.color
        }
        assert len(colours) == 2

    charted(steps, noisy)


def test_a_log_axis_says_what_it_leaves_out_and_stays_as_it_was_chosen() -> None:
    y = np.array([0.0, -1.0, 1.0, 10.0, 100.0, 1000.0])
    series = Series("a", np.arange(6), y)

    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        assert "≤ 0" not in painted(chart)
        await pilot.press("y")
        text = painted(chart)
        assert "2 ≤ 0 left out" in text
        assert "log" in text
        chart.show([series], log_y=False)
        assert chart.log_y
        await pilot.press("y")
        chart.show([series], log_y=True)
        assert not chart.log_y

    charted(steps, series)


def test_a_log_axis_without_anything_to_show_says_so() -> None:
    async def steps(_pilot: Pilot[None], chart: Chart) -> None:
        assert "no value above 0: press y" in painted(chart)

    charted(steps, Series("a", np.arange(3), np.array([0.0, -1.0, -2.0])), log_y=True)


def test_what_is_not_finite_is_counted_and_leaves_a_gap() -> None:
    y = np.ones(40)
    y[10:20] = np.nan
    y[30] = np.inf

    async def steps(_pilot: Pilot[None], chart: Chart) -> None:
        text = painted(chart)
        assert "11 not finite" in text
        line = max(text.split("\n")[1:-1], key=dots)
        assert line.strip("\u2800 ").count("   ") >= 1

    charted(steps, Series("a", np.arange(40), y))


@pytest.mark.parametrize(
    "y",
    [[], [np.nan], [np.inf, -np.inf], [0.5], [1e38, -1e38], [1e-100, 1e100], [3.0, 3.0, 3.0]],
    ids=str,
)
@pytest.mark.parametrize("log", [False, True])
def test_strange_values_are_drawn_or_said(y: list[float], log: bool) -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        keys = "left right plus minus a y home end 0 left_square_bracket shift+left"
        await pilot.press(*keys.split())
        text = painted(chart)
        assert dots(text) or "no value" in text or "no finite" in text

    charted(steps, Series("a", np.arange(len(y)), np.array(y, np.float64)), log_y=log)


def test_one_point_is_large_enough_to_be_seen() -> None:
    async def steps(_pilot: Pilot[None], chart: Chart) -> None:
        marks = [c for c in painted(chart) if dots(c)]
        assert sum((ord(mark) - 0x2800).bit_count() for mark in marks) == 4

    charted(steps, Series("a", np.array([7]), np.array([0.5])))


def test_rounding_is_not_drawn_as_noise() -> None:
    y = 2000 + np.random.default_rng(0).normal(size=100) * 1e-9

    async def steps(_pilot: Pilot[None], chart: Chart) -> None:
        assert sum(dots(row) > 0 for row in painted(chart).split("\n")) == 1

    charted(steps, Series("a", np.arange(100), y))


def test_several_curves_differ_by_letter_pattern_and_colour() -> None:
    several = [Series(f"run {n}", np.arange(100), np.full(100, float(n))) for n in range(3)]

    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("left")
        text = painted(chart)
        for letter, name, value in (("A", "run 0", "0"), ("B", "run 1", "1"), ("C", "run 2", "2")):
            assert f"{name} {value}" in text
            assert any(letter in row[-3:] for row in text.split("\n")[2:])
        lines = [row for row in text.split("\n")[2:-1] if dots(row) > 10]
        assert len({tuple(c for c in row[10:60]) for row in lines}) == 3
        inks = {
            segment.style.color.name
            for y in range(2, chart.size.height - 1)
            for segment in chart.render_line(y)
            if dots(segment.text) and segment.style and segment.style.color
        }
        assert len(inks) == 3

    charted(steps, *several)


def test_more_curves_than_fit_are_counted() -> None:
    many = [Series(f"a rather long name {n}", np.arange(9), np.ones(9) * n) for n in range(26)]

    async def steps(_pilot: Pilot[None], chart: Chart) -> None:
        first = painted(chart).split("\n")
        assert any("+2" in row for row in first[:6])
        assert sum(dots(row) for row in first[4:]) > 10

    charted(steps, *many, size=(60, 12))


def test_the_curves_stay_where_they_are_while_the_cursor_moves() -> None:
    several = [Series(f"run {n}", np.arange(50), np.linspace(n, 12345.678, 50)) for n in range(4)]

    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        tops: set[int] = set()
        for _ in range(20):
            await pilot.press("left")
            tops.add(chart._drawn().box.top)  # pyright: ignore[reportPrivateUsage]
        assert len(tops) == 1

    charted(steps, *several)


def test_values_of_curves_with_other_steps_are_read_beside() -> None:
    dense = rising(100, "dense")
    sparse = Series("sparse", np.array([0, 50, 99]), np.array([1.0, 2.0, 3.0]))

    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("home", *["right"] * 3)
        near = sparse.read(3)
        assert near is not None
        assert (near.x, near.value, near.is_exact) == (0, 1.0, False)
        assert "sparse ≈1" in painted(chart)
        chart.set_cursor(None)
        await pilot.press("end", "left")
        assert chart.cursor == 98

    charted(steps, dense, sparse)


def test_a_band_is_behind_its_curve() -> None:
    x = np.arange(60)
    banded = Series("a", x, np.full(60, 5.0), np.full(60, 4.0), np.full(60, 6.0))

    async def steps(_pilot: Pilot[None], chart: Chart) -> None:
        papers = [
            {segment.style.bgcolor for segment in chart.render_line(y) if segment.style}
            for y in range(2, chart.size.height - 1)
        ]
        assert len(papers[0]) == 1
        assert len(papers[len(papers) // 2]) == 2
        assert len(papers[-1]) == 1

    charted(steps, banded, Series("b", x, np.linspace(0, 10, 60)))


def test_titles_and_names_are_hostile() -> None:
    name = "\x1b[31m[bold]rm -rf\u202e\n" + "x" * 300

    async def steps(_pilot: Pilot[None], chart: Chart) -> None:
        text = painted(chart)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\\x1b[31m[bold]rm" in text

    series = [Series(name, np.arange(5), np.ones(5)), Series("b", np.arange(5), np.zeros(5))]
    charted(steps, *series, title=name)


def test_the_mouse_reads_and_the_wheel_zooms() -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.hover(chart, offset=(40, 8))
        middle = chart.cursor
        assert middle is not None
        assert 35 < middle < 60
        await pilot.hover(chart, offset=(2, 8))
        assert chart.cursor == middle
        await pilot._post_mouse_events(  # pyright: ignore[reportPrivateUsage]
            [_wheel()], chart, offset=(40, 8)
        )
        assert chart.window is not None
        assert chart.seen[0] < middle < chart.seen[1]

    def _wheel() -> Any:
        from textual.events import MouseScrollUp

        return MouseScrollUp

    charted(steps, rising())


def test_x_is_written_as_its_kind() -> None:
    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("left")
        assert "time <99.0>" in painted(chart)
        assert "time" in painted(chart).split("\n")[-1]

    charted(steps, rising(), x_label="time", x_text="<{:.1f}>".format)


def test_a_million_points_with_a_cursor_on_them() -> None:
    count = 1_000_000
    y = np.random.default_rng(0).normal(size=count).astype(np.float32).cumsum()

    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        await pilot.press("left", "a", "a", "plus", "plus")
        assert chart.cursor == count - 1
        assert f"step {count - 1:,}" in painted(chart)
        assert sum(dots(row) > 0 for row in painted(chart).split("\n")) > 10

    charted(steps, Series("a", np.arange(count), y))


def test_a_count_that_has_been_nothing_so_far_is_not_drawn_around_nothing() -> None:
    scale = Scale.over(np.zeros(9), 40)
    assert -0.1 < scale.low < 0
    assert scale.high == 1
    assert min(scale.ticks(5)) == 0


def test_a_spike_need_not_flatten_what_one_looks_at() -> None:
    """The axis is that of what is in sight, and on demand that of all but a few values of it."""
    values = 2 + 0.5 * np.sin(np.arange(200) / 9)
    values[0], values[120] = 900.0, -700.0

    async def steps(pilot: Pilot[None], chart: Chart) -> None:
        assert "500" in painted(chart)
        flat = rows_with_dots(chart)
        await pilot.press("v")
        text = painted(chart)
        assert "without outliers" in text
        assert "2.2" in text
        assert "500" not in text
        assert rows_with_dots(chart) > 2 * flat
        await pilot.press("y")
        assert "without outliers" in painted(chart)
        await pilot.press("y", "v")
        assert "without outliers" not in painted(chart)
        assert rows_with_dots(chart) == flat

    charted(steps, Series("a", np.arange(200), values))


def rows_with_dots(chart: Chart) -> int:
    """Rows in which the curve is more than the line of a spike that passes through."""
    return sum(dots(row) > 4 for row in painted(chart).split("\n"))


@pytest.mark.parametrize("log", [False, True])
def test_values_without_outliers_are_all_values_where_there_are_none(log: bool) -> None:
    even = np.linspace(1.0, 2.0, 60)
    assert without_outliers(even, log=log).tolist() == even.tolist()
    assert without_outliers(np.append(even, [1e9, 1e-9]), log=log).tolist() == even.tolist()
    assert without_outliers(np.full(5, 3.0), log=log).tolist() == [3.0] * 5
    assert not len(without_outliers(np.empty(0), log=log))
