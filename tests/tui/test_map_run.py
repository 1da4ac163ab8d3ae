"""Rollouts of a run on the world map: the newest as they come, steps, ranges, evaluations on the way."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot

from geospot.durable import replace_json
from geospot.runs.directory import RunDirectory
from geospot.tui import map_sources
from geospot.tui.app import GeospotApp
from geospot.tui.screens.map import MapScreen
from geospot.tui.widgets.filterbar import FilterBar
from tests.support.map_screens import SIZES, loaded, of_step, on_run, readout, run_of
from tests.support.result_dirs import answered, write_result
from tests.support.rollouts import HOSTILE_TEXT, rollout
from tests.support.screens import seen, until, until_seen
from tests.support.written_runs import full_config, write_run


@pytest.mark.parametrize("size", SIZES)
def test_the_newest_step_of_a_run_is_followed(tmp_path: Path, size: tuple[int, int]) -> None:
    run = run_of(tmp_path / "rl", [0, 1, 2])

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        world_map = await loaded(pilot, screen, 4)
        await until_seen(pilot, "rl", "step 2", "newest", "4 answers")
        await pilot.press("n", "n")
        await readout(pilot, screen, "2 of 4", "3,980 km", "step 2 group 0", "München")
        assert np.allclose(world_map.scene.answers.predictions_N_L[0], [12.0, 20.0])
        run.rollouts(3, of_step(3))
        await until(pilot, lambda: "step 3" in seen(screen))
        await loaded(pilot, screen, 4)
        assert np.allclose(world_map.scene.answers.predictions_N_L[0], [13.0, 20.0])

    on_run(run.path, steps, size)
    run.close("stopped")


def test_steps_are_gone_through_and_ranges_made(tmp_path: Path) -> None:
    run = run_of(tmp_path / "rl", [0, 2, 4, 6, 8])
    run.close("stopped")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 4)
        for key, text, count in (
            ("left_square_bracket", "step 6 of 8", 4),
            ("left_square_bracket", "step 4 of 8", 4),
            ("right_curly_bracket", "steps 4–6 of 8 (2 with answers)", 8),
            ("left_curly_bracket", "steps 0–6 of 8 (4 with answers)", 16),
            ("right_square_bracket", "steps 2–8 (4 with answers)", 16),
            ("left_curly_bracket", "steps 0–8 (5 with answers)", 20),
            ("vertical_line", "step 8", 4),
            ("left_square_bracket", "step 6 of 8", 4),
            ("right_square_bracket", "step 8", 4),
            ("right_square_bracket", "step 8", 4),
            ("left_square_bracket", "step 6 of 8", 4),
        ):
            await pilot.press(key)
            await until_seen(pilot, text)
            await loaded(pilot, screen, count)
        assert "· newest ·" not in seen(screen)
        await pilot.press("l")
        await until_seen(pilot, "step 8 · newest")

    on_run(run.path, steps)


def test_a_step_without_rollouts_is_answered_with_the_nearest(tmp_path: Path) -> None:
    run = run_of(tmp_path / "rl", [0, 10, 20])
    run.close("stopped")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 4)
        await until_seen(pilot, "step 10 of 20")

    on_run(run.path, steps, shown=(14, 14))

    async def of_range(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 8)
        await until_seen(pilot, "steps 10–20 (2 with answers)")

    on_run(run.path, of_range, shown=(5, 99))


def test_enter_opens_the_rollout_among_its_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tmp_path / "rl", [0, 1])
    run.close("stopped")
    asked: list[tuple[Path, int | None, str]] = []

    def note(_app: GeospotApp, folder: Path, step: int | None = None, query: str = "") -> None:
        asked.append((folder, step, query))

    monkeypatch.setattr(GeospotApp, "open_rollouts", note)

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 4)
        await pilot.press("n", "enter")
        await until(pilot, lambda: bool(asked))

    on_run(run.path, steps)
    assert asked == [(run.path, 1, 'id:"photo-3"')]


def test_a_run_is_filtered_by_its_rewards_and_groups(tmp_path: Path) -> None:
    run = run_of(tmp_path / "rl", [0])
    run.close("stopped")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 4)
        for text, count in (
            ("reward>=0.1", 2),
            ("group=2", 1),
            ("step=0 -outcome:ok", 1),
            ("said:mün", 4),
        ):
            screen.query_one(FilterBar).set_text(text)
            await until(pilot, lambda count=count: len(screen.row_M) == count, text)

    on_run(run.path, steps)


def test_a_run_that_goes_back_shows_what_it_does_again(tmp_path: Path) -> None:
    run = run_of(tmp_path / "rl", [0, 1, 2])
    run.close("stopped")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        world_map = await loaded(pilot, screen, 4)
        await until_seen(pilot, "step 2")
        await pilot.press("left_square_bracket")
        await until_seen(pilot, "step 1 of 2")
        await pilot.press("l")
        await until_seen(pilot, "step 2 ·")
        again = RunDirectory.open(
            run.path, full_config("rl", run.path), kind="rl", if_exists="resume", ask=None
        )
        again.start(1, 100)
        await until_seen(pilot, "step 0")
        again.rollouts(1, of_step(1, latitude=-40.0))
        await until_seen(pilot, "step 1")
        await until(
            pilot, lambda: np.allclose(world_map.scene.answers.predictions_N_L[:1, 0], [-40.0])
        )
        again.close("stopped")

    on_run(run.path, steps)


def test_sft_shows_its_evaluations(tmp_path: Path) -> None:
    run = write_run(tmp_path / "sft", "sft")
    run.close("stopped")
    for step, count in ((0, 2), (3, 3)):
        records = [
            answered(f"e{n}", (10.0, 10.0), (11.0 + step, 10.0), text=f"at {step}")
            for n in range(count)
        ]
        write_result(run.path / "evals" / f"step-{step:06}", records)

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 3)
        await until_seen(pilot, "evaluation, step 3", "newest")
        await pilot.press("left_square_bracket")
        await loaded(pilot, screen, 2)
        await until_seen(pilot, "evaluation, step 0 of 3")
        await pilot.press("right_curly_bracket")
        await loaded(pilot, screen, 5)
        await until_seen(pilot, "evaluation, steps 0–3 (2 with answers)")
        await pilot.press("n", "enter")
        await until_seen(pilot, "at 3")

    on_run(run.path, steps)


def test_rollouts_and_evaluations_change_places(tmp_path: Path) -> None:
    run = run_of(tmp_path / "rl", [0, 1])
    run.close("stopped")
    write_result(run.path / "evals" / "step-000000", [answered("e", (10.0, 10.0), (11.0, 10.0))])

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 4)
        await pilot.press("e")
        await loaded(pilot, screen, 1)
        await until_seen(pilot, "evaluation, step 0")
        await pilot.press("e")
        await loaded(pilot, screen, 4)
        await until_seen(pilot, "step 1 · newest")

    on_run(run.path, steps)


def test_a_run_without_answers_says_why(tmp_path: Path) -> None:
    sft = write_run(tmp_path / "sft", "sft")
    rl = write_run(tmp_path / "rl", "rl")

    async def of_sft(pilot: Pilot[None], _screen: MapScreen) -> None:
        await until_seen(pilot, "SFT has no rollouts")
        for key in (
            "left_square_bracket",
            "right_curly_bracket",
            "vertical_line",
            "l",
            "e",
            "n",
            "c",
        ):
            await pilot.press(key)

    async def of_rl(pilot: Pilot[None], screen: MapScreen) -> None:
        await until_seen(pilot, "no rollouts yet")
        rl.rollouts(0, of_step(0))
        await loaded(pilot, screen, 4)
        shutil.rmtree(rl.path)
        await until_seen(pilot, "isn't there (any more)")

    on_run(sft.path, of_sft)
    on_run(rl.path, of_rl)
    sft.close("stopped")


def test_of_a_long_range_only_some_steps_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_sources, "MOST_ANSWERS", 12)
    run = run_of(tmp_path / "rl", range(9))
    run.close("stopped")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 12)
        await until_seen(pilot, "one in 3 steps is read")
        assert screen.placed.step_N is not None
        assert sorted(set(screen.placed.step_N.tolist())) == [0, 3, 6]

    on_run(run.path, steps, shown=(0, 8))


def test_foreign_rollouts_with_anything_in_them_are_shown(tmp_path: Path) -> None:
    run = run_of(
        tmp_path / "rl", [0], sample_id="a\x1b[2J \u202e", labels={"country": "\x1b[31mXX"}
    )
    odd = [
        rollout(1, 4, 0, latitude=float("nan"), true_latitude=float("inf")),
        rollout(1, 5, 0, latitude=95.0, longitude=500.0, distance_km=float("nan")),
        rollout(1, 6, 0, latitude=None, longitude=None),
    ]
    run.rollouts(1, odd)
    run.close("stopped")
    replace_json(run.path / "config.json", {"kind": 3, "x": HOSTILE_TEXT})

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        world_map = await loaded(pilot, screen, 7)
        assert int(world_map.scene.answers.has_place_N.sum()) == 3
        for _ in range(8):
            await pilot.press("n")
            await pilot.pause()
            assert "\x1b" not in seen(screen)
            assert "\u202e" not in seen(screen)
        await pilot.press("f", "z", "v", "c")
        await until(pilot, lambda: bool(screen.figures))
        assert "\x1b" not in seen(screen)

    on_run(run.path, steps, shown=(0, 1))
