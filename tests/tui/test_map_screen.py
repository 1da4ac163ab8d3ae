"""Answers of an evaluation on the world map: one by one, by country, filtered, and as they come."""

import asyncio
import shutil
import time
from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.outcomes import Outcome
from geospot.query import Query
from geospot.tui.atlas.scene import Mode
from geospot.tui.placed import IntArray, Placed, kept
from geospot.tui.screens.map import MapScreen
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.placebar import PlaceBar, find_place
from geospot.tui.widgets.table import Table
from geospot.tui.widgets.worldmap import WorldMap
from tests.support.map_screens import SIZES, loaded, on_result, readout
from tests.support.result_dirs import answered, failed, write_result
from tests.support.screens import seen, until, until_seen
from tests.support.watchdog import watchdog

MUNICH = {"labels": {"city": "Munich", "country": "DE"}}
SAID = {"place": {"city": "Salzburg", "country": "Austria"}}
EVIL = "Salz\x1b[2Jburg [red]not markup[/red] \u202edlrow"


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


@pytest.mark.parametrize("size", SIZES)
def test_an_evaluation_is_shown_and_read_one_by_one(tmp_path: Path, size: tuple[int, int]) -> None:
    result = evaluation(tmp_path / "some-vlm")

    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 15)
        shown = await until_seen(pilot, "some-vlm", "15 answers", "arcs, world")
        assert "n next answer, worst first" in shown
        await pilot.press("n", "n", "n")
        await readout(pilot, screen, "3 of 15  10,", "sg", "1.350°N 103.800°E", "SG")
        await pilot.press("o", "n")
        text = await readout(pilot, screen, "2 of 15", "unlabelled", "17.2 km")
        assert "12.050°S 77.040°W" in text

    on_result(result, steps, size)


def test_what_comes_when_the_app_is_being_closed_is_shown_nowhere(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None], screen: MapScreen) -> None:
        await loaded(pilot, screen, 15)
        await screen.query_one(WorldMap).remove()
        screen.say("the source comes late")
        await screen.show(screen.placed)

    on_result(evaluation(tmp_path / "r"), steps, SIZES[0])


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
        shown = await until_seen(pilot, "is no continent or country on the map")
        assert "/ Filter" not in shown  # it is typed now
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
