"""A table of any length, of which only the rows on screen are ever made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from geospot.tui.widgets.table_layout import (
    GAP,
    GUTTER,
    Cell,
    Cells,
    Column,
    Layout,
    fitted,
    layout_for,
)

__all__ = ["Cell", "Cells", "Column", "Table"]

_KEPT_LINES: Final = 2000


class Table(ScrollView, can_focus=True):
    """Rows by number; `rows` makes the cells of one when it comes into sight.

    The first line is the header and stays. Keys and mouse move the cursor; enter or a click on the cursor's
    row selects it; a click on a header asks to sort.
    """

    BINDING_GROUP_TITLE = "In the table"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        "table--hover",
        "table--mark",
    }
    DEFAULT_CSS = """
    Table {
        height: 1fr; background: $background; overflow: auto auto;
        scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1;
    }
    Table .table--header { text-style: bold; color: $text; background: $panel; }
    Table .table--hover { background: $surface; }
    Table .table--cursor { background: $surface; }
    Table .table--mark { color: $text-muted; }
    Table:focus .table--cursor { background: $primary 30%; text-style: bold; }
    Table:focus .table--mark { color: $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, tooltip="To the row above"),
        Binding("down,j", "move(1)", "Down", show=False, tooltip="To the row below"),
        Binding("pageup", "page(-1)", "Page up", show=False, tooltip="As many rows up as are seen"),
        Binding("pagedown", "page(1)", "Page down", show=False, tooltip="As many rows down"),
        Binding("home,g", "go(0)", "First", show=False, tooltip="To the first row"),
        Binding("end,G", "go(-1)", "Last", show=False, tooltip="To the last row"),
        Binding("left", "scroll_left", "Left", show=False, tooltip="Where columns don't fit"),
        Binding("right", "scroll_right", "Right", show=False, tooltip="Where columns don't fit"),
        Binding("enter", "select", "Open", tooltip="Open the row"),
    ]

    cursor: reactive[int] = reactive(0, init=False, repaint=False)

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
        self.stops_at: Callable[[int], bool] = lambda _row: True
        """Whether the cursor may stand on a row; up and down pass over others, such as an empty line."""
        self._lines: dict[int, Strip] = {}
        self._lines_are_for: tuple[Style, Layout] | None = None
        self._sorted: tuple[str, bool] | None = None
        self._hovered: int | None = None
        self._laid_out: Layout | None = None

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
            cursor: where the cursor goes, at the same height on screen unless the table is at its top;
                it stays where it is by default.
            sorted_by: key of the column that rows are sorted by, and whether descending; for the header.
        """
        line = self.cursor - self.scroll_offset.y
        was_empty = not self.count
        before = self._frame(), dict(self._lines)
        self.count, self._rows, self._sorted = count, rows, sorted_by
        self._lay_out()
        wanted = min(max(self.cursor if cursor is None else cursor, 0), max(count - 1, 0))
        if self.scroll_offset.y and wanted != self.cursor and 0 <= line < self._layout.lines:
            self.scroll_to(y=max(wanted - line, 0), animate=False)
        if wanted != self.cursor:
            self.cursor = wanted
        else:
            self._reveal()
            if was_empty and count:
                self.post_message(self.Highlighted(self, wanted))
        self._refresh_what_changed(*before)

    def _frame(self) -> object:
        """What all lines depend on."""
        return self._layout, self._sorted, self.scroll_offset, self._lines_are_for

    def _refresh_what_changed(self, frame: object, lines: Mapping[int, Strip]) -> None:
        """Draws the rows again that are other ones now: the whole screen is a lot for a slow line."""
        if frame != self._frame() or self._lines_are_for is None:
            self.refresh()
            return
        base, top = self._lines_are_for[0], self.scroll_offset.y
        for row in range(top, top + self._layout.lines):
            now = self._plain_line(row, base) if row < self.count else None
            if now != lines.get(row):
                self._refresh_rows(row)

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Changes the columns; rows are made again."""
        self.columns = tuple(columns)
        self._lay_out()
        self.refresh()

    @property
    def shown(self) -> Sequence[int]:
        """Numbers of the columns for which there is room."""
        return self._layout.shown

    @property
    def widths(self) -> Sequence[int]:
        """Cells of each shown column at the widget's size; flexible ones share the rest."""
        return self._layout.widths

    @property
    def _layout(self) -> Layout:
        if self._laid_out is None:
            styles, size = self.styles, self.content_region.size
            bars = Size(styles.scrollbar_size_vertical, styles.scrollbar_size_horizontal)
            self._laid_out = layout_for(self.columns, size, self.count, bars)
        return self._laid_out

    def _lay_out(self) -> None:
        """After another size, count or columns."""
        self._lines.clear()
        self._laid_out = None
        self.virtual_size = Size(self._layout.total + GUTTER, self.count + 1)

    def on_resize(self) -> None:
        """Columns follow the size. What was painted meanwhile was laid out for the size before."""
        self._lay_out()
        self._reveal()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The header, or the row that stands at line `y` of the widget."""
        width, base = self._layout.width, self.rich_style
        if y == 0:
            style = base + self.get_component_rich_style("table--header")
            return self._seen(self._line(self._header(), style), style, " ")
        row = self.scroll_offset.y + y - 1
        if row >= self.count:
            return Strip.blank(width + GUTTER, base)
        if row == self.cursor:
            style = base + self.get_component_rich_style("table--cursor")
            mark = style + Style(color=self.get_component_rich_style("table--mark").color)
            return self._seen(self._line(self._cells(row), style), mark, "▌")
        if row == self._hovered:
            style = base + self.get_component_rich_style("table--hover")
            return self._seen(self._line(self._cells(row), style), style, " ")
        return self._seen(self._plain_line(row, base), base, " ")

    def _plain_line(self, row: int, base: Style) -> Strip:
        """A row without cursor, which is drawn once for as long as nothing changes."""
        if self._lines_are_for != (base, self._layout) or len(self._lines) > _KEPT_LINES:
            self._lines.clear()
            self._lines_are_for = (base, self._layout)
        line = self._lines.get(row)
        if line is None:
            line = self._lines[row] = self._line(self._cells(row), base)
        return line

    def _cells(self, row: int) -> Cells:
        cells = self._rows(row)
        return [cells[n] if n < len(cells) else "" for n in self._layout.shown]

    def _header(self) -> Cells:
        labels: list[Cell | str] = []
        for column in (self.columns[n] for n in self._layout.shown):
            mark = ""
            if self._sorted is not None and self._sorted[0] == column.key:
                mark = "▼" if self._sorted[1] else "▲"
            labels.append(f"{column.label}{mark}")
        return labels

    def _line(self, cells: Cells, style: Style) -> Strip:
        layout = self._layout
        segments: list[Segment] = []
        taken = 0
        for place, cell in enumerate(cells):
            taken -= 1
            if taken > 0:
                continue
            text, own, taken = (cell, "", 1) if isinstance(cell, str) else _parts(cell)
            widths = layout.widths[place : place + taken]
            column = self.columns[layout.shown[place]]
            if len(widths) > 1:
                column = replace(column, align="left")
            shown = fitted(text, sum(widths) + GAP * (len(widths) - 1), column) + " " * GAP
            segments.append(Segment(shown, style + Style.parse(own) if own else style))
        return Strip(segments).adjust_cell_length(max(layout.total, layout.width), style)

    def _seen(self, line: Strip, gutter: Style, mark: str) -> Strip:
        """The part of a line that isn't scrolled away, behind the gutter."""
        left = self.scroll_offset.x
        part = line.crop(left, left + self._layout.width)
        return Strip([Segment(mark, gutter), *part], part.cell_length + GUTTER)

    def watch_cursor(self, before: int, now: int) -> None:
        """Brings the cursor's row into sight, and tells."""
        top = self.scroll_offset.y
        self._reveal()
        if self.scroll_offset.y == top:
            self._refresh_rows(before, now)
        if self.count:
            self.post_message(self.Highlighted(self, now))

    def _refresh_rows(self, *rows: int | None) -> None:
        """Draws rows again; over a slow line the rest needn't be sent."""
        for row in rows:
            if row is not None and row >= self.scroll_offset.y:
                self.refresh(Region(0, row - self.scroll_offset.y + 1, self.size.width, 1))

    def _reveal(self) -> None:
        """Scrolls so far that the cursor's row is below the header and above the end."""
        lines, top = self._layout.lines, self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + lines:
            self.scroll_to(y=self.cursor - lines + 1, animate=False)

    def action_move(self, rows: int) -> None:
        """Moves the cursor, and on in the same direction over rows that it may not stand on."""
        row = min(max(self.cursor + rows, 0), max(self.count - 1, 0))
        while 0 <= row < self.count and not self.stops_at(row):
            row += 1 if rows > 0 else -1
        if 0 <= row < self.count:
            self.cursor = row

    def action_page(self, pages: int) -> None:
        """Moves the cursor by what is on screen."""
        self.action_move(pages * max(self._layout.lines - 1, 1))

    def action_go(self, row: int) -> None:
        """Moves the cursor to a row; -1 is the last."""
        last = max(self.count - 1, 0)
        self.cursor = last if row < 0 else min(row, last)

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
            self._click_header(offset.x - GUTTER + self.scroll_offset.x)
            return
        row = self.scroll_offset.y + offset.y - 1
        if row >= self.count:
            return
        if row == self.cursor:
            self.action_select()
        self.cursor = row

    def _click_header(self, x: int) -> None:
        for number, width in zip(self._layout.shown, self._layout.widths, strict=True):
            if x < width + GAP:
                self.post_message(self.HeaderClicked(self, self.columns[number].key))
                return
            x -= width + GAP

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The row under the mouse is marked."""
        row = self.scroll_offset.y + event.y - 1
        self._hover(row if event.y and row < self.count else None)

    def on_leave(self) -> None:
        """The mouse is elsewhere."""
        self._hover(None)

    def _hover(self, row: int | None) -> None:
        if row != self._hovered:
            before, self._hovered = self._hovered, row
            self._refresh_rows(before, row)


def _parts(cell: Cell) -> tuple[str, str, int]:
    return cell.text, cell.style, max(cell.spans, 1)
