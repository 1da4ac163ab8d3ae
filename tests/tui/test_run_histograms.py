"""The histograms of a run: heat map, ridges, and the rollouts that they open."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.tui.app import GeospotApp
from geospot.tui.screens.run import RunScreen
from geospot.tui.screens.run_histograms import Histograms
from geospot.tui.widgets.heatmap import GUTTER, HEAD
from geospot.tui.widgets.histogram import StepHistogram
from geospot.tui.widgets.ridgeline import Ridgeline
from tests.support.rollouts import rollout, step_rollouts
from tests.support.run_screens import ENDS, SMALL, calls_of, do_step, going, shown
from tests.support.screens import seen, type_ahead, until, until_seen
from tests.support.written_runs import write_run

RECORDINGS = Path(__file__).parents[1] / "recordings"
TO_THE_LAST_ROW = ["down"] * 60
"""More than any screen here has."""


@pytest.mark.parametrize("size", ENDS)
def test_a_cell_of_the_heat_map_opens_exactly_its_rollouts(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = tmp_path / "run"
    with going(folder):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            await pilot.press("h")
            view = screen.query_one(Histograms)
            assert view.heat_map.has_focus
            type_ahead(pilot.app, TO_THE_LAST_ROW)
            await until_seen(pilot, "step 5 · failures · 1 of 4 (25.0%)", "⏎ opens step 5")
            await pilot.press("enter")
            type_ahead(pilot.app, ["left", "enter", "t", *TO_THE_LAST_ROW, "enter"])
            await until(pilot, lambda: len(opened) == 3, "the third cell")
            assert view.quantity == "distance_km"
            await pilot.press("r")
            assert "distance in km" in seen(screen)

        shown(folder, steps, size)
    assert opened == [
        ("open_rollouts", folder, 5, "reward<0", ()),
        ("open_rollouts", folder, 4, "reward<0", ()),
        ("open_rollouts", folder, 4, "km>20015", ()),
        ("open_rollouts", folder, 4),
    ]


def test_of_a_column_of_several_steps_those_on_record_are_opened_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = tmp_path / "run"
    with going(folder, steps=0) as run:
        for step in range(300):
            do_step(run, step, rollouts=step % 2 == 0)

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "step 300 of 10")
            await pilot.press("h")
            type_ahead(pilot.app, TO_THE_LAST_ROW)
            await pilot.press("home")
            view = screen.query_one(Histograms)
            stride = view.heat_map.binned.stride
            assert stride >= 4
            await pilot.press("right", "right")
            low, high = 2 * stride, 3 * stride - 1
            there = [step for step in range(high, low - 1, -1) if step % 2 == 0]
            await until_seen(pilot, f"⏎ opens {len(there)} steps")
            await pilot.press("enter")
            assert [call[2] for call in opened] == [max(there)]
            assert [call[4] for call in opened] == [there]
            await until_seen(pilot, f"{len(there)} steps, the newest first")

        shown(folder, steps, (80, 24))


def test_steps_without_rollouts_on_record_open_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = tmp_path / "run"
    with going(folder, steps=0) as run:
        do_step(run, 0, rollouts=False)

        async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.3")
            await pilot.press("h")
            type_ahead(pilot.app, [*TO_THE_LAST_ROW, "enter"])
            await until_seen(pilot, "No rollouts of it are on record.")
            await pilot.press("up", "up", "up", "enter")
            assert opened == []

        shown(folder, steps)


def test_a_click_on_a_cell_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            await pilot.press("h")
            heat_map = screen.query_one(Histograms).heat_map
            failed = HEAD + len(heat_map.binned.rows) - 1
            await pilot.click(heat_map, offset=(GUTTER, failed))

        shown(tmp_path / "run", steps)
    assert [call[2:] for call in opened] == [(0, "reward<0", ())]


def test_a_cell_leaves_out_photos_that_are_shown_again_as_its_count_does(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder, steps=1, replay_hard=0.25) as run:
        again = {"reward": -0.1, "distance_km": 20015.087, "replayed": True}
        run.rollouts(
            1, [*step_rollouts(1), rollout(1, 2, 0, reward=-0.1), rollout(1, 3, 0, **again)]
        )
        do_step(run, 1, rollouts=False)

        async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.31")
            await pilot.press("h")
            type_ahead(pilot.app, TO_THE_LAST_ROW)
            await until_seen(pilot, "step 1 · failures · 1 of 4")
            await pilot.press("enter")
            await until_seen(pilot, "1 of 6 answers in 1 of 4 groups")

        shown(folder, steps)


@pytest.mark.parametrize("ridges", [False, True])
def test_a_click_on_a_bar_opens_that_bin_of_the_step(
    tmp_path: Path, ridges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            await pilot.press("h", *["g"] * ridges, *["up" if ridges else "left"] * 2)
            await until_seen(pilot, "█ step 3")
            bars = screen.query_one(StepHistogram)
            lines = seen(bars).split("\n")
            filled = [y for y, line in enumerate(lines) if " 1" in line and y]
            assert len(filled) == 4
            await pilot.click(bars, offset=(2, filled[0]))
            await pilot.click(bars, offset=(2, filled[-1]))
            await pilot.click(bars, offset=(2, filled[0] + 1))
            await until_seen(pilot, "There is nothing in it.")
            await pilot.click(bars, offset=(2, 0))
            await pilot.click(bars, offset=(2, bars.size.height - 1))

        shown(tmp_path / "run", steps)
    (best, failed) = [call[2:] for call in opened]
    assert best[0] == failed[0] == 3
    assert best[1].startswith("reward>=0.5 reward<")
    assert failed[1] == "reward<0"


@pytest.mark.parametrize("size", ENDS)
def test_ridges_stand_one_behind_another_and_open_their_steps(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = tmp_path / "run"
    with going(folder, steps=4) as run:

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.33")
            await pilot.press("h", "g")
            ridges = screen.query_one(Ridgeline)
            assert ridges.has_focus
            text = await until_seen(pilot, "the newest in front", "█ step 3")
            lines = [line[:10].strip() for line in text.split("\n")]
            feet = [lines.index(label) for label in ("0", "1", "2", "3◆")]
            assert feet == sorted(feet)
            assert sum("\u2801" <= c <= "\u28ff" for c in seen(ridges)) > 40
            await pilot.press("up", "enter")
            await until_seen(pilot, "█ step 2", "⏎ opens step 2")
            await pilot.press("home", "enter", "r")
            do_step(run, 4)
            await until_seen(pilot, "step 5 of 10")
            assert "█ step 0" in seen(screen)
            await pilot.press("end")
            await until_seen(pilot, "█ step 4")
            await pilot.press("t")
            await until_seen(pilot, "distance in km", "<20,015" if size != SMALL else "failed")
            await pilot.press("g")
            assert screen.query_one(Histograms).heat_map.has_focus

        shown(folder, steps, size)
    assert opened == [
        ("open_rollouts", folder, 2, "", ()),
        ("open_rollouts", folder, 0, "", ()),
        ("open_rollouts", folder, 0),
    ]


@pytest.mark.parametrize("size", ENDS)
def test_a_recorded_run_of_tinker_cookbook_has_its_histograms(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts")
    folder = RECORDINGS / "cookbook" / "rl"

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        await until_seen(pilot, "no heartbeat", "reward 0")
        await pilot.press("h")
        view = screen.query_one(Histograms)
        await until(pilot, lambda: len(view.heat_map.spreads) > 0)
        rows = len(view.heat_map.binned.rows)
        type_ahead(pilot.app, [*["up"] * rows, *["enter", "down"] * rows, "t"])
        await until(pilot, lambda: view.quantity == "distance_km", "the last key")
        assert opened
        assert {call[2] for call in opened} == {view.heat_map.step}

    shown(folder, steps, size)


def test_supervised_runs_say_why_there_are_no_histograms(tmp_path: Path) -> None:
    folder = tmp_path / "sft"
    write_run(folder, "sft", steps=5).close("finished")

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        await until_seen(pilot, "NLL 5", "✓ finished", "nats a token")
        await pilot.press("h")
        text = await until_seen(pilot, "there are no rewards to be spread")
        assert "(o)" in text
        await pilot.press("t", "enter", "f")

    shown(folder, steps)
