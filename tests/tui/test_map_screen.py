"""Answers on the world map: of a run's steps as they come, and of an evaluation."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from geospot.durable import replace_json
from geospot.outcomes import Outcome
from geospot.query import Query
from geospot.runs.directory import RunDirectory
from geospot.runs.rollouts import RolloutRecord
from geospot.tui import map_sources
from geospot.tui.app import GeospotApp
from geospot.tui.atlas.scene import Mode
from geospot.tui.placed import IntArray, Placed, by_country, joined, kept, of_rollouts, read_query
from geospot.tui.screens.map import MapScreen
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.placebar import PlaceBar, find_place
from geospot.tui.widgets.readout import Readout
from geospot.tui.widgets.table import Table
from geospot.tui.widgets.worldmap import WorldMap
from tests.support.result_dirs import answered, failed, write_result
from tests.support.rollouts import HOSTILE_TEXT, rollout
from tests.support.screens import drive, opened, seen, until, until_seen
from tests.support.watchdog import watchdog
from tests.support.written_runs import full_config, write_run

SIZES = [(80, 24), (120, 40), (200, 60)]
MUNICH = {"labels": {"city": "Munich", "country": "DE"}}
SAID = {"place": {"city": "Salzburg", "country": "Austria"}}
EVIL = "Salz\x1b[2Jburg [red]not markup[/red] \u202edlrow"

Steps = Callable[[Pilot[None], MapScreen], Awaitable[None]]


def evaluation(folder: Path) -> Path:
    """Twelve answers about Germany, one about Singapore, one about nowhere named; two fail."""
    records = [
        answered(f"de-{n}", (48.1, 11.5), (48.1 + n, 11.5), text=f"answer {n}", **MUNICH, **SAID)
        for n in range(11)
    ]
    records += [
        failed("de-refused", (50.0, 8.0), Outcome.REFUSAL, text="I won't\nsay " + EVIL, **MUNICH),
        answered("sg", (1.35, 103.8), (48.0, 11.0), labels={"country": "SG"}),
        answered("unlabelled", (-12.05, -77.04), (-11.9, -77.0), text="Lima"),
        failed(
            "cut-off",
            (-33.9, 151.2),
            Outcome.UNPARSED,
            latitude=0.0,
            longitude=0.0,
            note="length",
            labels={"country": "AU"},
        ),
    ]
    return write_result(folder, records)


def on_result(result: Path, steps: Steps, size: tuple[int, int] = (120, 40)) -> None:
    on(lambda app: app.open_result_map(result), steps, size)


def on_run(
    run: Path, steps: Steps, size: tuple[int, int] = (120, 40), shown: tuple[int, int] | None = None
) -> None:
    on(lambda app: app.open_run_map(run, shown), steps, size)


def on(first: Callable[[GeospotApp], None], steps: Steps, size: tuple[int, int]) -> None:
    async def run(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: isinstance(pilot.app.screen, MapScreen))
        screen = pilot.app.screen
        assert isinstance(screen, MapScreen)
        await steps(pilot, screen)

    drive(opened(first), run, size)


async def loaded(pilot: Pilot[None], screen: MapScreen, count: int) -> WorldMap:
    world_map = screen.query_one(WorldMap)
    await until(pilot, lambda: len(screen.row_M) == count == len(world_map.scene.answers.value_N))
    await pilot.pause()
    return world_map


async def readout(pilot: Pilot[None], screen: MapScreen, *texts: str) -> str:
    def shown() -> str:
        return seen(screen.query_one(Readout))

    await until(pilot, lambda: all(text in shown() for text in texts), " and ".join(texts))
    return shown()


def run_of(folder: Path, steps: Sequence[int], **more: Any) -> RunDirectory:
    """A run with four rollouts at each of these steps; the last of them is a refusal."""
    run = write_run(folder, steps=max(steps, default=0) + 1, total=100)
    for step in steps:
        run.rollouts(step, of_step(step, **more))
    return run


def of_step(step: int, **more: Any) -> list[RolloutRecord]:
    said = {"latitude": 10.0 + step, "longitude": 20.0, "distance_km": 4000.0 - 10 * step}
    records = [
        rollout(step, group, 0, **(said | {"reward": 0.1 * group} | more)) for group in range(3)
    ]
    nothing = {"latitude": None, "longitude": None, "distance_km": 20015.0, "reward": -0.1}
    return [*records, rollout(step, 3, 0, outcome=Outcome.REFUSAL, **nothing)]


# An evaluation


@pytest.mark.parametrize("size", SIZES)
def test_an_evaluation_is_shown_and_read_one_by_one(tmp_path: Path, size: tuple[int, int]) -> None:
    result = evaluation(tmp_path / "some-vlm")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 15)
        shown = await until_seen(pilot, "some-vlm", "15 answers", "arcs, world")
        assert "n next answer, worst first" in shown
        await pilot.press("n", "n", "n")
        text = await readout(pilot, screen, "3 of 15  10,", "sg", "1.350°N 103.800°E")
        assert "SG" in text
        await pilot.press("o", "n")
        text = await readout(pilot, screen, "2 of 15", "unlabelled", "17.2 km")
        assert "12.050°S 77.040°W" in text

    on_result(result, steps, size)


def test_a_failure_is_read_like_an_answer(tmp_path: Path) -> None:
    result = evaluation(tmp_path / "r")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 15)
        assert "no place: 1 refusal, 1 unparsed" in seen(screen)
        await pilot.press("n")
        text = await readout(pilot, screen, "no place", "refusal", "de-refused", "I won't say")
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[red]not markup[/red]" in text
        await pilot.press("n")
        await readout(pilot, screen, "cut-off", "unparsed", "length", "said  –")
        assert int(screen.query_one(WorldMap).scene.answers.has_place_N.sum()) == 13

    on_result(result, steps, (160, 40))


def test_enter_shows_the_text_beside_the_map(tmp_path: Path) -> None:
    result = evaluation(tmp_path / "r")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        world_map = await loaded(pilot, screen, 15)
        width = world_map.size.width
        await pilot.press("n", "enter")
        await until_seen(pilot, "I won't", "say Salz\\x1b[2Jburg")
        assert world_map.size.width < width
        assert pilot.app.focused is world_map
        await pilot.press("o")  # the best one: the text follows
        await until_seen(pilot, "answer 0")
        await pilot.press("escape")
        await until(pilot, lambda: world_map.size.width == width)
        assert pilot.app.screen is screen
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is not screen)

    on_result(result, steps)


def test_countries_are_listed_with_their_medians(tmp_path: Path) -> None:
    result = evaluation(tmp_path / "r")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        world_map = await loaded(pilot, screen, 15)
        await pilot.press("c")
        await until(pilot, lambda: len(screen.figures) == 4)
        await pilot.pause()
        # 0, 111, …, 1,112 km and a failure: the middle lies between 5 and 6 degrees
        text = seen(screen.query_one(Table))
        assert "Germany" in text
        assert "612 c" in text
        assert "58%" in text
        assert "~1" in text
        assert "Singapore*" in text
        assert "Peru" in text, "Where there is no label the place is looked up"
        assert "median km by country" in seen(screen)
        assert "~ under 10 answers" in " ".join(seen(screen).split())
        assert screen.figures[0].name == "Germany"
        await pilot.press("s")
        assert screen.figures[0].name == "Singapore" or screen.figures[0].median_km > 9000
        await pilot.press("s", "s")
        assert [one.name for one in screen.figures] == ["Australia", "Germany", "Peru", "Singapore"]
        screen.query_one(Table).cursor = 1
        await pilot.press("enter")
        await until(pilot, lambda: world_map.looks_at == "Germany")
        assert world_map.view.degrees < 0.2
        await pilot.press("c")
        assert world_map.scene.shades is None
        assert pilot.app.focused is world_map

    on_result(result, steps)


def test_a_country_too_small_for_the_map_is_said(tmp_path: Path) -> None:
    result = write_result(
        tmp_path / "r", [answered("a", (1.3, 103.8), (2.0, 103.0), labels={"country": "SG"})]
    )

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 1)
        await pilot.press("c")
        await until(pilot, lambda: len(screen.figures) == 1)
        await pilot.pause()
        await pilot.press("enter")
        await until_seen(pilot, "too small for this map")
        await pilot.press("escape")
        assert screen.query_one(WorldMap).scene.shades is None

    on_result(result, steps)


def test_a_filter_keeps_some_and_says_how_many(tmp_path: Path) -> None:
    result = evaluation(tmp_path / "r")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        world_map = await loaded(pilot, screen, 15)
        await pilot.press("o")
        await readout(pilot, screen, "1 of 15", "de-0")
        screen.query_one(FilterBar).set_text("country:DE")
        await until(pilot, lambda: len(screen.row_M) == 12)
        await until_seen(pilot, "12 of 15 answers", "1 of 12 ", "best first")
        assert world_map.selected is not None, "The chosen answer is still there, and still chosen"
        await pilot.press("slash", *" km<500", "enter")
        await until(pilot, lambda: len(screen.row_M) == 5)
        assert pilot.app.focused is world_map
        screen.query_one(FilterBar).set_text("nonsense>")
        await until_seen(pilot, "There is no 'nonsense'")
        screen.query_one(FilterBar).set_text("outcome:refusal")
        await until(pilot, lambda: len(screen.row_M) == 1)
        screen.query_one(FilterBar).set_text("km<-1")
        await until(pilot, lambda: len(screen.row_M) == 0)
        await until_seen(pilot, "0 of 15 answers", "n next answer")
        await pilot.press("n", "enter", "c")

    on_result(result, steps)


def test_a_slow_reading_doesnt_undo_a_filter_that_came_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = evaluation(tmp_path / "r")

    def slow_without_filter(placed: Placed, query: Query) -> IntArray:
        if not query.terms:
            time.sleep(0.5)
        return kept(placed, query)

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 15)
        monkeypatch.setattr("geospot.tui.screens.map.kept", slow_without_filter)
        reading = asyncio.create_task(screen.show(screen.placed))
        await asyncio.sleep(0)
        screen.query_one(FilterBar).set_text("country:DE")
        await until(pilot, lambda: len(screen.row_M) == 12)
        await reading
        assert len(screen.row_M) == 12

    on_result(result, steps)


def test_a_place_is_gone_to_by_name(tmp_path: Path) -> None:
    result = evaluation(tmp_path / "r")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        world_map = await loaded(pilot, screen, 15)
        await pilot.press("g", *"atlantis", "enter")
        await until_seen(pilot, "is no continent or country on the map")
        await pilot.press("escape")
        assert pilot.app.focused is world_map
        await pilot.press("g", *"jp", "enter")
        await until(pilot, lambda: world_map.looks_at == "Japan")
        await until_seen(pilot, "arcs, Japan")
        assert pilot.app.focused is world_map
        assert not screen.query_one(PlaceBar).has_class("-shown")

    on_result(result, steps)
    assert find_place("south america") is not None
    assert find_place("") is None
    assert find_place("Singapore") is None


def test_an_evaluation_under_way_fills_in(tmp_path: Path) -> None:
    result = write_result(tmp_path / "r", [answered("a", (1.0, 1.0), (2.0, 2.0))])

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        world_map = await loaded(pilot, screen, 1)
        await pilot.press("n")
        with (result / "samples.jsonl").open("ab") as file:
            line = (result / "samples.jsonl").read_bytes()
            file.write(b"no record\n" + line.replace(b'"a"', b'"b"') + line[:40])  # a torn end
        await loaded(pilot, screen, 2)
        await until_seen(pilot, "2 answers", "1 lines are no records")
        assert world_map.selected == 0
        shutil.rmtree(result)
        await until_seen(pilot, "has no answers (yet)")

    on_result(result, steps)


def test_no_evaluation_at_all_is_said(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await until_seen(pilot, "has no answers (yet)")
        await pilot.press("n", "c", "enter", "escape")

    on_result(tmp_path / "nothing", steps)


def test_a_large_evaluation_never_keeps_the_app_waiting(tmp_path: Path) -> None:
    result = evaluation(tmp_path / "r")
    lines = (result / "samples.jsonl").read_bytes().splitlines(keepends=True)
    with (result / "samples.jsonl").open("wb") as file:
        for number in range(30_000):
            name = lines[number % 11].replace(b'"de-', b'"%d-' % number)
            file.write(name)

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        with watchdog(result):
            world_map = await loaded(pilot, screen, 30_000)
            for key in ("v", "n", "v", "v", "v", "plus", "c"):
                await pilot.press(key)
            await until(pilot, lambda: len(screen.figures) == 1)
        assert world_map.scene.mode is Mode.ARCS
        assert screen.figures[0].n == 30_000

    on_result(result, steps)


# A run


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
        await pilot.press("right_curly_bracket", "n")
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


# The columns behind it


def test_steps_with_other_countries_are_joined(tmp_path: Path) -> None:
    a = of_rollouts([rollout(0, 0, 0, labels={"country": "Brasil"}), rollout(0, 1, 0, labels={})])
    b = of_rollouts(
        [rollout(1, 0, 0, labels={"country": "DE"}), rollout(1, 1, 0, labels={"country": "BR"})]
    )
    both = joined([a, b])
    assert [both.countries[n] for n in both.country_N] == ["BR", "", "DE", "BR"]
    everything = np.arange(4)
    assert [(one.code, one.n) for one in by_country(both, everything)] == [("BR", 2), ("DE", 2)]
    assert kept(both, read_query("country:br")).tolist() == [0, 3]
    assert kept(both, read_query("country:germany")).tolist() == [2]
    assert kept(both, read_query("-has:country")).tolist() == [1]
    assert kept(both, read_query("photo-1")).tolist() == [1, 3]
    assert len(joined([])) == 0
