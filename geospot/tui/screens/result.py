"""One evaluation: figures with intervals, what became of the answers, each answer, countries, settings."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from geospot.evaluation.following import OUTCOMES, Answers, AnswersTail, ResultFiles, read_answer
from geospot.evaluation.results import EVAL
from geospot.evaluation.standing import section
from geospot.evaluation.textsearch import TextSearch
from geospot.textsafe import printable
from geospot.tui.result_lists import (
    ANSWER_COLUMNS,
    COUNTRY_COLUMNS,
    KEYS,
    ORDERS,
    SETTING_COLUMNS,
    Country,
    answer_cells,
    countries_of,
    country_cells,
    order_of,
    settings_of,
    sorted_countries,
)
from geospot.tui.result_view import overview, so_far
from geospot.tui.screens.answers import AnswersDialog
from geospot.tui.screens.result_control import EvaluationControls
from geospot.tui.screens.views import VIEW_KEYS
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.panes import Panes
from geospot.tui.widgets.table import Table
from geospot.tui.widgets.worldmap import WorldMap

_PAUSE_S: Final = 0.5
_IDLE_S: Final = 2.0
_REDRAW_S: Final = 0.7
"""While a long file fills in, lists are sorted again this often."""

_PARTS: Final = "#result-text, #result-list, #answers, #result-map, #countries, #settings"
_PARTS_COUNT: Final = 6
_BESIDE: Final = 78
_WIDE: Final = 150

OVERVIEW: Final = "Figures"
ANSWERS: Final = "Answers"
MAP: Final = "Map"
COUNTRIES: Final = "Countries"
SETTINGS: Final = "Settings"


class ResultScreen(EvaluationControls):
    """One evaluation, finished or under way. Figures come from summary.json at once, answers fill in."""

    DEFAULT_CSS = """
    ResultScreen #result-figures { padding: 0 1; }
    ResultScreen #result-text { height: auto; width: 100%; }
    ResultScreen #result-list { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *VIEW_KEYS,
        Binding(
            "l", "show('Answers')", "Answers", tooltip="Every answer: worst, best or typical first"
        ),
        Binding("m", "show('Map')", "Map", tooltip="Every answer on the world map"),
        Binding("t", "show('Countries')", "Countries", tooltip="Figures by country"),
        Binding("i", "show('Settings')", "Settings", show=False, tooltip="How it was evaluated"),
        Binding("s", "sort", "Sort", tooltip="Worst, best, typical first; or by the next column"),
        Binding("S", "reverse", "Reverse", show=False, tooltip="Turns the order round"),
        Binding(
            "slash",
            "filter",
            "Filter",
            key_display="/",
            tooltip="outcome:refusal km>2500 country:BR, or words of the answers",
        ),
        Binding("M", "full_map", "Full map", show=False, tooltip="The map on a screen of its own"),
    ]

    LIST = ANSWERS

    def __init__(self, result: Path) -> None:
        super().__init__(result, "worst", descending=True)
        self.answers = Answers()
        self.countries: list[Country] = []
        self._files = ResultFiles(result)
        self._tail = AnswersTail(result)
        self._search = TextSearch(result)
        self._mapped = -1
        """Which revision of the answers the map has."""
        self._summary: Mapping[str, Any] | None = None
        self._settings: Sequence[tuple[str, str]] = ()
        self._country_sort, self._country_descending = "n", True

    def compose_body(self) -> ComposeResult:
        """The views."""
        figures = VerticalScroll(Static("", id="result-text", markup=False), id="result-figures")
        answers = Vertical(
            FilterBar(KEYS, history=self.geospot.filter_history("answers"), id="result-filter"),
            Table(ANSWER_COLUMNS, id="answers"),
            id="result-list",
        )
        yield Panes(
            {
                OVERVIEW: figures,
                ANSWERS: answers,
                MAP: WorldMap(id="result-map"),
                COUNTRIES: Table(COUNTRY_COLUMNS, id="countries"),
                SETTINGS: Table(SETTING_COLUMNS, id="settings"),
            },
            beside=_BESIDE,
            wide=_WIDE,
        )

    def on_mount(self) -> None:
        """Starts to read."""
        self.say_title("results", self.result.name)
        self.say_status(f"reading {self.result}…")
        figures = self.query_one("#result-figures")
        figures.focus()
        self.watch(figures, "show_vertical_scrollbar", self._fit, init=False)
        self.run_worker(self._follow(), exclusive=True, group="follow")

    # Reading

    async def _follow(self) -> None:
        do = self.geospot.reader.do
        clock = asyncio.get_running_loop().time
        shown_at, revision, news_at = -1e9, -1, clock()
        while True:
            files_changed = await self.look_again()
            if files_changed:
                await self.see_whether_it_lives()
                await self._show_figures()
                self.refresh_bindings()
            answers = await do(self._tail.look)
            is_due = not answers.is_behind or clock() - shown_at > _REDRAW_S
            if (answers.revision != revision or files_changed) and is_due:
                self.answers, revision, shown_at = answers, answers.revision, clock()
                news_at = shown_at
                if (
                    not (self.is_under_way or self.is_complete)
                    and await self.see_whether_it_lives()
                ):
                    await self._show_figures()
                await self._show_answers()
                self.say()
            else:
                self.answers = answers
                if not self.is_complete and clock() - news_at > _IDLE_S:
                    news_at = clock()
                    if await self.see_whether_it_lives():
                        await self._show_figures()
            if not answers.is_behind:
                await asyncio.sleep(_PAUSE_S if self.is_under_way else _IDLE_S)

    async def look_again(self) -> bool:
        """Reads both files where they have changed, and whether they have."""
        changed = await self.geospot.reader.do(self._files.look)
        if changed:
            self._settings = settings_of(self._files.manifest)
        return changed

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What eval.json says."""
        return self._files.manifest

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """What summary.json says; None while there are no figures of all answers yet."""
        return self._files.summary

    async def _show_figures(self) -> None:
        manifest, summary = self._files.manifest, self._files.summary
        if summary is None or self.is_under_way:
            summary = await self.geospot.reader.do(so_far, self.answers, manifest)
        self._summary = summary
        self._draw_figures()
        if not self._is_there:
            return
        settings = self._settings
        table = self.query_one("#settings", Table)
        table.show(len(settings), lambda row: settings[row])

    @property
    def _is_there(self) -> bool:
        """Whether all parts are there; what comes late, while the app closes, is shown nowhere."""
        return self.is_attached and len(self.query(_PARTS)) == _PARTS_COUNT

    def _draw_figures(self) -> None:
        if not self._is_there:
            return
        text = Text()
        if self._files.problem:
            text = Text(self._files.problem)
        elif not self._files.manifest and self._files.summary is None:
            text = Text(f"{self.result} holds no evaluation yet: it has no {EVAL}.")
        elif self._summary is not None:
            room = self.query_one("#result-figures").scrollable_content_region.width
            text = overview(
                self._files.manifest,
                self._summary,
                is_so_far=self.is_under_way,
                inks=self.geospot.inks,
                width=room or self.size.width,
            )
            text.append(f"{'directory':13}", "dim")
            text.append(printable(str(self.result)))
        self.query_one("#result-text", Static).update(text)

    async def _show_answers(self) -> None:
        answers = self.answers
        if self.is_under_way:
            await self._show_figures()
        await self.put_in_order()
        do = self.geospot.reader.do
        summary = None if self.is_under_way else self._files.summary
        self.countries = await do(countries_of, answers, summary)
        if self._is_there:
            self._show_countries()
            self._show_map()

    def _show_map(self) -> None:
        """Hands the map what is new, while it is seen."""
        answers = self.answers
        if self.panes.shown != MAP or self._mapped == answers.revision:
            return
        self._mapped = answers.revision
        reasons = np.bincount(answers.outcome_N, minlength=len(OUTCOMES))
        self.query_one("#result-map", WorldMap).show(
            _points(answers, "true_"),
            _points(answers, ""),
            answers.distance_km_N,
            reasons={OUTCOMES[i]: int(count) for i, count in enumerate(reasons) if i and count},
            keep_selected=True,
        )

    async def put_in_order(self) -> None:
        """Sorts and filters; the cursor stays on its answer."""
        if not self._is_there:
            return
        table = self.query_one("#answers", Table)
        answers = self.answers
        kept = int(self.order_N[table.cursor]) if table.cursor < len(self.order_N) else -1
        was_first = table.cursor == 0
        asked = (self.sort, self.descending, self.query_said)
        order = await self.geospot.reader.do(
            order_of,
            answers,
            self.sort,
            descending=self.descending,
            query=self.query_said,
            search=self._search,
        )
        if asked != (self.sort, self.descending, self.query_said) or not self._is_there:
            return  # another order was wanted meanwhile, and comes by itself
        self.order_N = order
        place = np.flatnonzero(order == kept if kept >= 0 and not was_first else ())
        sorted_by = ("km" if self.sort in ("worst", "best") else self.sort, self.descending)
        table.show(
            len(order),
            lambda row: answer_cells(answers, int(order[row])),
            cursor=int(place[0]) if len(place) else 0,
            sorted_by=sorted_by,
        )

    def _show_countries(self) -> None:
        self.countries = sorted_countries(
            self.countries, self._country_sort, descending=self._country_descending
        )
        shown = self.countries
        self.query_one("#countries", Table).show(
            len(shown),
            lambda row: country_cells(shown[row]),
            sorted_by=(self._country_sort, self._country_descending),
        )

    def say(self) -> None:
        """Says what the view shows, and how much of it."""
        if not self._is_there:
            return
        backend = section(self._files.manifest, "backend")
        dataset = section(self._files.manifest, "dataset")
        label = f"{backend.get('name') or '?'}/{backend.get('model') or '?'}"
        is_named = self.result.name in label  # a folder that is called as what was asked
        self.say_title("results", *([] if is_named else [self.result.name]), label)
        n, samples = dataset.get("n"), section(self._files.manifest, "config").get("samples") or 1
        expected = n * samples if isinstance(n, int) and isinstance(samples, int) else 0
        answers, shown = len(self.answers), len(self.order_N)
        is_listed = self.query_one("#result-list").display
        so_far = f"{answers:,} of {expected:,} answers" if expected else f"{answers:,} answers"
        self.say_status(
            "reading answers" if self.answers.is_behind else "",
            so_far + (" so far" if self.is_under_way else ""),
            "its process is gone: R goes on with it" if self.has_died and self.is_under_way else "",
            f"{self.sort} first" if is_listed and self.sort in ORDERS[:3] else "",
            f"{shown:,} shown by the filter" if shown != answers else "",
            f"{self.answers.passed_over:,} lines passed over: no records"
            if self.answers.passed_over
            else "",
            f"{dataset.get('name') or '?'}, {dataset.get('split') or '?'}",
        )

    def on_resize(self, event: events.Resize) -> None:
        """The outcomes' bar follows the width."""
        self._fit()

    def _fit(self) -> None:
        """A scroll bar that comes or goes takes room, too."""
        if self._files.manifest or self._files.problem:
            self.call_after_refresh(self._draw_figures)

    # What the person does

    def on_panes_shown(self, _event: Panes.Shown) -> None:
        """Says what the view shows."""
        self._show_map()
        self.say()

    def _sort_answers(self, sort: str, *, descending: bool) -> None:
        self.sort, self.descending = sort, descending
        self.order_N = np.empty(0, np.int64)  # another order begins at its top
        self.list_anew()

    def action_sort(self) -> None:
        """Answers: worst, best, typical, as answered. Countries: the next column."""
        if self.panes.shown == COUNTRIES:
            keys = [column.key for column in COUNTRY_COLUMNS]
            self._sort_countries(keys[(keys.index(self._country_sort) + 1) % len(keys)])
            return
        if self.panes.shown in (OVERVIEW, SETTINGS, MAP) and not self.panes.is_wide:
            self.panes.show(ANSWERS)
        place = ORDERS.index(self.sort) if self.sort in ORDERS else -1
        sort = ORDERS[(place + 1) % len(ORDERS)]
        self._sort_answers(sort, descending=sort == "worst")

    def action_reverse(self) -> None:
        """Turns the order round."""
        if self.panes.shown == COUNTRIES:
            self._sort_countries(self._country_sort)
        elif self.sort in ("worst", "best"):
            is_worst = self.sort == "worst"
            self._sort_answers("best" if is_worst else "worst", descending=not is_worst)
        else:
            self._sort_answers(self.sort, descending=not self.descending)

    def _sort_countries(self, key: str) -> None:
        is_same = key == self._country_sort
        self._country_descending = not self._country_descending if is_same else key != "name"
        self._country_sort = key
        self._show_countries()

    def header_clicked(self, table: Table, key: str) -> None:
        """Sorts answers or countries by a column; once more turns it round."""
        if table.id == "countries":
            self._sort_countries(key)
        elif table.id == "answers":
            self._sort_answers(key, descending=key == self.sort and not self.descending)

    def action_full_map(self) -> None:
        """The map's own screen."""
        self.geospot.open_result_map(self.result)

    def on_table_selected(self, event: Table.Selected) -> None:
        """Opens an answer; a country's answers."""
        if event.table.id == "answers" and event.row < len(self.order_N):
            self._open(int(self.order_N[event.row]))
        elif event.table.id == "countries" and event.row < len(self.countries):
            self.panes.show(ANSWERS)
            code = self.countries[event.row].code
            self.query_one(FilterBar).set_text(f'country="{code}"')

    def on_world_map_selected(self, event: WorldMap.Selected) -> None:
        """Opens the chosen answer."""
        self._open(event.answer)

    def _open(self, row: int) -> None:
        if row < len(self.answers):
            offset = int(self.answers.columns_N["offset"][row])
            read = partial(_read, self.result, offset)
            dialog = AnswersDialog(self.answers.ids[row], [("", read)], self.geospot.reader)
            self.geospot.push_screen(dialog)


def _points(answers: Answers, before: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    columns = answers.columns_N
    return np.column_stack([columns[f"{before}latitude"], columns[f"{before}longitude"]])


def _read(result: Path, offset: int) -> list[Mapping[str, Any]]:
    record = read_answer(result, offset)
    return [] if record is None else [record]
