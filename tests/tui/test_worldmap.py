"""The map as a widget: what is drawn, and every key and movement of the mouse."""

from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from textual import events
from textual.app import ComposeResult
from textual.pilot import Pilot

from geospot.geo import HALF_CIRCUMFERENCE_KM, haversine_km
from geospot.tui.app import GeospotApp
from geospot.tui.atlas.classes import CHANGES
from geospot.tui.atlas.projection import REGIONS
from geospot.tui.atlas.scene import MOST_ARCS, Mode, Shades
from geospot.tui.screen import GeoScreen
from geospot.tui.widgets.worldmap import WorldMap
from tests.support.approx import approx
from tests.support.screens import drive, opened, resized, seen, until

PARIS, LIMA, TOKYO, OSLO = (48.86, 2.35), (-12.0, -77.0), (35.7, 139.7), (59.9, 10.75)
NOWHERE = (np.nan, np.nan)
FIVE = [
    (PARIS, (48.9, 2.4)),
    (LIMA, (-15.0, -70.0)),
    (TOKYO, PARIS),
    (OSLO, NOWHERE),
    (LIMA, TOKYO),
]


class MapHost(GeoScreen):
    """A screen with a map, and what it told."""

    def __init__(self) -> None:
        super().__init__()
        self.highlighted: list[int | None] = []
        self.opened: list[int] = []

    def compose_body(self) -> ComposeResult:
        yield WorldMap()

    def on_mount(self) -> None:
        self.query_one(WorldMap).focus()

    def on_world_map_highlighted(self, event: WorldMap.Highlighted) -> None:
        self.highlighted.append(event.answer)

    def on_world_map_selected(self, event: WorldMap.Selected) -> None:
        self.opened.append(event.answer)


Steps = Callable[[Pilot[None], MapHost, WorldMap], Awaitable[None]]


def on_map(steps: Steps, size: tuple[int, int] = (120, 40)) -> None:
    host = MapHost()

    async def run(pilot: Pilot[None]) -> None:
        await until(
            pilot, lambda: pilot.app.screen is host and host.query_one(WorldMap).size.width > 0
        )
        await steps(pilot, host, host.query_one(WorldMap))

    def first(app: GeospotApp) -> None:
        app.push_screen(host)

    drive(opened(first), run, size)


def places(pairs: list[tuple[tuple[float, float], tuple[float, float]]]) -> tuple[np.ndarray, ...]:
    truths, said = (np.array([pair[n] for pair in pairs]) for n in (0, 1))
    km = haversine_km(truths[:, 0], truths[:, 1], said[:, 0], said[:, 1])
    return truths, said, np.where(np.isfinite(km), km, HALF_CIRCUMFERENCE_KM)


def scattered(count: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(3)
    truths = np.stack([rng.uniform(-50, 70, count), rng.uniform(-180, 180, count)], 1)
    said = np.stack([rng.uniform(-50, 70, count), rng.uniform(-180, 180, count)], 1)
    return truths, said, haversine_km(truths[:, 0], truths[:, 1], said[:, 0], said[:, 1])


def cell(world_map: WorldMap, place: tuple[float, float]) -> tuple[int, int]:
    view = world_map.view
    return int(float(view.x(place[1])) // 2), int(float(view.y(place[0])) // 4)


def sign_at(world_map: WorldMap, place: tuple[float, float]) -> str:
    x, y = cell(world_map, place)
    return seen(world_map).splitlines()[y][x]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_places_have_marks_where_they_are_and_failures_are_counted(size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places(FIVE), reasons={"refusal": 1})
        await pilot.pause()
        assert sign_at(world_map, TOKYO) in "○⊗"
        assert sign_at(world_map, (-15.0, -70.0)) == "×"
        assert sign_at(world_map, OSLO) == "!"
        legend = seen(world_map).splitlines()[-1]
        assert "<25" in legend
        assert "≥2500" in legend
        assert "!" in legend
        if size[0] >= 120:
            assert "no place: 1 refusal" in legend
        assert "km" in seen(world_map).splitlines()[-2]  # the scale
        assert sum("⠀" < sign <= "⣿" for sign in seen(world_map)) > size[0] * 3  # coasts

    on_map(steps, size)


def test_a_legend_counts_each_class_of_what_is_shown() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places(FIVE))
        await pilot.pause()
        legend = seen(world_map).splitlines()[-1]
        for text in ("<25: 1", "<200: 0", "<750: 0", "<2500: 1", "≥2500: 2", "no place: 1"):
            assert text in legend

    on_map(steps, (140, 40))


def test_an_arc_leads_from_the_true_to_the_said_place() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        empty = seen(world_map)
        world_map.show(*places([((5.0, -30.0), (5.0, 0.0))]))
        await pilot.pause()
        x0, y = cell(world_map, (5.0, -30.0))
        x1, _ = cell(world_map, (5.0, 0.0))
        row, before = seen(world_map).splitlines()[y], empty.splitlines()[y]
        between = slice(x0 + 1, x1)
        assert (
            sum(a != b for a, b in zip(row[between], before[between], strict=True)) > (x1 - x0) / 3
        )

    on_map(steps)


def test_too_many_arcs_are_drawn_as_a_sample_which_is_said() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*scattered(MOST_ARCS))
        await pilot.pause()
        assert "at random" not in seen(world_map)
        world_map.show(*scattered(4000))
        await pilot.pause()
        assert f"{MOST_ARCS:,} of 4,000 arcs, drawn at random" in seen(world_map)
        await pilot.press("v")
        assert "8,000 places in sight" in seen(world_map)
        assert any(sign in seen(world_map) for sign in "○×⊗")
        await pilot.press("v")
        assert "4,000 places in sight" in seen(world_map)
        assert any(sign in seen(world_map) for sign in "░▒▓█")

    on_map(steps)


