"""Histograms over steps: their rows and columns, the heat map's keys and mouse, the step beside it."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.pilot import Pilot

from geospot.runs.histograms import DISTANCE_EDGES_KM, REWARD_EDGES, Quantity, declaration, spread
from geospot.runs.spreads import SpreadsBuilder
from geospot.tui.inks import DARK
from geospot.tui.widgets.bins import bin_steps, rows_of, step_counts
from geospot.tui.widgets.heatmap import GUTTER, HEAD, HeatMap
from geospot.tui.widgets.histogram import StepHistogram
from tests.support.screens import type_ahead, until

FAILED_KM = 20015.087


def row(step: int, rewards: Sequence[float], km: Sequence[float]) -> dict[str, Any]:
    """A row of histograms.jsonl, made by what writes it."""
    parts = {}
    for name, values, edges in (
        ("reward", rewards, REWARD_EDGES),
        ("distance_km", km, DISTANCE_EDGES_KM),
    ):
        one = spread(np.array(values), edges)
        parts[name] = {"counts": one.counts, "quantiles": one.quantiles, "mean": one.mean}
    groups = {"frac_mixed": 0.75, "frac_all_good": 0.0, "frac_all_bad": 0.25}
    return {"step": step, "n": len(rewards), "groups": groups, **parts}


def built(rows: Sequence[dict[str, Any]]) -> SpreadsBuilder:
    builder = SpreadsBuilder()
    builder.add([declaration(), *rows])
    return builder


@functools.cache
def many(steps: int) -> SpreadsBuilder:
    """Each step has three answers: one that rises with the steps, one of 0.5, a failure."""
    rows = [
        row(step, [step / max(steps - 1, 1), 0.5, -0.1], [10.0, 600.0, FAILED_KM])
        for step in range(steps)
    ]
    return built(rows)


@pytest.mark.parametrize("most", [3, 7, 12, 22, 60])
@pytest.mark.parametrize("quantity", ["reward", "distance_km"])
def test_rows_hold_every_bin_once_with_failures_last(quantity: Quantity, most: int) -> None:
    spreads = many(4).spreads(quantity)
    rows = rows_of(spreads, quantity, most)
    assert len(rows) <= most
    assert rows[-1].label == "failed"
    bins = sorted(b for one in rows for b in range(one.start, one.end))
    unused = [0, len(spreads.edges)]
    assert [b for b in range(len(spreads.edges) + 1) if b not in bins] == [
        b for b in unused if b not in range(rows[-1].start, rows[-1].end)
    ]
    counts = step_counts(spreads, rows, 0)
    assert counts is not None
    assert counts.sum() == 3


def test_the_best_is_above_for_rewards_and_for_distances() -> None:
    builder = many(3)
    rewards = rows_of(builder.spreads("reward"), "reward", 42)
    km = rows_of(builder.spreads("distance_km"), "distance_km", 42)
    assert (rewards[0].low, rewards[-2].low) == (0.975, 0.0)
    assert (km[0].high, km[-2].high) == (1.0, 20015.0)
    assert rewards[0].query == "reward>=0.975 reward<=1"
    assert rewards[-1].query == "reward<0"
    assert km[1].query == "km>=1 km<2"
    assert km[-1].query == "km>20015"


def test_rewards_above_one_have_a_row_where_there_are_some() -> None:
    spreads = built([row(0, [1.2, 0.5], [1.0, 1.0])]).spreads("reward")
    rows = rows_of(spreads, "reward", 12)
    assert rows[0].label == ">1"
    assert rows[0].query == "reward>1"
    counts = step_counts(spreads, rows, 0)
    assert counts is not None
    assert counts[0] == 1
    assert rows_of(many(2).spreads("reward"), "reward", 12)[0].label != ">1"


def test_bins_of_another_program_claim_no_failures() -> None:
    edges = [-0.5, -0.1, 0.5, 1.0]
    builder = SpreadsBuilder()
    counts = {"counts": [0, 2, 1, 4, 3], "quantiles": [0.1] * 9, "mean": 0.2}
    builder.add([{"reward_edges": edges}, {"step": 0, "reward": counts}])
    rows = rows_of(builder.spreads("reward"), "reward", 12)
    assert [one.label for one in rows] == [">1", "0.5", "-0.1", "-0.5"]
    assert rows[-1].query == "reward>=-0.5 reward<-0.1"
    found = step_counts(builder.spreads("reward"), rows, 0)
    assert found is not None
    assert found.tolist() == [3, 4, 1, 2]


def test_columns_hold_equal_numbers_of_steps_and_missing_steps_are_empty() -> None:
    rows_ = [row(step, [0.5, 0.7], [1.0, 2.0]) for step in (*range(10), *range(40, 100))]
    spreads = built(rows_).spreads("reward")
    binned = bin_steps(spreads, rows_of(spreads, "reward", 12), 25)
    assert binned.stride == 4
    assert binned.counts_C_R.sum() == 140
    assert binned.counts_C_R.sum(axis=1).tolist()[:5] == [8, 8, 4, 0, 0]
    assert not binned.has_steps_C[4]
    assert np.isnan(binned.quantiles_C_Q[4]).all()
    assert binned.steps_of(24) == (96, 99)
    assert binned.column_of(99) == 24


def test_a_step_that_is_far_out_costs_no_memory() -> None:
    spreads = built([row(step, [0.5], [1.0]) for step in (0, 1, 10**15)]).spreads("reward")
    binned = bin_steps(spreads, rows_of(spreads, "reward", 12), 100)
    assert len(binned.counts_C_R) <= 100
    assert binned.counts_C_R.sum() == 3


def test_values_stand_where_their_rows_are() -> None:
    builder = many(2)
    cases: list[tuple[Quantity, list[float]]] = [
        ("reward", [1.0, 0.75, 0.0, -0.1]),
        ("distance_km", [0.0, 30000.0]),
    ]
    for quantity, values in cases:
        spreads = builder.spreads(quantity)
        rows = rows_of(spreads, quantity, 42)
        place = bin_steps(spreads, rows, 10).place(np.array(values))
        assert place[0] == 0
        assert place[-1] == len(rows) - 0.5
        assert np.all(np.diff(place) > 0)


class Host(App[None]):
    """A heat map with its histogram; it notes what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Sequence[int], str]] = []

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield HeatMap()
            yield StepHistogram()

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.theme = DARK.name
        self.query_one(HeatMap).focus()

    def on_heat_map_moved(self, event: HeatMap.Moved) -> None:
        heat_map = event.heat_map
        step = heat_map.step
        self.query_one(StepHistogram).show(
            heat_map.spreads, heat_map.binned.rows, step, labelled=True
        )

    def on_heat_map_opened(self, event: HeatMap.Opened) -> None:
        self.told.append((event.steps, event.row.query))


