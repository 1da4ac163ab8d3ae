"""Any figure of a run, found as one types."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from geospot.numbertext import compact
from geospot.runs.columns import Columns
from geospot.textsafe import printable
from geospot.tui.widgets.sparkline import spark
from geospot.tui.widgets.table import Cells, Column, Table

_SPARK = 16


class Picker(ModalScreen[str | None]):
    """A line to type in above the keys that hold all of its words; answers a key, or None."""

    DEFAULT_CSS = """
    Picker { align: center middle; background: $background 60%; }
    Picker > Vertical {
        width: 84; max-width: 96%; height: 80%; padding: 1 2;
        background: $panel; border-left: thick $primary;
    }
    Picker Input { height: 1; border: none; padding: 0; background: $surface; margin: 1 0; }
    Picker Input:focus { border: none; background-tint: $foreground 0%; }
    Picker Static { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", tooltip="Choose nothing"),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
        Binding("pagedown", "page(1)", "Page down", show=False, priority=True),
        Binding("pageup", "page(-1)", "Page up", show=False, priority=True),
    ]

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self._columns = columns
        self._keys = columns.keys
        self._shown: Sequence[str] = self._keys

    def compose(self) -> ComposeResult:
        """The line, the keys, what to do."""
        with Vertical():
            yield Static(Text("Any figure of this run", "bold"))
            yield Input(placeholder="part of its name, such as acc 25km")
            yield Table(
                [
                    Column("key", "Figure", 30, flexible=True),
                    Column("latest", "Newest", 9, "right"),
                    Column("spark", "", _SPARK, priority=1),
                ]
            )
            yield Static("enter shows it as a chart · ↑↓ chooses · esc goes back", markup=False)

    def on_mount(self) -> None:
        """All keys, until something is typed."""
        self._show()
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Shows the keys that hold every word."""
        words = event.value.casefold().split()
        self._shown = [key for key in self._keys if all(w in key.casefold() for w in words)]
        self._show()

    def _show(self) -> None:
        self.query_one(Table).show(len(self._shown), self._cells, cursor=0)

    def _cells(self, row: int) -> Cells:
        key = self._shown[row]
        value = self._columns.latest(key)
        values = self._columns.series(key)[1]
        return (
            printable(key, limit=200),
            "–" if value is None else compact(value, 4),
            spark(values, _SPARK),
        )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answers with the chosen key."""
        event.stop()
        self._answer()

    def on_table_selected(self, event: Table.Selected) -> None:
        """Answers with the key that was clicked."""
        event.stop()
        self._answer()

    def _answer(self) -> None:
        row = self.query_one(Table).cursor
        if row < len(self._shown):
            self.dismiss(self._shown[row])

    def action_move(self, rows: int) -> None:
        """Another key."""
        self.query_one(Table).action_move(rows)

    def action_page(self, pages: int) -> None:
        """Many keys on."""
        self.query_one(Table).action_page(pages)
