"""Results, ranked: among those over the same images, with their intervals, and what keeps others out."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from geospot.textsafe import printable
from geospot.tui.board import (
    COLUMNS,
    KEYS,
    Board,
    Line,
    cells_of,
    columns_for,
    hidden_columns,
    lines_of,
    make_board,
)
from geospot.tui.board_detail import explained
from geospot.tui.screens.export import ExportDialog
from geospot.tui.screens.views import ListScreen
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.table import Cells, Table
from geospot_leaderboard.live import Found, LiveCollector

_PAUSE_S: Final = 1.5
_SHARE: Final = 100
"""Looking takes at most one part in so many of a core's time, however many results there are."""

_LONGEST_PAUSE_S: Final = 10.0

_TALL: Final = 32
"""Lines from which on more of them say what a result is about."""

_ASCENDING: Final = frozenset(["rank", "name", "median_km", "cost_usd"])
"""Columns in which less comes first; in all others more does."""

_EMPTY: Final = (
    "No results yet in {folders}.\n\n"
    "A result is what an evaluation leaves. Press 2 to evaluate a model or a checkpoint, or run\n\n"
    "    geospot eval --backend prior --dataset world --limit 100\n\n"
    "in another terminal: it appears here by itself, ranked among those over the same images."
)


class LeaderboardScreen(ListScreen):
    """Results below some folders, live; evaluations that runs made on their way are results, too."""

    DEFAULT_CSS = """
    LeaderboardScreen #board-detail { height: 4; padding: 0 1; background: $surface; }
    LeaderboardScreen.-tall #board-detail { height: 6; }
    LeaderboardScreen #board-empty { padding: 1 2; color: $text-muted; display: none; }
    LeaderboardScreen.-empty #board-empty { display: block; }
    LeaderboardScreen.-empty Table { display: none; }
    LeaderboardScreen Table { scrollbar-size-horizontal: 0; }
    LeaderboardScreen.-empty #board-detail { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", tooltip="The result under the cursor"),
        Binding(
            "space", "mark", "Mark", tooltip="Choose A, what is compared with; then B, what is new"
        ),
        Binding("c", "compare", "Compare", tooltip="The two marked results, photo by photo"),
        Binding("m", "map", "Map", tooltip="Its answers on the world map"),
        Binding("s", "sort", "Sort", tooltip="By the next column; a click on a header does too"),
        Binding("S", "reverse", "Reverse", show=False, tooltip="Turns the order round"),
        Binding(
            "slash",
            "filter",
            "Filter",
            key_display="/",
            tooltip="model:qwen geoscore>2000 -has:mark",
        ),
        Binding("x", "export", "Export", tooltip="As CSV or Markdown"),
        Binding(
            "r", "runs", "Runs' evals", tooltip="Evaluations that runs made on their way, or not"
        ),
        Binding("n", "group(1)", "Next group", show=False, tooltip="To the next set of images"),
        Binding(
            "p", "group(-1)", "Group before", show=False, tooltip="To the set of images before"
        ),
    ]

    SORTS = (
        "rank", "geoscore_answered", "coverage", "median_km", "country_acc", "cost_usd", "n", "date", "name",
    )  # fmt: skip
    DESCENDING = frozenset(column.key for column in COLUMNS) - _ASCENDING

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__("rank")
        self._given = tuple(folders)
        self._with_runs = False
        self._collector = LiveCollector(folders)
        self.board: Board | None = None
        self.lines: list[Line] = []
        self._marked: list[Path] = []

    def compose_body(self) -> ComposeResult:
        """The table, and what there is to say about the line under the cursor."""
        yield Static("", id="board-empty", markup=False)
        yield FilterBar(KEYS, history=self.geospot.filter_history("leaderboard"))
        yield Table(columns_for(80, 0), id="board")
        yield Static("", id="board-detail", markup=False)

    @property
    def first_keys(self) -> Sequence[str]:
        """What takes a result somewhere else, before what needs two of them."""
        return ("select", "open", "filter", "export")

    @property
    def table(self) -> Table:
        """The table."""
        return self.query_one("#board", Table)

    def on_mount(self) -> None:
        """Starts to look."""
        self.say_title("leaderboard")
        self.table.stops_at = lambda row: self.lines[row].kind != "blank"
        self.say_status(f"reading results in {_listed(self._collector.folders)}…")
        self.table.focus()
        self.run_worker(self._follow(), exclusive=True, group="follow")

    async def _follow(self) -> None:
        while True:
            spent_s = 0.0
            if self.is_current or self.board is None:
                found, spent_s = await self.geospot.reader.do(_look, self._collector)
                await self._show(found)
            await asyncio.sleep(min(max(_PAUSE_S, _SHARE * spent_s), _LONGEST_PAUSE_S))

    async def _show(self, found: Found) -> None:
        if self.board is None or found is not self.board.found:
            self.board = await self.geospot.reader.do(make_board, found)
            here = {result.path for result in found.results}
            self._marked = [path for path in self._marked if path in here]
            self._fill()
        elif found.under_way:
            self._explain()  # how long ago the newest answer came

    def _fill(self, line: int | None = None) -> None:
        """Shows the board; the cursor stays on what it is on."""
        if self.board is None:
            return
        before = self._line()
        self.lines = lines_of(
            self.board, self.sort, descending=self.descending, query=self.query_said
        )
        if line is None:
            line = self._place_of(before)
        self.set_class(not self.lines and not self.query_said.terms, "-empty")
        folders = _listed(self._collector.folders)
        self.query_one("#board-empty", Static).update(Text(_EMPTY.format(folders=folders)))
        self._columns()
        self.call_after_refresh(self._columns)  # a table that was hidden has no width before
        self.table.show(
            len(self.lines), self._cells, cursor=line, sorted_by=(self.sort, self.descending)
        )
        self._explain()

    def _place_of(self, before: Line | None) -> int:
        """Where a line is now; at the start, the first result."""
        if before is not None:
            for index, line in enumerate(self.lines):
                if line.identity == before.identity:
                    return index
            return self.table.cursor
        return next((i for i, line in enumerate(self.lines) if line.kind == "result"), 0)

    def _columns(self) -> None:
        longest = self.board.longest if self.board is not None else 0
        wanted = columns_for(self.table.scrollable_content_region.width, longest)
        if tuple(wanted) != self.table.columns:
            self.table.set_columns(wanted)
        self._say()  # how many of them there is no room for

    def _cells(self, row: int) -> Cells:
        line = self.lines[row]
        mark = ""
        if self.board is None:
            return ()
        if line.kind == "result" and line.path in self._marked:
            mark = "AB"[self._marked.index(line.path)]
        return cells_of(self.board, line, self.table.columns, mark)

    def on_resize(self, event: events.Resize) -> None:
        """Names get what room there is."""
        self.set_class(event.size.height >= _TALL, "-tall")
        self.call_after_refresh(self._columns)

    def _line(self) -> Line | None:
        cursor = self.table.cursor
        return self.lines[cursor] if 0 <= cursor < len(self.lines) else None

    def _explain(self) -> None:
        line = self._line()
        said = explained(self.board, line) if self.board is not None and line is not None else []
        inks = self.geospot.inks
        styles = {"bad": f"#{inks.bad:06x}", "warning": f"#{inks.warning:06x}"}
        text = Text(overflow="fold")
        for sentence, style in said:
            text.append("\n" if text else "")
            text.append(printable(sentence), styles.get(style, style))
        self.query_one("#board-detail", Static).update(text, layout=False)

    def _say(self) -> None:
        if self.board is None:
            return
        found = self.board.found
        ranked = sum(row.rank is not None for group in self.board.groups for row in group.rows)
        groups = len(self.board.groups)
        shown = sum(line.kind == "result" for line in self.lines)
        counts = [
            f"{shown:,} shown by the filter" if self.query_said.terms else "",
            f"{ranked:,} ranked",
            f"{len(found.results) - ranked:,} unranked" if len(found.results) > ranked else "",
            f"{len(found.under_way):,} under way" if found.under_way else "",
            f"{groups} sets of images" if groups > 1 else "",
            f"A is {self._marked[0].name}: mark B" if len(self._marked) == 1 else "",
            f"A {self._marked[0].name}, B {self._marked[1].name}: c compares"
            if len(self._marked) == 2
            else "",
        ]
        hidden = hidden_columns(self.table.columns, self.table.scrollable_content_region.width)
        missing = f"there is no folder {_listed(found.missing)}" if found.missing else ""
        more = f"→ {hidden} more columns" if hidden else ""
        self.say_status(*counts, more, missing, _listed(self._collector.folders))

    # What the person does

    def on_table_highlighted(self, _event: Table.Highlighted) -> None:
        """Says what there is to say about the line."""
        self._explain()

    def on_table_selected(self, _event: Table.Selected) -> None:
        """Opens the result."""
        self.action_open()

    def action_open(self) -> None:
        """Opens the result under the cursor."""
        line = self._line()
        if line is not None and line.path is not None:
            self.geospot.open_result(line.path)

    def action_map(self) -> None:
        """Shows its answers on the map."""
        line = self._line()
        if line is not None and line.path is not None:
            self.geospot.open_result_map(line.path)

    def action_mark(self) -> None:
        """Marks a result as A or B, or takes its mark away; a third takes B's place."""
        line = self._line()
        if line is None or line.kind != "result" or line.path is None:
            return
        if line.path in self._marked:
            self._marked.remove(line.path)
        else:
            self._marked = [*self._marked[:1], line.path]
        self._fill()

    def action_compare(self) -> None:
        """Compares A with B; with one mark, A with the result under the cursor."""
        line = self._line()
        pair = list(self._marked)
        if len(pair) == 1 and line is not None and line.kind == "result" and line.path not in pair:
            pair += [line.path] if line.path is not None else []
        if len(pair) == 2:
            self.geospot.open_compare_results(pair[0], pair[1])
        else:
            self.notify("Mark two results with space: first A, what is compared with, then B.")

    def list_anew(self) -> None:
        """Shows it sorted and filtered; ranks stay."""
        self._fill()

    def action_group(self, by: int) -> None:
        """To the next set of images, or the one before."""
        starts = [
            i for i, line in enumerate(self.lines) if line.kind == "heading" and line.group >= 0
        ]
        cursor = self.table.cursor
        after = (
            [i for i in starts if i > cursor] if by > 0 else [i for i in starts if i < cursor][::-1]
        )
        if after:
            self.table.cursor = after[0]

    def action_runs(self) -> None:
        """Looks into the folders of runs as well, or no longer."""
        self._with_runs = not self._with_runs
        runs = [folder for folder in self.geospot.folders if folder not in self._given]
        self._collector = LiveCollector([*self._given, *(runs if self._with_runs else ())])
        self.say_status(f"reading results in {_listed(self._collector.folders)}…")
        self.run_worker(self._follow(), exclusive=True, group="follow")

    def action_export(self) -> None:
        """Writes the leaderboard as CSV or Markdown, where the person says."""
        if self.board is None or not self.board.groups:
            self.notify("There is nothing to export yet.")
            return
        dialog = ExportDialog(self.board.groups, self.board.found.broken, self.geospot.reader)
        self.geospot.push_screen(dialog, self._exported)

    def _exported(self, path: Path | None) -> None:
        if path is not None:
            self.say_status(f"wrote {path}")
            self.notify(f"Wrote {printable(str(path))}", markup=False)


def _look(collector: LiveCollector) -> tuple[Found, float]:
    """What there is, and how long the processor was busy with it."""
    started_s = time.thread_time()
    found = collector.look()
    return found, time.thread_time() - started_s


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