def test_v_goes_through_what_can_be_drawn() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places(FIVE))
        shown: dict[Mode, tuple[bool, bool]] = {}
        for mode in Mode:
            assert world_map.scene.mode is mode
            await pilot.pause()
            shown[mode] = (
                sign_at(world_map, OSLO) == "!",
                sign_at(world_map, (-15.0, -70.0)) == "×",
            )
            await pilot.press("v")
        assert world_map.scene.mode is Mode.ARCS
        assert shown[Mode.POINTS] == (True, True)
        assert shown[Mode.TRUTHS] == (True, False)
        assert shown[Mode.ANSWERS] == (False, True)

    on_map(steps)


def test_answers_are_walked_through_worst_first() -> None:
    async def steps(pilot: Pilot[None], host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places(FIVE))
        await pilot.press("n", "n", "n", "p")
        assert host.highlighted == [3, 4, 2, 4]  # without a place, Lima, Tokyo
        assert world_map.position == 1
        await pilot.press("o")
        assert world_map.order == "best"
        assert world_map.selected == 0
        await pilot.press("p")
        assert world_map.selected == 3  # around
        await pilot.press("o")
        assert (world_map.order, world_map.selected) == ("as read", 0)
        await pilot.press("n", "enter")
        assert host.opened == [1]
        world_map.show(*places(FIVE), keep_selected=True)
        assert world_map.selected == 1
        world_map.show(*places(FIVE[:1]), keep_selected=True)
        assert world_map.selected is None
        await pilot.press("n")
        assert world_map.selected == 0

    on_map(steps)


def test_without_answers_no_key_breaks_anything() -> None:
    async def steps(pilot: Pilot[None], host: MapHost, world_map: WorldMap) -> None:
        for key in ("n", "p", "o", "enter", "z", "f", "v", "plus", "minus", "left", "r", "R", "0"):
            await pilot.press(key)
        assert not host.opened
        await pilot.click(WorldMap, offset=(30, 10))
        world_map.show(*places([(NOWHERE, NOWHERE)]), reasons={"refusal": 1})
        await pilot.press("n", "z", "f", "v", "v", "v", "v")
        assert world_map.selected == 0
        assert "!" in seen(world_map).splitlines()[-1]

    on_map(steps)


def test_the_map_is_moved_and_zoomed_with_keys() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places(FIVE))
        start = world_map.view
        await pilot.press("plus", "plus")
        assert world_map.view.degrees == approx(start.degrees / 2.25)
        await pilot.press("equals_sign", "minus", "minus", "underscore")
        assert world_map.view.degrees == approx(start.degrees)
        await pilot.press("plus", "plus", "right", "right", "up")
        assert world_map.view.longitude > start.longitude
        assert world_map.view.latitude > start.latitude
        await pilot.press("left", "left", "left", "down", "down")
        assert world_map.view.longitude < start.longitude
        assert world_map.view.latitude < start.latitude
        await pilot.press("0")
        assert world_map.view == start
        assert world_map.looks_at == "world"

    on_map(steps)


def test_regions_follow_one_another() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        names = [world_map.looks_at]
        for _ in range(len(REGIONS)):
            await pilot.press("r")
            south, west, north, _ = REGIONS[world_map.looks_at]
            assert float(world_map.view.y(north)) >= 0
            assert float(world_map.view.y(south)) <= world_map.view.height
            assert float(world_map.view.x(west + 0.1)) > -1
            names.append(world_map.looks_at)
        assert names == [*REGIONS, "world"]
        await pilot.press("R")
        assert world_map.looks_at == "Oceania"

    on_map(steps)


def test_all_places_and_one_answer_are_zoomed_to() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        pairs = [((-17.0, 178.0), (-14.0, -172.0)), ((-20.0, 175.0), (-18.0, 179.0))]
        world_map.show(*places(pairs))
        await pilot.press("f")
        assert world_map.view.longitude == approx(-178.5, abs=1)  # across the date line
        for place in (place for pair in pairs for place in pair):
            x, y = cell(world_map, place)
            assert 0 <= x < world_map.size.width
            assert 0 <= y < world_map.size.height - 1
        fitted = world_map.view.degrees
        await pilot.press("o", "z")
        assert world_map.view.degrees < fitted
        assert "○" in seen(world_map)

    on_map(steps)


