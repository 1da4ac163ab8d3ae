"""All runs, newest first, live."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer

from geospot.errors import UsageError
from geospot.runs.catalogue import FILTER_KEYS
from geospot.tui.run_control import RunControls
from geospot.tui.run_order import RunOrder
from geospot.tui.run_rows import (
    SORTABLE,
    STANDING_MARKS,
    cells_of,
    columns_for,
    unread_cells,
)
from geospot.tui.screen import LEAST_WIDTH
from geospot.tui.widgets.ask_folder import AskFolder
from geospot.tui.widgets.confirm import ask
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.run_preview import RunPreview
from geospot.tui.widgets.table import Cells, Table
from geospot.tui.widgets.welcome import Welcome

_REPAINT_S: Final = 0.2
"""News within so short a time are drawn together."""
_PREVIEW_FROM: Final = 34
"""Rows of the terminal from which on there is a preview."""

_CONTROLS: Final = {
    "stop_run", "stop_run_now", "resume_run", "branch_run", "evaluate_run", "set_run_aside",
}  # fmt: skip
_NEED_RUNS: Final = _CONTROLS | {
    "filter", "mark", "unmark", "compare", "sort", "reverse", "copy",
}  # fmt: skip
"""What can't be done where there is no run; its keys aren't shown then."""

_USUAL: Final = {"kind": ("rl", "sft", "other"), "state": tuple(STANDING_MARKS)}
_KEYS: Final = {key: _USUAL.get(key, ()) for key in sorted(FILTER_KEYS)}


class RunsScreen(RunControls):
    """Every run under the app's folders."""

    DEFAULT_CSS = """
    RunsScreen > #runs-preview { display: none; }
    RunsScreen.-tall > #runs-preview { display: block; }
    RunsScreen > Welcome { display: none; }
    RunsScreen.-empty > Table, RunsScreen.-empty > #runs-preview, RunsScreen.-empty > FilterBar {
        display: none;
    }
    RunsScreen.-empty > Welcome { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "app.launch", "New run", tooltip="Train or evaluate, from a form"),
        Binding(
            "slash", "filter", "Filter", tooltip="Such as kind:rl model:qwen reward>0.4 has:eval"
        ),
        Binding("space", "mark", "Mark", tooltip="Mark the run, for comparing"),
        Binding("c", "compare", "Compare", tooltip="Lay the marked runs over one another"),
        Binding("l", "app.leaderboard", "Leaderboard", tooltip="Results, ranked"),
        Binding("greater_than_sign", "sort(1)", "Sort", tooltip="By the next column"),
        Binding(
            "less_than_sign", "sort(-1)", "Sort back", show=False, tooltip="By the column before"
        ),
        Binding("r", "reverse", "Reverse", show=False, tooltip="Sort the other way round"),
        Binding("u", "unmark", "Unmark all", show=False, tooltip="Take all marks away"),
        Binding(
            "o", "watch_folder", "Watch", show=False, tooltip="Show the runs of another folder, too"
        ),
        Binding(
            "D",
            "demo",
            "Demo",
            show=False,
            tooltip="Train and rank a tiny model here, in some minutes",
        ),
        Binding("E", "launch_evaluation", "Evaluate", show=False, tooltip="Score any model"),
        Binding("y", "copy", "Copy path", show=False, tooltip="Copy the path of the run's folder"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._table = Table(columns_for(LEAST_WIDTH), id="runs-table")
        self._preview = RunPreview(id="runs-preview")
        self._order = RunOrder()
        self._shown: Sequence[Path] = ()
        self._marked: set[Path] = set()
        self._chosen: Path | None = None
        """The run under the cursor, which stays on it."""
        self._meant: Path | None = None
        """The run that the cursor was moved to; it has it again when a filter lets it through."""
        self._offered_in = ""
        """The standing for which keys were offered last."""
        self._repaint: Timer | None = None
        self._is_stale = False
        self._demo_goes_on = False

    def compose_body(self) -> ComposeResult:
        """Filter, table, preview; or the welcome."""
        yield FilterBar(_KEYS, history=self.geospot.filter_history("runs"))
        yield self._table
        yield Welcome()
        yield self._preview

    def on_mount(self) -> None:
        """Begins to look."""
        self.say_title("runs")
        self.say_status("Looking for runs…")
        self._table.focus()
        self.geospot.listing.wanted = self._visible
        self._end = self.geospot.listing.subscribe(self._news)

    def on_unmount(self) -> None:
        """Looks no more."""
        self._end()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without runs there is nothing to control, sort or compare."""
        if action == "back":
            return False  # this is the first screen
        return not (self.has_class("-empty") and action in _NEED_RUNS)

    def chosen_run(self) -> Path | None:
        """The run under the cursor; also where a key came sooner than word of the move before it."""
        self._note_move()
        self._chosen = self._under_cursor()
        if self._chosen is None:
            self.notify("There is no run under the cursor.", markup=False)
        return self._chosen

    def standing_now(self) -> str:
        """What has become of the run under the cursor."""
        run = None if self._chosen is None else self.geospot.listing.summaries.get(self._chosen)
        return "" if run is None else run.standing

    def host_now(self) -> str:
        """The machine of the run under the cursor, where it isn't this one."""
        run = None if self._chosen is None else self.geospot.listing.summaries.get(self._chosen)
        return "" if run is None or run.is_here else run.host

    def _visible(self) -> Sequence[Path]:
        """Runs on screen, as far as it is known which; before the first painting, the newest."""
        top = self._table.scroll_offset.y
        runs = self._shown or self.geospot.listing.runs
        return runs[top : top + self.geospot.size.height]

    def _news(self) -> None:
        """The list has news: the first is painted at once, then several together."""
        if self.is_leaving:
            return
        if self._repaint is None:
            self._paint()
            self._repaint = self.set_timer(_REPAINT_S, self._paint_later)
        else:
            self._is_stale = True

    def _paint_later(self) -> None:
        self._repaint = None
        if self._is_stale:
            self._is_stale = False
            self._news()

    def on_screen_resume(self) -> None:
        """What changed while another screen was shown is painted."""
        self._paint()

    def _paint(self) -> None:
        if not self.is_current or not self.geospot.listing.has_scanned:
            return
        listing = self.geospot.listing
        was_empty = self.has_class("-empty")
        self.set_class(not listing.runs, "-empty")
        if self.has_class("-empty") != was_empty:
            self.refresh_bindings()
        if not listing.runs:
            self._chosen = None
            welcome = self.query_one(Welcome)
            welcome.say_where(listing.folders)
            if not was_empty:
                welcome.focus_things()
        elif was_empty:
            self._table.focus()
        self._note_move()
        self._shown = self._order.rows(listing.runs, listing.summaries)
        self._marked &= set(listing.runs)
        self._show_rows()
        self._say()
        self._show_preview()

    def _show_rows(self) -> None:
        stays = [run for run in (self._meant, self._chosen) if run in self._shown]
        place = self._shown.index(stays[0]) if stays else None
        by = (self._order.key, self._order.descending)
        self._table.show(len(self._shown), self._cells, cursor=place, sorted_by=by)
        self._follow_cursor()

    def _cells(self, row: int) -> Cells:
        folder, inks = self._shown[row], self.geospot.inks
        run = self.geospot.listing.summaries.get(folder)
        marked = folder in self._marked
        if run is None:
            return unread_cells(self._short_name(folder), inks, marked=marked)
        spark_width = next(c.width for c in self._table.columns if c.key == "spark")
        return cells_of(run, marked=marked, inks=inks, spark_width=spark_width)

    def _short_name(self, folder: Path) -> str:
        for root in self.geospot.listing.folders:
            if folder != root and folder.is_relative_to(root):
                return folder.relative_to(root).as_posix()
        return folder.name

    def _say(self) -> None:
        listing, shown = self.geospot.listing, len(self._shown)
        if not listing.runs:
            self.say_status(
                "The demo is asking the untrained model first; its training appears here"
                if self._demo_goes_on
                else "Waiting for the first run"
            )
            return
        count = len(listing.runs)
        running = len(listing.running)
        reading = "" if listing.is_complete else f"reading {len(listing.summaries):,} of {count:,}…"
        order = self._order
        label = next(c.label.lower() for c in self._table.columns if c.key == order.key)
        passed = f"{shown:,} shown" if shown else "none fits the filter: / and esc clears it"
        self.say_status(
            f"{count:,} run{'s' if count != 1 else ''}",
            f"{running:,} running",
            passed if order.query.terms else "",
            f"{len(self._marked)} marked" if self._marked else "",
            "" if order.is_usual else f"by {label} {'▼' if order.descending else '▲'}",
            reading,
            "too many folders: not all were looked into" if listing.is_cut else "",
        )

    def on_table_highlighted(self, _event: Table.Highlighted) -> None:
        """The cursor went to another run."""
        self._note_move()
        self._follow_cursor()

    def _under_cursor(self) -> Path | None:
        row = self._table.cursor
        return self._shown[row] if row < len(self._shown) else None

    def _note_move(self) -> None:
        """Remembers the run where the cursor was moved since the rows were shown, however short ago."""
        if (run := self._under_cursor()) != self._chosen:
            self._meant = run

    def _follow_cursor(self) -> None:
        self._chosen = self._under_cursor()
        self._show_preview()

    def on_table_selected(self, _event: Table.Selected) -> None:
        """Opens the run."""
        if (run := self.chosen_run()) is not None:
            self.geospot.open_run(run)

    def on_table_header_clicked(self, event: Table.HeaderClicked) -> None:
        """Sorts by the column; once more, the other way round."""
        if event.key in SORTABLE:
            self._sort_by(event.key)

    def action_sort(self, by: int) -> None:
        """Sorts by the next column; one for which there was no room is shown then."""
        place = SORTABLE.index(self._order.key)
        self._sort_by(SORTABLE[(place + by) % len(SORTABLE)])

    def action_reverse(self) -> None:
        """Sorts the other way round."""
        self._sort_by(self._order.key)

    def _sort_by(self, key: str) -> None:
        self._order.sort_by(key)
        self._choose_columns(self.size.width)
        self._paint()

    def _choose_columns(self, width: int) -> None:
        kept = "" if self._order.is_usual else self._order.key
        self._table.set_columns(columns_for(width, kept))

    def action_filter(self) -> None:
        """Opens the filter."""
        self.query_one(FilterBar).open()

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Shows what the filter lets through."""
        self._order.filter_by(event.query)
        self._paint()

    def action_mark(self) -> None:
        """Marks the run under the cursor, or takes its mark away, and goes on to the next."""
        if (run := self.chosen_run()) is not None:
            self._marked ^= {run}
            self._paint()
            self._table.action_move(1)

    def action_unmark(self) -> None:
        """Takes all marks away."""
        self._marked.clear()
        self._paint()

    def action_compare(self) -> None:
        """Opens the marked runs over one another, in the order of the list."""
        marked = [run for run in self._shown if run in self._marked]
        hidden = [run for run in self.geospot.listing.runs if run in self._marked - set(marked)]
        if len(marked) + len(hidden) < 2:
            self.notify("Mark two runs or more with space, then compare them.", markup=False)
            return
        self.geospot.open_compare_runs([*marked, *hidden])

    def action_copy(self) -> None:
        """Copies the folder's path to the terminal's clipboard."""
        if (run := self.chosen_run()) is not None:
            self.geospot.copy_to_clipboard(str(run.absolute()))
            self.notify("The path is copied.", markup=False)

    def action_launch_evaluation(self) -> None:
        """Opens the form for an evaluation of any model."""
        self.geospot.open_launch("eval")

    def action_watch_folder(self) -> None:
        """Asks for a folder whose runs are shown, too."""

        def answered(folder: Path | None) -> None:
            if folder is not None:
                self.geospot.listing.add_folder(folder)
                self.say_status(f"Looking for runs in {folder}…")

        self.geospot.push_screen(AskFolder("Whose runs?", self.geospot.reader), answered)

    def action_demo(self) -> None:
        """Starts the demo, after a question."""
        ask(
            self.geospot, "Start the demo?",
            "It trains a tiny vision-language model from random weights, on this machine's processors, "
            "in some minutes: supervised first, then by reward. Both runs appear here as they start, and "
            f"the ranking in the leaderboard. Everything goes to {self.geospot.demo}.",
            lambda: self.attempt(self._demo()), yes="Start",
        )  # fmt: skip

    async def _demo(self) -> None:
        from geospot.tui.demo import start_demo

        self.geospot.listing.add_folder(self.geospot.demo / "runs")
        demo = await self.geospot.reader.do(start_demo, self.geospot.demo)
        self.notify("The demo is starting. Its first run appears here.", markup=False)
        self._demo_goes_on = True
        self._say()
        while not demo.is_over:  # noqa: ASYNC110 - another process's end, which nobody tells us
            await asyncio.sleep(1)
        self._demo_goes_on = False
        self._say()
        if (trouble := await self.geospot.reader.do(demo.trouble)) is not None:
            raise UsageError(trouble)

    def on_welcome_chosen(self, event: Welcome.Chosen) -> None:
        """Does what was chosen."""
        does = {
            "demo": self.action_demo,
            "train": self.geospot.action_launch,
            "evaluate": self.action_launch_evaluation,
            "watch": self.action_watch_folder,
        }
        if event.what in does:
            does[event.what]()

    def run_set_aside(self, run: Path) -> None:
        """It has left the list."""
        self._marked.discard(run)

    def on_resize(self, event: events.Resize) -> None:
        """Columns and preview follow the size."""
        self.set_class(event.size.height >= _PREVIEW_FROM, "-tall")
        self._choose_columns(event.size.width)

    def _show_preview(self) -> None:
        run = None if self._chosen is None else self.geospot.listing.summaries.get(self._chosen)
        self._preview.show(self._chosen, run)
        if (standing := self.standing_now()) != self._offered_in:
            self._offered_in = standing
            self.refresh_bindings()
