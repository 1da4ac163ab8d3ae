"""How rewards or distances are spread over steps: a heat map with quantile lines, and shares of groups.

A column is a step or several, a row a bin or several. The cursor names a cell, and enter opens what is in it.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from geospot.runs.columns import FloatArray
from geospot.runs.histograms import Quantity
from geospot.runs.spreads import Spreads, empty
from geospot.tui.inks import Inks
from geospot.tui.scales import moved_within
from geospot.tui.widgets.bins import Binned, BinRow, bin_steps, mean_by_column, rows_of
from geospot.tui.widgets.drawn import Drawn
from geospot.tui.widgets.heatpicture import GROUPS, GUTTER, HEAD, HeatPicture, draw_heat

__all__ = ["GROUPS", "GUTTER", "HEAD", "HeatMap"]


class HeatMap(Drawn, can_focus=True):
    """A heat map of histograms over steps; `show` gives them, and cursor and zoom stay."""

    DEFAULT_CSS = """
    HeatMap { height: 1fr; background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "Earlier", show=False, tooltip="To the column before"),
        Binding("right", "step(1)", "Later", show=False, tooltip="To the next column"),
        Binding("shift+left", "step(-10)", "Far earlier", show=False, tooltip="Ten columns back"),
        Binding("shift+right", "step(10)", "Far later", show=False, tooltip="Ten columns on"),
        Binding("home", "step(-1000000)", "First step", show=False, tooltip="To the first column"),
        Binding("end", "newest", "Newest step", show=False, tooltip="Follows the newest step"),
        Binding("up", "bin(-1)", "Better", show=False, tooltip="To the row above"),
        Binding("down", "bin(1)", "Worse", show=False, tooltip="To the row below"),
        Binding("enter", "open", "Open cell", tooltip="Opens the rollouts of this cell"),
        Binding("plus,equals_sign", "zoom(1)", "Zoom in", key_display="+", tooltip="Fewer steps"),
        Binding("minus", "zoom(-1)", "Zoom out", key_display="-", show=False, tooltip="More steps"),
        Binding("left_square_bracket", "pan(-1)", "Pan left", key_display="[", show=False),
        Binding("right_square_bracket", "pan(1)", "Pan right", key_display="]", show=False),
        Binding("0", "whole", "All steps", show=False, tooltip="All steps, the newest one chosen"),
        Binding("n", "lines", "Quantiles", show=False, tooltip="Shows or hides the lines"),
    ]

    class Moved(Message):
        """The cursor is on other steps: from `low` to `high`, both included."""

        def __init__(self, heat_map: "HeatMap", low: int, high: int) -> None:
            super().__init__()
            self.heat_map, self.low, self.high = heat_map, low, high

        @property
        def control(self) -> "HeatMap":
            """The heat map."""
            return self.heat_map

    class Opened(Message):
        """A cell was chosen: the steps that have something in it, newest first, and its row."""

        def __init__(self, heat_map: "HeatMap", steps: Sequence[int], row: BinRow) -> None:
            super().__init__()
            self.heat_map, self.steps, self.row = heat_map, steps, row

        @property
        def control(self) -> "HeatMap":
            """The heat map."""
            return self.heat_map

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.quantity: Quantity = "reward"
        self.spreads = empty("reward")
        self.window: tuple[int, int] | None = None
        """From which step to which is shown; None shows all."""
        self.has_lines = True
        self._groups: Mapping[str, FloatArray] = {}
        self._step: int | None = None
        self._bin: int | None = None
        """The bin that the person chose; None stays on the fullest one of the cursor's column."""
        self._binned: Binned | None = None

    def show(self, spreads: Spreads, quantity: Quantity, groups: Mapping[str, FloatArray]) -> None:
        """Shows how a quantity was spread.

        Args:
            groups: shares of groups by name, at the steps of `spreads`.
        """
        if quantity != self.quantity:
            self._bin = None
        self.spreads, self.quantity, self._groups = spreads, quantity, groups
        self._again()

    # What the cursor is on

    @property
    def binned(self) -> Binned:
        """Rows and columns at the widget's size."""
        if self._binned is None:
            most = max(self.size.height - HEAD - len(self._shown_groups()) - 1, 2)
            rows = rows_of(self.spreads, self.quantity, most)
            columns = max(self.size.width - GUTTER, 1)
            self._binned = bin_steps(self.spreads, rows, columns, self.window)
        return self._binned

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row."""
        binned = self.binned
        step = binned.last if self._step is None else self._step
        column, chosen = binned.column_of(step), self._bin
        if chosen is None and len(binned.counts_C_R):
            return column, int(binned.counts_C_R[column].argmax())
        row = next(
            (r for r, one in enumerate(binned.rows) if one.start <= (chosen or 0) < one.end),
            len(binned.rows) - 1,
        )
        return column, row

    @property
    def step(self) -> int | None:
        """The newest step that has a histogram in the cursor's column; None where it has none."""
        low, high = self.binned.steps_of(self.cursor[0])
        steps = self.spreads.steps_S
        place = int(np.searchsorted(steps, high, side="right")) - 1
        return int(steps[place]) if place >= 0 and steps[place] >= low else None

    def follow(self, step: int | None) -> None:
        """Puts the cursor on a step's column; None follows the newest. Tells nobody."""
        self._step = step
        self.redraw()

    @property
    def reading(self) -> str:
        """What is in the cursor's cell, in words."""
        if not len(self.spreads):
            return ""
        column, row = self.cursor
        low, high = self.binned.steps_of(column)
        steps = f"step {low:,}" if low == high else f"steps {low:,}–{high:,}"
        counts = self.binned.counts_C_R[column]
        total = int(counts.sum())
        if not total:
            return f"{steps} · no histogram"
        count = int(counts[row])
        name = self.binned.rows[row].name
        return f"{steps} · {name} · {count:,} of {total:,} ({count / total:.1%})"

    def steps_in_cell(self) -> list[int]:
        """Steps that have something in the cursor's cell, newest first."""
        column, row = self.cursor
        low, high = self.binned.steps_of(column)
        first, last = np.searchsorted(self.spreads.steps_S, (low, high + 1))
        bins = slice(self.binned.rows[row].start, self.binned.rows[row].end)
        there = self.spreads.counts_S_B[first:last, bins].sum(axis=1) > 0
        return self.spreads.steps_S[first:last][there][::-1].tolist()

    # What the person does

    def action_step(self, columns: int) -> None:
        """Moves the cursor over columns."""
        if not len(self.spreads):
            return
        binned = self.binned
        column = min(max(self.cursor[0] + columns, 0), len(binned.counts_C_R) - 1)
        self._bin = binned.rows[self.cursor[1]].start
        self._put_step(binned.steps_of(column)[1])

    def action_newest(self) -> None:
        """Follows the newest step."""
        self.window = None if self.window is None else self._fitted(*self._newest_window())
        self._again()
        self._put_step(None)

    def _newest_window(self) -> tuple[int, int]:
        low, high = self.window or (0, 0)
        end = int(self.spreads.steps_S[-1]) if len(self.spreads) else 0
        return end - (high - low), end

    def action_bin(self, rows: int) -> None:
        """Moves the cursor over rows."""
        row = min(max(self.cursor[1] + rows, 0), len(self.binned.rows) - 1)
        self._bin = self.binned.rows[row].start
        self.redraw()
        self._tell()

    def action_open(self) -> None:
        """Chooses the cell."""
        if len(self.spreads):
            row = self.binned.rows[self.cursor[1]]
            self.post_message(self.Opened(self, self.steps_in_cell(), row))

    def action_zoom(self, direction: int) -> None:
        """Shows half as many steps, or twice as many, around the cursor."""
        if not len(self.spreads):
            return
        low, high = self.window or (int(self.spreads.steps_S[0]), int(self.spreads.steps_S[-1]))
        middle = self.binned.steps_of(self.cursor[0])[1]
        width = max(int((high - low + 1) * 2.0**-direction), 4)
        start = middle - round((middle - low) / max(high - low, 1) * (width - 1))
        self.window = self._fitted(start, start + width - 1)
        self._again()

    def action_pan(self, direction: int) -> None:
        """Shows what is further left or right."""
        if self.window is not None:
            low, high = self.window
            shift = direction * max((high - low) // 4, 1)
            self.window = self._fitted(low + shift, high + shift)
            self._again()
            self._put_step(self.binned.steps_of(self.cursor[0])[1])

    def action_whole(self) -> None:
        """All steps, and the newest one."""
        self.window = None
        self._again()
        self._put_step(None)

    def action_lines(self) -> None:
        """Shows or hides the quantile lines."""
        self.has_lines = not self.has_lines
        self.redraw()

    def _fitted(self, low: int, high: int) -> tuple[int, int] | None:
        steps_S = self.spreads.steps_S
        return moved_within(low, high, int(steps_S[0]), int(steps_S[-1]))

    def _put_step(self, step: int | None) -> None:
        self._step = step
        self.redraw()
        self._tell()

    def _tell(self) -> None:
        self.post_message(self.Moved(self, *self.binned.steps_of(self.cursor[0])))

    # The mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The cursor goes to the cell below the mouse."""
        self._point_at(event)

    def on_click(self, event: events.Click) -> None:
        """Chooses the cell that is clicked."""
        if self._point_at(event):
            self.action_open()

    def _point_at(self, event: events.MouseEvent) -> bool:
        offset = event.get_content_offset(self)
        if offset is None or not len(self.spreads):
            return False
        binned, left = self.binned, self._left_C
        column = int(np.searchsorted(left, offset.x - GUTTER, side="right")) - 1
        row = offset.y - HEAD
        if not (0 <= column < len(left) - 1 and 0 <= row < len(binned.rows)):
            return False
        if (column, row) != self.cursor:
            self._bin = binned.rows[row].start
            self._put_step(binned.steps_of(column)[1])
        return True

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zooms in around the cursor, which is where the mouse is."""
        event.stop()
        self.action_zoom(1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zooms out."""
        event.stop()
        self.action_zoom(-1)

    # Drawing

    def on_resize(self) -> None:
        """Bins anew; who shows what is under the cursor learns that it is another cell."""
        self._again()
        if len(self.spreads):
            self._tell()

    def _again(self) -> None:
        self._binned = None
        self.redraw()

    @property
    def _left_C(self) -> NDArray[np.int64]:
        """Where each column begins, in cells, and where the last one ends; together they fill the width."""
        count = len(self.binned.counts_C_R)
        return np.arange(count + 1) * max(self.size.width - GUTTER, count) // count

    def _shown_groups(self) -> list[str]:
        return [name for name in GROUPS if name in self._groups] if self.size.height >= 12 else []

    def draw(self, inks: Inks) -> Sequence[Strip]:
        """Cells, lines, shares of groups, the cursor."""
        return draw_heat(self._picture(), *self.size, inks, self.rich_style)

    def _picture(self) -> HeatPicture:
        return HeatPicture(
            binned=self.binned,
            left_C=self._left_C,
            quantity=self.quantity,
            groups_C={
                name: mean_by_column(self.binned, self.spreads.steps_S, self._groups[name])
                for name in self._shown_groups()
            },
            has_lines=self.has_lines,
            is_zoomed=self.window is not None,
            cursor=self.cursor if len(self.spreads) else None,
            has_focus=self.has_focus,
        )
