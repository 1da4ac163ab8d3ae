"""A table of any length, of which only the rows on screen are ever made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `key` names it for sorting, `width` is in cells. `flexible` ones share what is left over."""

    key: str
    label: str
    width: int
    align: Literal["left", "right"] = "left"
    flexible: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell: plain text, which must be printable, and a style by its rich name."""

    text: str
    style: str = ""


Cells = Sequence[Cell | str]


class Table(ScrollView, can_focus=True):
    """Rows by number; `rows` makes the cells of one when it comes into sight.

    The first line is the header and stays. Keys and mouse move the cursor; enter or a click on the cursor's
    row selects it; a click on a header asks to sort.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        "table--hover",
    }
    DEFAULT_CSS = """
    Table { height: 1fr; background: $background; scrollbar-size-vertical: 1; overflow-x: auto; }
    Table .table--header { text-style: bold; color: $text; background: $panel; }
    Table .table--cursor { background: $surface; }
    Table:focus .table--cursor { background: $primary 30%; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "go(0)", "First", show=False),
        Binding("end,G", "go(-1)", "Last", show=False),
        Binding("left", "scroll_left", "Left", show=False),
        Binding("right", "scroll_right", "Right", show=False),
        Binding("enter", "select", "Open", show=False),
    ]

    cursor: reactive[int] = reactive(0)

    class Highlighted(Message):
        """The cursor is on another row."""

        def __init__(self, table: "Table", row: int) -> None:
            super().__init__()
            self.table, self.row = table, row

        @property
        def control(self) -> "Table":
            """The table."""
            return self.table

    class Selected(Highlighted):
        """A row was chosen, by enter or a click."""

    class HeaderClicked(Message):
        """A column's header was clicked."""

        def __init__(self, table: "Table", key: str) -> None:
            super().__init__()
            self.table, self.key = table, key

        @property
        def control(self) -> "Table":
            """The table."""
            return self.table

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.count = 0
        self._rows: Callable[[int], Cells] = lambda _row: ()
        self._made: dict[int, Cells] = {}
        self._sorted: tuple[str, bool] | None = None

    def show(
        self,
        count: int,
        rows: Callable[[int], Cells],
        *,
        cursor: int | None = None,
        sorted_by: tuple[str, bool] | None = None,
    ) -> None:
        """Shows `count` rows.

        Args:
            rows: the cells of a row, in the order of the columns; called for rows on screen.
            cursor: where the cursor goes; it stays where it is by default.
            sorted_by: key of the column that rows are sorted by, and whether descending; for the header.
        """
        self.count, self._rows, self._sorted = count, rows, sorted_by
        self._made.clear()
        self.virtual_size = Size(self._total_width, count + 1)
        self.set_reactive(Table.cursor, self.cursor)
        wanted = self.cursor if cursor is None else cursor
        self.cursor = min(max(wanted, 0), max(count - 1, 0))
        self.refresh()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Changes the columns; rows are made again."""
        self.columns = tuple(columns)
        self._made.clear()
        self.virtual_size = Size(self._total_width, self.count + 1)
        self.refresh()

    @property
    def widths(self) -> list[int]:
        """Cells of each column at the widget's size; flexible ones share the rest."""
        fixed = sum(column.width + _GAP for column in self.columns)
        flexible = [column for column in self.columns if column.flexible]
        spare = max(self.scrollable_content_region.width - fixed, 0)
        each = spare // len(flexible) if flexible else 0
        return [column.width + (each if column.flexible else 0) for column in self.columns]

    @property
    def _total_width(self) -> int:
        return sum(self.widths) + _GAP * len(self.columns)

    def on_resize(self) -> None:
        """Flexible columns follow the size."""
        self.virtual_size = Size(self._total_width, self.count + 1)
        self._reveal()

    def render_line(self, y: int) -> Strip:
        """The header, or the row that stands at line `y` of the widget."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        if y == 0:
            return self._line(self._header(), self.get_component_rich_style("table--header"), width)
        row = self.scroll_offset.y + y - 1
        if row >= self.count:
            return Strip.blank(width, base)
        cells = self._made.get(row)
        if cells is None:
            if len(self._made) > 2000:
                self._made.clear()
            cells = self._made[row] = self._rows(row)
        style = base
        if row == self.cursor:
            style = base + self.get_component_rich_style("table--cursor")
        return self._line(cells, style, width)

    def _header(self) -> Cells:
        labels: list[Cell | str] = []
        for column in self.columns:
            mark = ""
            if self._sorted is not None and self._sorted[0] == column.key:
                mark = " ▼" if self._sorted[1] else " ▲"
            labels.append(f"{column.label}{mark}")
        return labels

    def _line(self, cells: Cells, style: Style, width: int) -> Strip:
        segments: list[Segment] = []
        for column, cell_width, cell in zip(self.columns, self.widths, cells, strict=False):
            text, own = (cell, "") if isinstance(cell, str) else (cell.text, cell.style)
            segments.append(
                Segment(
                    _fitted(text, cell_width, column.align) + " " * _GAP,
                    style + Style.parse(own) if own else style,
                )
            )
        strip = Strip(segments).adjust_cell_length(max(self._total_width, width), style)
        left = self.scroll_offset.x
        return strip.crop(left, left + width)

    def watch_cursor(self) -> None:
        """Brings the cursor's row into sight, and tells."""
        self._reveal()
        self.refresh()
        if self.count:
            self.post_message(self.Highlighted(self, self.cursor))

    def _reveal(self) -> None:
        """Scrolls so far that the cursor's row is below the header and above the end."""
        lines = max(self.scrollable_content_region.height - 1, 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + lines:
            self.scroll_to(y=self.cursor - lines + 1, animate=False)

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        self.cursor = min(max(self.cursor + rows, 0), max(self.count - 1, 0))

    def action_page(self, pages: int) -> None:
        """Moves the cursor by what is on screen."""
        self.action_move(pages * max(self.scrollable_content_region.height - 2, 1))

    def action_go(self, row: int) -> None:
        """Moves the cursor to a row; -1 is the last."""
        self.cursor = max(self.count - 1, 0) if row < 0 else row

    def action_select(self) -> None:
        """Chooses the cursor's row."""
        if self.count:
            self.post_message(self.Selected(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        """A header sorts; a row gets the cursor; the cursor's row is chosen."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            self._click_header(offset.x + self.scroll_offset.x)
            return
        row = self.scroll_offset.y + offset.y - 1
        if row >= self.count:
            return
        if row == self.cursor:
            self.action_select()
        self.cursor = row

    def _click_header(self, x: int) -> None:
        for column, width in zip(self.columns, self.widths, strict=True):
            if x < width + _GAP:
                self.post_message(self.HeaderClicked(self, column.key))
                return
            x -= width + _GAP


def _fitted(text: str, width: int, align: str) -> str:
    """The text in exactly `width` cells; what is cut off is marked."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(width - 1, 0)) + ("…" if width else "")
    blank = " " * (width - length)
    return blank + text if align == "right" else text + blank
