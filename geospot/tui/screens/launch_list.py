"""The fields of the launch form as a table: a line each, with value, unit, and meaning or what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, cast

from textual.binding import Binding, BindingType
from textual.geometry import Region

from geospot.textsafe import printable
from geospot.tui.form import Form
from geospot.tui.inks import Inks
from geospot.tui.widgets.table import Cell, Cells, Column, Table

if TYPE_CHECKING:
    from geospot.tui.app import GeospotApp

_NAME: Final = 28
_VALUE: Final = 20
_VALUE_COLUMN: Final = 1
_COLUMNS: Final = (
    Column("name", "Setting", _NAME),
    Column("value", "Value", _VALUE, flexible=True),
    Column("unit", "Unit", 8, priority=2),
    Column("note", "", 20, flexible=True),
)
UNKNOWN: Final = "Not settings of this command"
BEGINS: Final = "0123456789.-/~"
"""Characters that begin a value where they stand: no keys of the app while a field has the cursor."""
_HIDDEN_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class Row:
    """A line: a heading, a field by its name, or what unfolds the rest of a section."""

    what: Literal["heading", "field", "more"]
    name: str
    folded: int = 0
    """How many fields a `more` line stands for; 0 where they are shown, and it folds them."""


def rows_of(form: Form, unfolded: frozenset[str], wrong: Mapping[str, str]) -> list[Row]:
    """The lines of a form. Folded away are unusual fields in which nothing is said and nothing wrong."""
    rows: list[Row] = []
    if form.unknown:
        rows += [Row("heading", UNKNOWN), *(Row("field", name) for name in form.unknown)]
    for section in dict.fromkeys(f.section for f in form.fields):
        inside = [f for f in form.fields if f.section == section]
        shown = [
            f
            for f in inside
            if f.is_usual or section in unfolded or f.name in form.said or f.name in wrong
        ]
        rows.append(Row("heading", section))
        rows += [Row("field", f.name) for f in shown]
        if section in unfolded:
            if any(not f.is_usual for f in inside):
                rows.append(Row("more", section))
        elif len(shown) < len(inside):
            rows.append(Row("more", section, len(inside) - len(shown)))
    return rows


class FieldTable(Table):
    """The fields. Up and down move between them; what is done with them does the screen."""

    DEFAULT_CSS = """
    FieldTable { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.edit", "Edit", tooltip="Type a value, or choose one"),
        Binding(
            "delete,backspace",
            "screen.take_back",
            "Default",
            tooltip="Leave the setting to its default again",
        ),
        Binding(
            "left",
            "screen.turn(-1)",
            "Choice before",
            show=False,
            tooltip="The choice before, or off",
        ),
        Binding(
            "right,space",
            "screen.turn(1)",
            "Next choice",
            show=False,
            tooltip="The next choice, or on",
        ),
        Binding(
            "tab", "next_field", "Next", show=False, tooltip="The next field; at the end, Start"
        ),
        Binding("shift+tab", "previous_field", "Previous", show=False, tooltip="The field before"),
        Binding("home", "go(0)", "First", show=False, tooltip="The first field"),
        Binding("end", "go(-1)", "Last", show=False, tooltip="The last field"),
    ]

    def __init__(self) -> None:
        super().__init__(_COLUMNS, id="launch-fields")
        self.lines: Sequence[Row] = ()
        self._form: Form | None = None
        self._wrong: Mapping[str, str] = {}
        self._notes: Mapping[str, str] = {}

    def show_form(
        self,
        form: Form,
        lines: Sequence[Row],
        wrong: Mapping[str, str],
        notes: Mapping[str, str],
        name: str | None = None,
    ) -> None:
        """Shows the form.

        Args:
            lines: from `rows_of`.
            wrong: reasons by field.
            notes: what is known of a field and no reason against it, in the place of its meaning.
            name: the field that the cursor goes to; it stays on its field by default.
        """
        wanted = name or self.field
        self._form, self.lines, self._wrong, self._notes = form, lines, wrong, notes
        cursor = next(
            (n for n, r in enumerate(lines) if r.what == "field" and r.name == wanted), None
        )
        if cursor is None:
            cursor = self._near(min(self.cursor, len(lines) - 1), 1)
        self.show(len(lines), self._line_cells, cursor=cursor)

    @property
    def row(self) -> Row | None:
        """The line with the cursor."""
        return self.lines[self.cursor] if self.cursor < len(self.lines) else None

    @property
    def field(self) -> str | None:
        """Name of the field with the cursor."""
        return self.row.name if self.row is not None and self.row.what == "field" else None

    @property
    def value_region(self) -> Region:
        """Where the value of the cursor's line stands, within this widget."""
        widths, shown = self.widths, self.shown
        before = shown.index(_VALUE_COLUMN)
        x = 1 + sum(widths[:before]) + 2 * before - self.scroll_offset.x
        return Region(x, self.cursor - self.scroll_offset.y + 1, widths[before], 1)

    def action_move(self, rows: int) -> None:
        """To another field; headings are passed over."""
        self.cursor = self._near(
            min(max(self.cursor + rows, 0), self.count - 1), 1 if rows > 0 else -1
        )

    def action_go(self, row: int) -> None:
        """To the first or last field, or to one by number."""
        last = self.count - 1
        self.cursor = self._near(last if row < 0 else min(row, last), -1 if row < 0 else 1)

    def action_next_field(self) -> None:
        """The next field; behind the last one comes Start."""
        before = self.cursor
        self.action_move(1)
        if self.cursor == before:
            self.screen.query_one("#launch-go").focus()

    def action_previous_field(self) -> None:
        """The field before; before the first one comes the widget before."""
        before = self.cursor
        self.action_move(-1)
        if self.cursor == before:
            self.screen.focus_previous()

    def _near(self, line: int, direction: int) -> int:
        """The nearest line that can hold the cursor: in this direction if there is one, else in the other."""
        for way in (direction, -direction):
            at = line
            while 0 <= at < len(self.lines):
                if self.lines[at].what != "heading":
                    return at
                at += way
        return 0

    def _line_cells(self, number: int) -> Cells:
        row, inks = self.lines[number], self._inks
        if row.what == "heading":
            return (Cell(row.name, f"bold {_hex(inks.accent)}", spans=4),)
        if row.what == "more":
            text = f"  ▸ {row.folded} more" if row.folded else "  ▾ fewer"
            return (Cell(text, _hex(inks.muted)), "", "", "")
        return self._field_cells(row.name, inks)

    def _field_cells(self, name: str, inks: Inks) -> Cells:
        form = self._form
        if form is None:
            return ()
        said = name in form.said or name in form.unknown
        field = form.by_name.get(name)
        shown = printable(form.meant(name) or form.shown(name), limit=_HIDDEN_TEXT)
        if field is not None and field.is_switch:
            shown = f"■ {shown}" if shown == "true" else f"□ {shown}"
        elif not shown:
            shown = "–"
        wrong = self._wrong.get(name)
        quiet = _hex(inks.muted)
        if wrong is not None:
            note = Cell(f"✗ {printable(wrong)}", _hex(inks.bad))
        elif name in self._notes:
            note = Cell(printable(self._notes[name]), _hex(inks.foreground))
        else:
            note = Cell("" if field is None else field.description, quiet)
        mark = "✗" if wrong is not None else "•" if said else " "
        return (
            Cell(
                f"{mark} {printable(name, limit=_NAME - 2)}",
                _hex(inks.bad) if wrong is not None else "",
            ),
            Cell(shown, "bold" if said else quiet),
            Cell("" if field is None else field.unit, quiet),
            note,
        )

    @property
    def _inks(self) -> Inks:
        return cast("GeospotApp", self.app).inks


def _hex(colour: int) -> str:
    return f"#{colour:06x}"