Steps = Callable[[Pilot[None], HeatMap, StepHistogram], Awaitable[None]]


def mapped(
    steps: Steps,
    builder: SpreadsBuilder,
    quantity: Quantity = "reward",
    size: tuple[int, int] = (100, 30),
) -> list[tuple[Sequence[int], str]]:
    """Shows the histograms, does the steps, gives the cells that were chosen."""
    host = Host()

    async def main() -> None:
        async with host.run_test(size=size) as pilot:
            heat_map = host.query_one(HeatMap)
            heat_map.show(builder.spreads(quantity), quantity, builder.groups())
            await pilot.pause()
            await steps(pilot, heat_map, host.query_one(StepHistogram))

    asyncio.run(main())
    return host.told


async def to_row(pilot: Pilot[None], heat_map: HeatMap, key: str) -> None:
    """To the last row or the first one, with the arrow held down."""
    rows = len(heat_map.binned.rows)
    type_ahead(pilot.app, [key] * rows)
    await until(pilot, lambda: heat_map.cursor[1] == (rows - 1 if key == "down" else 0), key)


def painted(widget: HeatMap | StepHistogram) -> list[str]:
    if isinstance(widget, HeatMap):
        return [widget.render_line(y).text for y in range(widget.size.height)]
    return [strip.text for strip in widget.render_lines(widget.size.region)]


