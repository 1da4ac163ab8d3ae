"""Answers on the world map: of a run's step or steps, live, or of an evaluation."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from geospot.evaluation.following import OUTCOMES
from geospot.places.outlines import outlines
from geospot.query import Query
from geospot.textsafe import printable
from geospot.tui.atlas.classes import ERRORS
from geospot.tui.atlas.scene import Shades
from geospot.tui.map_sources import EvaluationSource, RunSource, Source
from geospot.tui.placed import EMPTY, KEYS, CountryFigures, Placed, by_country, kept
from geospot.tui.record_text import answer_text
from geospot.tui.screen import GeoScreen
from geospot.tui.widgets.country_table import CountryTable
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.placebar import PlaceBar
from geospot.tui.widgets.readout import Reading, Readout
from geospot.tui.widgets.table import Table
from geospot.tui.widgets.worldmap import WorldMap

IntArray = NDArray[np.int64]

_ORDERS: Final = {"worst": "worst first", "best": "best first", "as read": "as read"}
_TEACHING: Final = (
    "n next answer, worst first · click one · z zoom to it · enter opens it",
    "v arcs, points, true, said · c countries · r g regions · / filter: km>2500",
)
_TEACHING_STEPS: Final = "[ ] steps · { } more of them · | one · l newest · e evaluations"


class MapScreen(GeoScreen):
    """The map, one answer below it, and beside it countries or a text. Made by `of_run` and `of_result`."""

    DEFAULT_CSS = """
    MapScreen #map-side { width: 40%; min-width: 38; max-width: 64; display: none; }
    MapScreen #map-side.-shown { display: block; }
    MapScreen #map-side > * { display: none; }
    MapScreen #map-side > .-shown { display: block; }
    MapScreen #map-notes { height: auto; padding: 0 1; color: $text-muted; }
    MapScreen #map-text { height: 1fr; padding: 0 1; background: $surface; }
    MapScreen #map-text > Static { height: auto; width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "move(-1)", "Step back", key_display="[",
                tooltip="The step before; a range moves by its length"),
        Binding("right_square_bracket", "move(1)", "Step on", key_display="]",
                tooltip="The next step; a range moves by its length"),
        Binding("left_curly_bracket", "widen(-1)", "Wider", show=False, key_display="{",
                tooltip="Twice as many steps, earlier ones added"),
        Binding("right_curly_bracket", "widen(1)", "Wider on", show=False, key_display="}",
                tooltip="Twice as many steps, later ones added"),
        Binding("vertical_line", "narrow", "One step", show=False, key_display="|",
                tooltip="Only the last step of the range"),
        Binding("l", "live", "Newest", show=False, tooltip="The newest step, and every new one"),
        Binding("e", "switch", "Evaluations", show=False,
                tooltip="Evaluations on the way instead of rollouts, and back"),
        Binding("c", "countries", "Countries", tooltip="Median error by country, and a list"),
        Binding("s", "sort", "Sort", show=False, tooltip="Sort the countries by the next column"),
        Binding("g", "go_to", "Go to", show=False, tooltip="A continent or a country by name"),
        Binding("slash", "filter", "Filter", key_display="/", tooltip="km>2500 country:BR outcome:ok"),
    ]  # fmt: skip

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.placed: Placed = EMPTY
        self._coming: Placed = EMPTY
        self.row_M: IntArray = np.empty(0, np.int64)
        """The answers that the filter keeps, as rows of `placed`."""
        self._query = Query()
        self._text_open = False
        self._end: Callable[[], None] = lambda: None

    @classmethod
    def of_run(cls, folder: Path, steps: tuple[int, int] | None = None) -> "MapScreen":
        """Rollouts of the steps from … to, both included; of the newest by default, also as they come."""
        return cls(RunSource(folder, steps))

    @classmethod
    def of_result(cls, result: Path) -> "MapScreen":
        """Answers of an evaluation, finished or under way."""
        return cls(EvaluationSource(result))

    def compose_body(self) -> ComposeResult:
        """The map and what is beside it."""
        with Horizontal():
            yield WorldMap(id="map")
            with Vertical(id="map-side"):
                yield CountryTable(id="map-countries")
                yield Static(id="map-notes", markup=False)
                yield VerticalScroll(Static(id="map-words", markup=False), id="map-text")
        yield Readout(id="map-readout")
        yield PlaceBar()
        yield FilterBar(KEYS, history=self.geospot.filter_history("map"))

    def on_mount(self) -> None:
        """Starts to read."""
        self.say_title(*self.source.title)
        self.say_status("reading…")
        self._teach()
        self.query_one(WorldMap).focus()
        self._end = self.source.start(self)

    def on_unmount(self) -> None:
        """Nobody has to read for this screen any more."""
        self._end()

    # What is shown

    async def show(self, placed: Placed) -> None:
        """Shows these answers, filtered; called by the source whenever there are others."""
        self._coming = placed
        await self._apply()

    def say(self, *parts: str) -> None:
        """What is shown, and what is waited for; called by the source."""
        if not self._has_map:
            return
        count, shown = len(self.placed), len(self.row_M)
        kept_of = f"{shown:,} of {count:,} answers" if shown != count else f"{count:,} answers"
        self.say_title(*self.source.title)
        self.say_status(*parts, kept_of if count else "", self._mode)

    @property
    def _has_map(self) -> bool:
        """Whether its parts are there: a source may come late when the app is closed."""
        return bool(self.query(WorldMap))

    @property
    def _mode(self) -> str:
        world_map = self.query_one(WorldMap)
        if world_map.scene.shades is not None:
            return "median km by country"
        order = f", {_ORDERS[world_map.order]}" if world_map.selected is not None else ""
        return f"{world_map.scene.mode}, {world_map.looks_at or 'moved'}{order}"

    async def _apply(self) -> None:
        """Filters and draws; the chosen answer stays chosen where it is still there."""
        placed, query = self._coming, self._query
        row_M = await self.geospot.reader.do(kept, placed, query)
        if placed is not self._coming or query is not self._query or not self._has_map:
            return  # others have come meanwhile, or another filter: whoever brought them goes on
        world_map = self.query_one(WorldMap)
        chosen = world_map.selected
        identity = self._identity(int(self.row_M[chosen])) if chosen is not None else None
        self.placed, self.row_M = placed, row_M
        world_map.show(
            placed.truth_N_L[row_M],
            placed.place_N_L[row_M],
            placed.km_N[row_M],
            reasons=placed.reasons(row_M),
        )
        again = self._find(identity)
        if again is not None:
            world_map.select(again)
        else:
            self._read_out(None)
        if self._lists_countries:
            await self._count_countries()
        self.say(*self.source.standing)

    def _identity(self, row: int) -> tuple[Any, ...]:
        placed = self.placed
        step = -1 if placed.step_N is None else int(placed.step_N[row])
        return (step, int(placed.source_N[row]), placed.ids[row])

    def _find(self, identity: tuple[Any, ...] | None) -> int | None:
        """Where an answer is among those shown."""
        if identity is None:
            return None
        near = np.flatnonzero(self.placed.source_N[self.row_M] == identity[1]).tolist()
        return next((n for n in near if self._identity(int(self.row_M[n])) == identity), None)

    # One answer

    def on_world_map_highlighted(self, event: WorldMap.Highlighted) -> None:
        """Reads the chosen answer."""
        if event.answer == self.query_one(WorldMap).selected:  # it may have changed since
            self._read_out(event.answer)
            self.say(*self.source.standing)

    def _read_out(self, answer: int | None) -> None:
        if answer is None:
            self._teach()
            self._show_text(None)
            return
        self._say_answer(answer, {})
        work = partial(self._read_record, answer)
        self.run_worker(work, exclusive=True, group="record")

    def _teach(self) -> None:
        """What can be done, while no answer is chosen."""
        steps = [_TEACHING_STEPS] if self.source.has_steps else []
        self.query_one(Readout).teach(*_TEACHING, *steps)

    def on_world_map_changed(self, _event: WorldMap.Changed) -> None:
        """Says what is looked at."""
        self.say(*self.source.standing)

    async def _read_record(self, answer: int) -> None:
        placed, row_M = self.placed, self.row_M
        record = await self.source.record(placed, int(row_M[answer]))
        if not self._has_map:
            return
        if self.row_M is row_M and self.query_one(WorldMap).selected == answer:
            self._say_answer(answer, record)
            self._show_text(record)

    def _say_answer(self, answer: int, record: Mapping[str, Any]) -> None:
        world_map, placed = self.query_one(WorldMap), self.placed
        row, inks = int(self.row_M[answer]), self.geospot.inks
        each = int(world_map.scene.answers.class_N[answer])
        where = ""
        if placed.step_N is not None and placed.group_N is not None:
            group = int(placed.group_N[row])
            where = f"step {int(placed.step_N[row]):,}" + (f" group {group}" if group >= 0 else "")
        true, said = placed.truth_N_L[row].tolist(), placed.place_N_L[row].tolist()
        reading = Reading(
            f"{(world_map.position or 0) + 1:,} of {len(self.row_M):,}",
            placed.ids[row],
            OUTCOMES[int(placed.outcome_N[row])],
            float(placed.km_N[row]),
            (true[0], true[1]),
            (said[0], said[1]),
            ERRORS.letters[each],
            ERRORS.inks(inks)[each],
            where,
            record,
        )
        self.query_one(Readout).read(reading, inks)

    def on_world_map_selected(self, event: WorldMap.Selected) -> None:
        """Opens an answer: a run's among its rollouts, an evaluation's text beside the map."""
        if event.answer != self.query_one(WorldMap).selected:
            return
        placed, row = self.placed, int(self.row_M[event.answer])
        source = self.source
        if isinstance(source, RunSource) and not source.is_about_evaluations:
            assert placed.step_N is not None  # noqa: S101 — rollouts have steps
            name = placed.ids[row].replace('"', "")
            self.geospot.open_rollouts(source.folder, int(placed.step_N[row]), f'id:"{name}"')
            return
        self._text_open = not self._text_open
        self._show_side()
        self._read_out(event.answer)

    def _show_text(self, record: Mapping[str, Any] | None) -> None:
        if record is None:
            self._text_open = False
            self._show_side()
            return
        text = answer_text(record) if record else Text("This answer isn't there any more.", "dim")
        self.query_one("#map-words", Static).update(text)

    def action_back(self) -> None:
        """Closes what is beside the map, then goes to the screen before."""
        if self._text_open:
            self._text_open = False
            self._show_side()
        elif self._lists_countries:
            self.action_countries()
        else:
            super().action_back()

    def _show_side(self) -> None:
        """What is beside the map: a text, or countries, or nothing; the focus goes with the list."""
        text, countries = self._text_open, self._lists_countries and not self._text_open
        list_changes = countries != self.query_one(Table).has_class("-shown")
        self.query_one("#map-text").set_class(text, "-shown")
        for name in ("#map-countries", "#map-notes"):
            self.query_one(name).set_class(countries, "-shown")
        self.query_one("#map-side").set_class(text or countries, "-shown")
        if list_changes:
            self.query_one(Table if countries else WorldMap).focus()
        self.refresh_bindings()

    # Countries

    @property
    def _lists_countries(self) -> bool:
        return any(one.scene.shades is not None for one in self.query(WorldMap))

    @property
    def figures(self) -> Sequence[CountryFigures]:
        """The countries that are listed, in their order."""
        return self.query_one(CountryTable).figures

    def action_countries(self) -> None:
        """Colours countries by their median error, and lists them; or shows answers again."""
        world_map = self.query_one(WorldMap)
        if self._lists_countries:
            world_map.shade(None)
        else:
            self._text_open = False
            world_map.shade(Shades({}))
            self.run_worker(self._count_countries, exclusive=True, group="countries")
        self._show_side()
        self.say(*self.source.standing)

    async def _count_countries(self) -> None:
        figures = await self.geospot.reader.do(by_country, self.placed, self.row_M)
        if not self._lists_countries:
            return
        self.query_one(WorldMap).shade(
            Shades(
                {one.code: one.median_km for one in figures},
                {one.code for one in figures if one.is_weak},
            )
        )
        countries = self.query_one(CountryTable)
        countries.list_countries(figures)
        self.query_one("#map-notes", Static).update(countries.notes)

    def action_sort(self) -> None:
        """Sorts the countries by the next column."""
        self.query_one(CountryTable).sort_by_next()

    def on_table_header_clicked(self, event: Table.HeaderClicked) -> None:
        """Sorts by the column; once more turns the order round."""
        self.query_one(CountryTable).sort_by(event.key)

    def on_table_selected(self, event: Table.Selected) -> None:
        """Looks at a country."""
        if event.row < len(self.figures):
            one = self.figures[event.row]
            box = outlines().boxes.get(one.code)
            if box is None:
                self.notify(printable(f"{one.name} is too small for this map."), markup=False)
            else:
                self.query_one(WorldMap).look_at(box, one.name)

    # Steps

    def action_move(self, by: int) -> None:
        """Another step, or the steps before or after a range."""
        self.source.move(by)

    def action_widen(self, direction: int) -> None:
        """Twice as many steps."""
        self.source.widen(direction)

    def action_narrow(self) -> None:
        """One step."""
        self.source.narrow()

    def action_live(self) -> None:
        """The newest step, and newer ones as they come."""
        self.source.follow()

    def action_switch(self) -> None:
        """Rollouts, or evaluations on the way."""
        self.source.switch()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Steps are a run's; countries can be sorted where they are listed."""
        if action in ("move", "widen", "narrow", "live", "switch"):
            return self.source.has_steps
        if action == "sort":
            return self.is_mounted and self._lists_countries
        return True

    # Filter, places

    def action_filter(self) -> None:
        """Types a filter."""
        self.query_one(FilterBar).open()

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Shows what the filter keeps."""
        self._query = event.query
        self.order_anew(self._apply)

    def action_go_to(self) -> None:
        """Types a place to look at."""
        self.query_one(PlaceBar).open()

    def on_place_bar_found(self, event: PlaceBar.Found) -> None:
        """Looks at it."""
        self.query_one(WorldMap).look_at(event.box, event.name)
