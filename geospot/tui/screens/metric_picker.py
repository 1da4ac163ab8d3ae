"""Which metric: a list that gets shorter as one types."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from geospot.textsafe import printable
from geospot.tui.widgets.table import Cells, Column, Table

_COLUMNS: Final = (Column("key", "metric", 40, flexible=True), Column("runs", "runs", 6, "right"))


class MetricPicker(ModalScreen[str | None]):
    """Gives the chosen metric, None where the person left.

    Args:
        metrics: names, and how many of the runs have each.
        chosen: where the cursor is at first.
    """

    DEFAULT_CSS = """
    MetricPicker { align: center middle; background: $background 60%; }
    MetricPicker > Vertical {
        width: 70; max-width: 95%; height: 80%; padding: 1 2; background: $panel;
        border-left: thick $primary;
    }
    MetricPicker Input { border: none; height: 1; padding: 0 1; margin-bottom: 1; background: $surface; }
    MetricPicker Input:focus { border: none; }
    MetricPicker #picker-keys { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", tooltip="The metric stays"),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
        Binding("pagedown", "page(1)", "Page down", show=False, priority=True),
        Binding("pageup", "page(-1)", "Page up", show=False, priority=True),
    ]

    def __init__(self, metrics: Sequence[tuple[str, int]], chosen: str | None, runs: int) -> None:
        super().__init__()
        self._all, self._chosen, self._runs = metrics, chosen, runs
        self._shown = list(metrics)

    def compose(self) -> ComposeResult:
        """A line to type into, and the list."""
        with Vertical():
            yield Input(placeholder="part of a name, such as geoscore or time/", id="picker-part")
            yield Table(_COLUMNS, id="picker")
            yield Static("enter chooses · escape goes back", id="picker-keys", markup=False)

    def on_mount(self) -> None:
        """Types at once."""
        self.query_one(Input).focus()
        names = [name for name, _ in self._all]
        self._show(names.index(self._chosen) if self._chosen in names else 0)

    def _show(self, cursor: int) -> None:
        def cells(row: int) -> Cells:
            name, count = self._shown[row]
            return [printable(name, limit=200), f"{count}/{self._runs}"]

        self.query_one(Table).show(len(self._shown), cells, cursor=cursor)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Keeps what has every word that was typed."""
        event.stop()
        words = event.value.casefold().split()
        self._shown = [pair for pair in self._all if all(w in pair[0].casefold() for w in words)]
        if words:
            self._show(0)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Chooses."""
        event.stop()
        self._choose(self.query_one(Table).cursor)

    def on_table_selected(self, event: Table.Selected) -> None:
        """Chooses what was clicked."""
        self._choose(event.row)

    def _choose(self, row: int) -> None:
        if row < len(self._shown):
            self.dismiss(self._shown[row][0])

    def action_move(self, rows: int) -> None:
        """Moves the list's cursor."""
        self.query_one(Table).action_move(rows)

    def action_page(self, pages: int) -> None:
        """Moves it by what is seen."""
        self.query_one(Table).action_page(pages)

    def action_leave(self) -> None:
        """Chooses nothing."""
        self.dismiss(None)
