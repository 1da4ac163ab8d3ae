"""How a table is laid out: its columns, what stands in a cell, and which of them fit at a size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rich.cells import cell_len, set_cell_size
from textual.geometry import Size

GAP: Final = 2
"""Cells between two columns."""
GUTTER: Final = 1
"""Cells at the left for the cursor's mark: a background alone can be missed, or not be there at all."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `key` names it for sorting, `width` is in cells. `flexible` ones share what is left over.

    Where the table is too narrow for all, columns with the highest `priority` leave first; those with 0
    never do. A text that is too long for its cell loses its end, or its beginning (`cut`).
    """

    key: str
    label: str
    width: int
    align: Literal["left", "right"] = "left"
    flexible: bool = False
    priority: int = 0
    cut: Literal["end", "start"] = "end"


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell: plain text, which must be printable, and a style by its rich name.

    `spans` columns that are seen are taken, aligned to the left: for headings within a table.
    """

    text: str
    style: str = ""
    spans: int = 1


Cells = Sequence[Cell | str]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where columns stand at a size: numbers of the shown ones, their widths, what is seen of the rows."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    width: int
    """Cells of the widget that show columns."""
    lines: int
    """Rows that are seen at once."""

    @property
    def total(self) -> int:
        """Cells of all shown columns."""
        return sum(self.widths) + GAP * max(len(self.widths) - 1, 0)


def layout_for(columns: Sequence[Column], size: Size, count: int, bars: Size) -> Layout:
    """The columns of a table of `count` rows in so much room; those with the highest priority leave first.

    Args:
        bars: width of the bar at the right, where rows have to be scrolled, and height of that at the foot.
    """
    bar = bars.width if count + 1 > size.height else 0
    width = max(size.width - bar - GUTTER, 0)
    shown = list(range(len(columns)))
    while _needed(columns, shown) > width:
        last = max(shown, key=lambda n: (columns[n].priority, n))
        if not columns[last].priority:
            break
        shown.remove(last)
    flexible = [n for n in shown if columns[n].flexible]
    spare = max(width - _needed(columns, shown), 0)
    each, left = divmod(spare, len(flexible)) if flexible else (0, 0)
    widths = [columns[n].width + (each if n in flexible else 0) for n in shown]
    if flexible:
        widths[shown.index(flexible[0])] += left
    is_wider = _needed(columns, shown) > width
    lines = size.height - 1 - (bars.height if is_wider else 0)
    return Layout(tuple(shown), tuple(widths), width, max(lines, 1))


def _needed(columns: Sequence[Column], shown: Sequence[int]) -> int:
    return sum(columns[n].width for n in shown) + GAP * max(len(shown) - 1, 0)


def fitted(text: str, width: int, column: Column) -> str:
    """The text in exactly `width` cells; where something is cut off stands a mark."""
    length = cell_len(text)
    if length > width:
        if column.cut == "end" or not width:
            return set_cell_size(text, max(width - 1, 0)) + ("…" if width else "")
        end = text
        while cell_len(end) > width - 1:
            end = end[1:]
        return "…" + set_cell_size(end, width - 1)
    blank = " " * (width - length)
    return blank + text if column.align == "right" else text + blank