@pytest.mark.parametrize("size", [(60, 12), (80, 24), (200, 60)])
@pytest.mark.parametrize("count", [1, 2, 30, 1000])
def test_what_is_there_is_coloured_and_what_is_not_is_not(
    size: tuple[int, int], count: int
) -> None:
    async def steps(_pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        rows = heat_map.binned.rows
        failed = HEAD + len(rows) - 1
        text = painted(heat_map)
        assert "failed" in text[failed]
        assert all(len(line) == heat_map.size.width for line in text)
        there = heat_map.render_line(failed).crop(GUTTER, GUTTER + 1)
        nothing = heat_map.render_line(HEAD + 1).crop(GUTTER, GUTTER + 1)
        papers = [next(iter(strip)).style for strip in (there, nothing)]
        assert papers[0] != papers[1]

    mapped(steps, many(count), size=size)


def test_without_colour_shades_are_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        cells = "".join(painted(heat_map)[HEAD : HEAD + 4])
        marks, shades = sum(map(cells.count, "·-=")), sum(map(cells.count, "░▒▓█"))
        assert 0 < marks < shades  # the lines leave the shades below them to be seen
        await pilot.press("n")
        text = painted(heat_map)
        failed = text[HEAD + len(heat_map.binned.rows) - 1]
        assert set(failed[GUTTER:].strip()) <= set("▒▓█◆")
        assert "◆" in "".join(text)

    mapped(steps, many(30))


def test_quantile_lines_come_and_go() -> None:
    async def steps(pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        def dots() -> int:
            cells = "".join(painted(heat_map)[HEAD : HEAD + len(heat_map.binned.rows)])
            return sum("\u2801" <= c <= "\u28ff" for c in cells)

        assert dots() > 50
        assert "10 25 50 75 90%" in painted(heat_map)[0]
        await pilot.press("n")
        assert dots() == 0
        assert "75" not in painted(heat_map)[0]

    mapped(steps, many(80))


def test_arrows_go_over_steps_and_bins_and_enter_opens_exactly_the_cell() -> None:
    async def steps(pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        assert heat_map.step == 19
        counts = heat_map.binned.counts_C_R
        assert heat_map.cursor == (len(counts) - 1, int(counts[-1].argmax()))  # the fullest cell
        await to_row(pilot, heat_map, "down")
        await pilot.press("up", "enter", "down", "enter")
        assert "failures · 1 of 3 (33.3%)" in heat_map.reading
        await pilot.press("left", "left", "enter")
        assert heat_map.step == 17
        assert heat_map.reading.startswith("step 17 · failures")
        await pilot.press("home", "enter", "up", "enter", "right", "enter")
        assert heat_map.step == 1
        await pilot.press("end")
        assert heat_map.step == 19

    told = mapped(steps, many(20), size=(100, 60))
    assert told == [
        ([], "reward>=0 reward<0.025"),
        ([19], "reward<0"),
        ([17], "reward<0"),
        ([0], "reward<0"),
        ([0], "reward>=0 reward<0.025"),
        ([], "reward>=0 reward<0.025"),
    ]


def test_a_column_of_several_steps_tells_those_that_have_something_newest_first() -> None:
    async def steps(pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        assert heat_map.binned.stride == 10
        assert "10 steps a column" in painted(heat_map)[0]
        await to_row(pilot, heat_map, "down")
        await pilot.press("home", "enter")
        await to_row(pilot, heat_map, "up")
        await pilot.press("enter")
        await pilot.press("end", "enter")

    told = mapped(steps, many(1000), size=(120, 60))
    assert told[0] == (list(range(9, -1, -1)), "reward<0")
    assert told[1] == ([], "reward>=0.975 reward<=1")
    steps_told, query = told[2]
    assert query == "reward>=0.975 reward<=1"
    assert steps_told[0] == 999
    assert set(steps_told) == {step for step in range(990, 1000) if step / 999 >= 0.975}


def test_the_newest_step_is_followed_until_another_is_chosen() -> None:
    async def steps(pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        heat_map.show(many(25).spreads("reward"), "reward", {})
        assert heat_map.step == 24
        await pilot.press("left")
        assert heat_map.step == 23
        heat_map.show(many(40).spreads("reward"), "reward", {})
        await pilot.pause()
        assert heat_map.step == 23
        await pilot.press("end")
        assert heat_map.step == 39

    mapped(steps, many(20))


def test_zoom_shows_single_steps_again() -> None:
    async def steps(pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        await pilot.press("home", "shift+right", *["plus"] * 6)
        assert heat_map.window is not None
        low, high = heat_map.window
        assert heat_map.binned.stride == 1
        assert low <= 109 <= high
        assert "zoomed" in painted(heat_map)[0]
        await pilot.press("right_square_bracket")
        assert heat_map.window[0] > low
        await pilot.press("left_square_bracket")
        assert heat_map.window == (low, high)
        await pilot.press("minus")
        width = heat_map.window[1] - heat_map.window[0] + 1
        assert width == 2 * (high - low + 1)
        await pilot.press("0")
        assert heat_map.window is None
        assert heat_map.step == 999

    mapped(steps, many(1000), size=(120, 40))


def test_the_mouse_points_and_a_click_opens() -> None:
    async def steps(pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        rows = heat_map.binned.rows
        at = (GUTTER + (heat_map.size.width - GUTTER) * 7 // 40, HEAD + len(rows) - 1)
        await pilot.hover(heat_map, offset=at)
        assert heat_map.step == 3
        assert "failures" in heat_map.reading
        await pilot.click(heat_map, offset=at)
        await pilot.click(heat_map, offset=(2, HEAD + 2))
        await pilot.click(heat_map, offset=(GUTTER + 3, 0))

    assert mapped(steps, many(20)) == [([3], "reward<0")]


def test_groups_have_a_row_each_with_their_share() -> None:
    async def steps(_pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        lines = {line[:GUTTER].strip(): line for line in painted(heat_map)}
        assert {"mixed", "all good", "all bad"} <= set(lines)
        assert "·" in lines["all good"]
        assert "█" in lines["mixed"]
        assert set(lines["all bad"][GUTTER:].strip()) <= set("▃▄▂")

    mapped(steps, many(20))


def test_the_step_stands_over_the_one_before() -> None:
    rows_ = [
        row(0, [0.1, 0.1, 0.9, -0.1], [10.0, 10.0, 10.0, FAILED_KM]),
        row(1, [0.1, 0.9, 0.9, 0.9], [10.0, 10.0, 10.0, 10.0]),
    ]

    async def steps(pilot: Pilot[None], heat_map: HeatMap, beside: StepHistogram) -> None:
        await pilot.press("down")
        text = painted(beside)
        assert "█ step 1" in text[0]
        assert "┃ step 0" in text[0]
        lines = {line[:8].strip(): line for line in text}
        best = next(line for line in text if "+2" in line)
        assert best.count("█") > 10
        assert "┃" in best
        assert " 3 " in best
        assert "-1" in lines["failed"]
        assert "┃" in lines["failed"]
        assert "mean" in "\n".join(text)
        assert "0.7" in next(line for line in text if "mean" in line)
        await pilot.press("home")
        assert "step 0" in painted(beside)[0]
        assert "┃" not in painted(beside)[0]

    mapped(steps, built(rows_))


def test_distances_have_labels_in_km() -> None:
    async def steps(_pilot: Pilot[None], heat_map: HeatMap, _beside: StepHistogram) -> None:
        text = "\n".join(line[:GUTTER] for line in painted(heat_map))
        assert "<25" in text
        assert "<20,015" in text
        assert "failed" in text
        assert "distance in km" in painted(heat_map)[0]

    mapped(steps, many(20), "distance_km", (100, 60))


def test_without_any_step_nothing_happens() -> None:
    async def steps(pilot: Pilot[None], heat_map: HeatMap, beside: StepHistogram) -> None:
        keys = "left right up down home end plus minus 0 n enter left_square_bracket"
        await pilot.press(*keys.split())
        await pilot.click(heat_map, offset=(20, 5))
        assert heat_map.reading == ""
        assert heat_map.step is None

    assert mapped(steps, built([])) == []


@pytest.mark.parametrize("width", [30, 34, 60])
def test_words_of_the_histogram_are_never_cut(width: int) -> None:
    """As beside the ridges at 80 columns, where axis, bars, numbers and words share 30 cells."""
    answers = [0.7234, 0.5, -0.1], [1234.0, 9004.0, FAILED_KM]
    builder = built([row(23_456, [0.2, 0.3, 0.4], [1.0, 2.0, 9.0]), row(23_457, *answers)])

    async def steps(pilot: Pilot[None], heat_map: HeatMap, histogram: StepHistogram) -> None:
        heat_map.styles.width, histogram.styles.width = 100 - width, width
        await pilot.pause()
        spreads = builder.spreads("distance_km")
        rows = rows_of(spreads, "distance_km", 20)
        histogram.show(spreads, rows, 23_457, " km", labelled=True)
        lines = painted(histogram)
        assert len(lines[0]) == width
        assert "step 23,457" in lines[0]
        words = [line.strip() for line in lines if line.strip().startswith(("mean", "median"))]
        assert len(words) == 2
        assert all(line.endswith(")") for line in words)

    mapped(steps, builder)


def test_without_colours_the_histogram_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    builder = many(3)

    async def steps(pilot: Pilot[None], heat_map: HeatMap, histogram: StepHistogram) -> None:
        heat_map.action_newest()
        await pilot.pause()
        strips = histogram.render_lines(histogram.size.region)
        styles = {segment.style for strip in strips for segment in strip}
        inks = {style.color.triplet for style in styles if style and style.color}
        assert all(ink is None or ink.red == ink.green == ink.blue for ink in inks)

    mapped(steps, builder)