def test_stepping_to_an_answer_out_of_sight_brings_it_into_sight() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places([(TOKYO, (35.0, 139.0))]))
        await pilot.press("r")
        assert world_map.looks_at == "Europe"
        await pilot.press("n")
        assert sign_at(world_map, TOKYO) == "○"

    on_map(steps)


def test_the_mouse_zooms_drags_and_chooses() -> None:
    async def steps(pilot: Pilot[None], host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places(FIVE))
        await pilot.pause()
        x, y = cell(world_map, TOKYO)
        await pilot.click(WorldMap, offset=(x, y))
        assert world_map.selected == 2
        await pilot.click(WorldMap, offset=(x, y))
        assert host.opened == [2]
        held = world_map.view.place(121, 82)
        await pilot.mouse_down(WorldMap, offset=(60, 20))
        await pilot.hover(WorldMap, offset=(50, 18))
        await pilot.mouse_up(WorldMap, offset=(50, 18))
        assert world_map.view.place(101, 74) == approx(held)
        assert world_map.selected == 2
        await pilot.click(WorldMap, offset=(1, 1))
        assert world_map.selected == 2, "Nothing is near"
        degrees = world_map.view.degrees
        wheel = (world_map, 30, 10, 0, 0, 0, False, False, False)
        world_map.post_message(events.MouseScrollUp(*wheel))
        await pilot.pause()
        assert world_map.view.degrees < degrees
        world_map.post_message(events.MouseScrollDown(*wheel))
        await pilot.pause()
        assert world_map.view.degrees == approx(degrees)

    on_map(steps)


def test_countries_are_filled_by_their_median() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places(FIVE))
        world_map.shade(Shades({"BR": 3000.0, "AU": 10.0, "SG": 5.0}, weak={"AU"}))
        await pilot.pause()
        papers: dict[str, str] = {}
        for name, place in (("BR", (-10.0, -52.0)), ("AU", (-25.0, 135.0)), ("sea", (30.0, -40.0))):
            x, y = cell(world_map, place)
            style = world_map.render_line(y).crop(x, x + 1)._segments[0].style  # pyright: ignore[reportPrivateUsage]
            papers[name] = "" if style is None else str(style.bgcolor)
        assert len(set(papers.values())) == 3
        assert "countries by median km" in seen(world_map)
        world_map.shade(None)
        await pilot.pause()
        assert sign_at(world_map, OSLO) == "!"

    on_map(steps, (140, 40))


def test_without_colour_letters_and_patterns_tell_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places(FIVE))
        await pilot.pause()
        legend = seen(world_map).splitlines()[-1]
        assert "a–e said" in legend
        for letter, name in zip("abcde", ("<25", "<200", "<750", "<2500", "≥2500"), strict=True):
            assert f"{letter} {name}" in legend or f"{letter}{name}" in legend
        assert sign_at(world_map, (-15.0, -70.0)) == "d"
        world_map.shade(Shades({"BR": 3000.0, "AU": 10.0}))
        await pilot.pause()
        assert sign_at(world_map, (-10.0, -52.0)) == "e"
        assert sign_at(world_map, (-25.0, 135.0)) == "a"

    on_map(steps)


def test_changes_have_classes_of_their_own() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        truths, said, _ = places(FIVE[:3])
        world_map.show(truths, said, np.array([-900.0, 3.0, 100.0]), classes=CHANGES)
        await pilot.pause()
        legend = seen(world_map).splitlines()[-1]
        for text in ("≤−750: 1", "nearer: 0", "±25: 1", "farther: 1", "≥+750: 0"):
            assert text in legend
        await pilot.press("n")
        assert world_map.selected == 2, "The worst change is the one farthest up"

    on_map(steps, (140, 40))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (250, 70)])
def test_every_row_is_as_wide_as_the_map(size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*scattered(600))
        for key in ("v", "v", "r", "plus", "left"):
            await pilot.press(key)
            for row in seen(world_map).splitlines():
                assert len(row) == size[0]

    on_map(steps, size)


def test_the_view_stays_when_the_terminal_changes() -> None:
    async def steps(pilot: Pilot[None], _host: MapHost, world_map: WorldMap) -> None:
        world_map.show(*places([(TOKYO, (35.0, 139.0))]))
        await pilot.press("z", "n", "z")
        await resized(pilot, 80, 24)
        await until(pilot, lambda: world_map.size.width == 80)
        assert sign_at(world_map, TOKYO) in "○⊗"
        await pilot.press("plus")  # moved by hand: no region any more
        await resized(pilot, 200, 60)
        await until(pilot, lambda: world_map.size.width == 200)
        assert world_map.view.width == 400
        assert len(seen(world_map).splitlines()[0]) == 200

    on_map(steps)
