"""The curves of a run: as many charts as fit, one cursor for all, any figure."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from geospot.runs.columns import Columns
from geospot.runs.watch import RunState
from geospot.tui.screens.run import RunScreen
from geospot.tui.screens.run_overview import Overview
from geospot.tui.screens.run_picker import Picker
from tests.support.run_screens import ENDS, LARGE, MIDDLE, SMALL, chart_of, going, rl_row, shown
from tests.support.screens import seen, until, until_seen


@pytest.mark.parametrize(("size", "columns"), [(SMALL, 2), (MIDDLE, 3), (LARGE, 4)])
def test_charts_fill_the_screen_and_none_is_cut(
    tmp_path: Path, size: tuple[int, int], columns: int
) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            overview = screen.query_one(Overview)
            await until(pilot, lambda: overview.grid[0] == columns)
            inside = overview.content_region
            for chart in overview.charts:
                region = chart.region
                whole = inside.contains_region(region)
                assert whole or not inside.overlaps(region)
                assert region.width >= 34
            seen_now = [c for c in overview.charts if inside.contains_region(c.region)]
            assert len(seen_now) >= min(2 * columns, len(overview.charts))

        shown(tmp_path / "run", steps, size)


def test_keys_go_to_the_first_chart_and_over_the_grid(tmp_path: Path) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            overview = screen.query_one(Overview)
            await until(pilot, lambda: screen.focused is not None)
            charts = overview.charts
            assert screen.focused is charts[0]
            await pilot.press("tab")
            assert screen.focused is charts[1]
            await pilot.press("down")
            assert screen.focused is charts[1 + overview.grid[0]]
            await pilot.press("up", "shift+tab")
            assert screen.focused is charts[0]

        shown(tmp_path / "run", steps)


def test_all_charts_have_the_same_cursor_zoom_and_smoothing(tmp_path: Path) -> None:
    with going(tmp_path / "run", steps=30, total=30):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            overview = screen.query_one(Overview)
            await until(pilot, lambda: screen.focused is not None and len(overview.charts) > 5)
            await pilot.press("left", "left", "plus", "a")
            first = overview.charts[0]
            assert (first.cursor, first.smoothing) == (28, 0.6)
            await until(
                pilot,
                lambda: all(
                    (c.cursor, c.window, c.smoothing) == (28, first.window, 0.6)
                    for c in overview.charts
                ),
            )
            assert "step 28" in chart_of(screen, "Median").render_line(0).text
            assert not overview.charts[1].log_y
            assert chart_of(screen, "Median").log_y

        shown(tmp_path / "run", steps)


@pytest.mark.parametrize("size", ENDS)
def test_one_chart_gets_all_the_room_and_gives_it_back(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            overview = screen.query_one(Overview)
            await until(pilot, lambda: screen.focused is not None)
            await pilot.press("enter")
            await pilot.pause()
            first = overview.charts[0]
            assert overview.is_large
            assert first.size.height == overview.size.height
            assert first.size.width >= size[0] - 4
            assert not overview.charts[1].display or overview.charts[1].size.height == 0
            await pilot.press("down")
            await pilot.pause()
            assert screen.focused is overview.charts[1]
            assert overview.charts[1].size.height == overview.size.height
            await pilot.press("escape")
            await pilot.pause()
            assert pilot.app.screen is screen
            assert not overview.is_large
            assert first.size.height < overview.size.height
            await pilot.press("escape")
            await pilot.pause()
            assert pilot.app.screen is not screen

        shown(tmp_path / "run", steps, size)


def test_any_figure_is_found_by_parts_of_its_name(tmp_path: Path) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            overview = screen.query_one(Overview)
            await until(pilot, lambda: screen.focused is not None)
            await pilot.press("slash")
            await pilot.pause()
            assert isinstance(pilot.app.screen, Picker)
            pilot.app.screen.query_one(Input).value = "25KM acc"
            await until(pilot, lambda: "optim/lr" not in seen(pilot.app.screen))
            assert "env/all/acc_25km" in seen(pilot.app.screen)
            await pilot.press("enter")
            await until(pilot, lambda: overview.is_large)
            await until_seen(pilot, "env/all/acc_25km")
            assert overview.added == ["env/all/acc_25km"]
            await pilot.press("escape")
            assert "env/all/acc_25km" in [
                c.render_line(0).text.strip().split("  ")[0] for c in overview.charts
            ]
            await pilot.press("slash", "escape")
            assert pilot.app.screen is screen
            overview.charts[-1].focus()
            await pilot.press("x")
            assert overview.added == []
            # One that is shown already isn't shown twice.
            await pilot.press("slash", *"entropy", "enter")
            await until(pilot, lambda: overview.is_large)
            assert overview.added == []
            assert chart_of(screen, "Entropy").has_focus

        shown(tmp_path / "run", steps)


def test_figures_that_are_no_numbers_are_counted_and_keys_may_be_anything(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder, steps=0) as run:
        for step in range(8):
            row = rl_row(step) | {
                "evil\x1b[31m[/b]\u202e": 1.0,
                "geo/geoscore": 1e300 if step == 3 else 5,
            }
            run.metrics(step, row | ({"geo/median_km": None} if step == 4 else {}))
        with (folder / "metrics.jsonl").open("ab") as file:
            file.write(b'not json\n{"step": 9, "env/all/reward/total": NaN}\n{"step": 7, "geo/')

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.37")
            await until(
                pilot, lambda: "1 not finite" in chart_of(screen, "GeoScore").render_line(0).text
            )
            await pilot.press("slash", *"evil")
            text = await until_seen(pilot, "evil\\x1b[31m[/b]\\u202e")
            assert "\x1b" not in text
            await pilot.press("enter")
            await until_seen(pilot, "evil\\x1b[31m[/b]\\u202e")

        shown(folder, steps)


def test_charts_of_a_long_run_are_drawn_a_few_at_a_time_and_none_waits_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """News that come faster than all charts are drawn would else always begin with the first ones."""
    keys = [f"figure/{n}" for n in range(6)]
    due: list[Callable[[], None]] = []

    def set_timer(_delay_s: float, callback: Callable[[], None]) -> object:
        due.append(callback)
        return callback

    def long(steps: int) -> RunState:
        figures = {key: np.ones(steps, np.float32) for key in keys}
        return RunState(tmp_path, columns=Columns(np.arange(steps), figures), revision=steps)

    async def steps(_pilot: Pilot[None], screen: RunScreen) -> None:
        overview = screen.query_one(Overview)

        def lengths() -> list[int]:
            return [len(chart.series[0]) for chart in overview.charts]

        overview.added += keys
        overview.show(long(10))
        assert lengths() == [10] * 6
        monkeypatch.setattr(overview, "set_timer", set_timer)
        newest = [0] * 6
        for news in range(1, 6):
            before = lengths()
            overview.show(long(600_000 + news))
            due.pop()()  # once between two news
            assert 0 < sum(new != old for new, old in zip(lengths(), before, strict=True)) <= 4
            newest = [max(pair) for pair in zip(newest, lengths(), strict=True)]
        assert min(newest) > 10
        while due:
            due.pop()()
        assert lengths() == [600_005] * 6

    folder = tmp_path / "run"
    folder.mkdir()
    shown(folder, steps)
