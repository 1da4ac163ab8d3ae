"""A run's log, filtered as one types."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from geospot.query import Query
from geospot.runs.watch import RunState
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.logpane import LogLine, LogPane, read_line


class LogView(Vertical):
    """The newest lines of logs.log."""

    DEFAULT_CSS = """
    LogView { height: 1fr; }
    LogView #log-nothing { display: none; height: 1fr; content-align: center middle; color: $text-muted; }
    LogView.-nothing > LogPane { display: none; }
    LogView.-nothing > #log-nothing { display: block; }
    """

    def __init__(self, history: list[str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._history = history
        self._raw: Sequence[str] = ()
        self._lines: list[LogLine] = []
        self._query = Query()

    def compose(self) -> ComposeResult:
        """The filter, the lines."""
        yield FilterBar({"level": ("info", "warning", "error")}, history=self._history)
        yield LogPane()
        yield Static("", id="log-nothing", markup=False)

    def show(self, state: RunState) -> None:
        """Shows what is known of a run."""
        if state.log is not self._raw:
            self._raw = state.log
            self._lines = [read_line(line) for line in state.log]
            self._show_lines()
        elif not self._lines:
            self._show_lines()

    def _show_lines(self) -> None:
        shown = [line for line in self._lines if self._passes(line)]
        self.set_class(not shown, "-nothing")
        words = "No line passes the filter." if self._lines else "Nothing has been logged yet."
        self.query_one("#log-nothing", Static).update(words)
        self.query_one(LogPane).show(shown)

    def _passes(self, line: LogLine) -> bool:
        return self._query.matches({"level": line.level}, lambda: line.text.casefold())

    @property
    def count(self) -> tuple[int, int]:
        """Lines that are shown, and all that are kept."""
        return len(self.query_one(LogPane).lines), len(self._lines)

    def focus_first(self) -> None:
        """Gives the keys to the lines."""
        self.query_one(LogPane).focus()

    def find(self) -> None:
        """Opens the filter."""
        self.query_one(FilterBar).open()

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Shows what passes."""
        event.stop()
        self._query = event.query
        self._show_lines()
