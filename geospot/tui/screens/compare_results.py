"""Two evaluations, photo by photo: is B better than A, and on which photos is it worse?"""

import gc
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from geospot.errors import GeospotError
from geospot.evaluation.following import find_answers
from geospot.evaluation.textsearch import TextSearch
from geospot.textsafe import printable
from geospot.tui.atlas.classes import CHANGES
from geospot.tui.compare_view import (
    KEYS,
    PAIR_COLUMNS,
    change_km,
    figures,
    head,
    order_of,
    pair_cells,
)
from geospot.tui.screens.answers import AnswersDialog
from geospot.tui.screens.views import VIEW_KEYS, ViewsScreen
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.panes import Panes
from geospot.tui.widgets.table import Table
from geospot.tui.widgets.worldmap import WorldMap
from geospot_leaderboard.compare import Comparison, judge
from geospot_leaderboard.pairs import Pairs, pair_up

_BESIDE: Final = 80
_WIDE: Final = 150

FIGURES: Final = "Figures"
PHOTOS: Final = "Photos"
MAP: Final = "Map"


class CompareResultsScreen(ViewsScreen):
    """Pairs the photos of two results: `a` is what is compared with, `b` is new. Differences are B − A."""

    DEFAULT_CSS = """
    CompareResultsScreen #compare-head { height: auto; padding: 0 1; }
    CompareResultsScreen #compare-figures { padding: 0 1; }
    CompareResultsScreen #compare-text { height: auto; width: 100%; }
    CompareResultsScreen #compare-list { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *VIEW_KEYS,
        Binding(
            "l", "show('Photos')", "Photos", tooltip="Every photo, those on which B lost most first"
        ),
        Binding("m", "show('Map')", "Map", tooltip="Where B is nearer and where it is farther off"),
        Binding("x", "swap", "Swap", tooltip="A becomes B, and B becomes A"),
        Binding("s", "sort", "Sort", tooltip="By the next column"),
        Binding("S", "reverse", "Reverse", show=False, tooltip="Turns the order round"),
        Binding(
            "slash",
            "filter",
            "Filter",
            key_display="/",
            tooltip="is:worse change>2500 boutcome:refusal, or words of the answers",
        ),
    ]

    LIST = PHOTOS
    SORTS = ("points", "change", "a", "b", "id")
    DESCENDING = frozenset(["change", "what", "a", "b"])
    """What is worst comes first."""

    def __init__(self, a: Path, b: Path) -> None:
        super().__init__("points")
        self.a, self.b = a, b
        self.pairs: Pairs | None = None
        self.comparison: Comparison | None = None
        self._problem = ""
        self._searches = (TextSearch(a), TextSearch(b))

    def compose_body(self) -> ComposeResult:
        """Who is compared, then the views."""
        yield Static("", id="compare-head", markup=False)
        text = VerticalScroll(Static("", id="compare-text", markup=False), id="compare-figures")
        photos = Vertical(
            FilterBar(KEYS, history=self.geospot.filter_history("photos"), id="compare-filter"),
            Table(PAIR_COLUMNS, id="photos"),
            id="compare-list",
        )
        views = {FIGURES: text, PHOTOS: photos, MAP: WorldMap(id="compare-map")}
        yield Panes(views, beside=_BESIDE, wide=_WIDE)

    def on_mount(self) -> None:
        """Starts to read and to test."""
        self.query_one("#compare-figures").focus()
        self._begin()

    def _begin(self) -> None:
        self.say_title("results", "compare", f"A {self.a.name}", f"B {self.b.name}")
        self.comparison, self._problem = None, ""
        self.order_N = np.empty(0, np.int64)
        self._draw()
        self.run_worker(self._work(), exclusive=True, group="compare")

    async def _work(self) -> None:
        """Pairs first, so that photos are there at once; then what takes long."""
        if self.pairs is None:
            await self._read()
        if self.pairs is None:
            self._draw()
            self.say_status("nothing to compare")
            return
        await self.put_in_order()
        self._show_map()
        self._draw()
        self.say()
        self.comparison = await self.geospot.reader.do(judge, self.pairs)
        self._draw()
        self.say()

    async def _read(self) -> None:
        self.say_status("reading the answers of both…")
        try:
            self.pairs = await self.geospot.reader.do(_pair_up, self.a, self.b)
        except GeospotError as error:
            self._problem = str(error)

    def _draw(self) -> None:
        if self.pairs is None:
            self.query_one("#compare-head", Static).update(
                Text(
                    f"A  compared with  {printable(str(self.a))}\nB  new  {printable(str(self.b))}"
                )
            )
            self.query_one("#compare-text", Static).update(Text(printable(self._problem)))
            return
        shown = head(self.pairs, self.comparison, self.geospot.inks, self.size.width - 2)
        self.query_one("#compare-head", Static).update(shown)
        self.query_one("#compare-text", Static).update(figures(self.pairs, self.comparison))

    def _show_map(self) -> None:
        if self.pairs is None:
            return
        truths, said = self.pairs.images_a.true_N_C, self.pairs.images_b.said_N_C
        self.query_one("#compare-map", WorldMap).show(
            truths,
            # A photo that B gives no place for is seen where it was taken.
            np.where(np.isfinite(said), said, truths),
            change_km(self.pairs),
            classes=CHANGES,
        )

    async def put_in_order(self) -> None:
        """Sorts and filters the photos."""
        pairs = self.pairs
        if pairs is None:
            return
        asked = (self.sort, self.descending, self.query_said)
        order = await self.geospot.reader.do(
            order_of,
            pairs,
            self.sort,
            descending=self.descending,
            query=self.query_said,
            searches=self._searches,
        )
        if pairs is not self.pairs or asked != (self.sort, self.descending, self.query_said):
            return  # another order was wanted meanwhile, and comes by itself
        gain = pairs.gain_N
        self.order_N = order
        self.query_one("#photos", Table).show(
            len(order),
            lambda row: pair_cells(pairs, gain, int(order[row])),
            cursor=0,
            sorted_by=(self.sort, self.descending),
        )

    def say(self) -> None:
        """Says what the view shows, and how much of it."""
        if self.pairs is None:
            return
        common, shown = len(self.pairs.images_a.ids), len(self.order_N)
        self.say_status(
            "" if self.comparison is not None else "testing: bootstrap and permutations",
            f"{common:,} photos in common",
            f"{shown:,} shown by the filter" if shown != common else "",
            "arcs lead from photos to what B says"
            if self.panes.shown == MAP
            else "km: below 0 is nearer; points: above 0 is better",
        )

    def on_resize(self, event: events.Resize) -> None:
        """The bar follows the width."""
        if self.pairs is not None:
            self._draw()

    # What the person does

    def action_swap(self) -> None:
        """A becomes B, and B becomes A; figures are computed anew."""
        self.a, self.b = self.b, self.a
        self.pairs = self.pairs and self.pairs.swapped()
        self._begin()

    def on_table_selected(self, event: Table.Selected) -> None:
        """Both texts side by side."""
        if event.row < len(self.order_N):
            self._open(int(self.order_N[event.row]))

    def on_world_map_selected(self, event: WorldMap.Selected) -> None:
        """Both texts of the chosen photo."""
        self._open(event.answer)

    def _open(self, row: int) -> None:
        if self.pairs is None:
            return
        name = self.pairs.images_a.ids[row]
        sides = [
            (f"A  {self.pairs.a.label}", partial(find_answers, self.a, name)),
            (f"B  {self.pairs.b.label}", partial(find_answers, self.b, name)),
        ]
        self.geospot.push_screen(AnswersDialog(name, sides, self.geospot.reader))


def _pair_up(a: Path, b: Path) -> Pairs:
    """Pairs without a search for cycles on the way.

    Hundreds of thousands of short-lived objects are made, among which there are none; looking through all of
    them would stop every thread for seconds.
    """
    gc.disable()
    try:
        return pair_up(a, b)
    finally:
        gc.enable()
