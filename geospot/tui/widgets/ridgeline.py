"""Histograms as ridges, one behind another: the oldest steps at the back, the newest in front."""

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from geospot.runs.histograms import Quantity
from geospot.runs.spreads import Spreads, empty
from geospot.tui.canvas import BOLD, NONE, REVERSE, Canvas, blend
from geospot.tui.inks import Inks
from geospot.tui.widgets.bins import Binned, bin_steps, rows_of
from geospot.tui.widgets.drawn import Drawn

_GUTTER: Final = 9
_HEAD: Final = 1
_ALL: Final = 1000
"""As many rows as there are bins."""
_SPACING: Final = 2
"""Rows from one ridge to the next, where there is room."""
_HEIGHT: Final = 4
"""Rows that the highest ridge reaches up over its own."""
_NOBODY: Final = -1


class Ridgeline(Drawn, can_focus=True):
    """A ridge a step, or a few steps; `show` gives the histograms, and the cursor stays."""

    DEFAULT_CSS = """
    Ridgeline { height: 1fr; background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,left", "move(-1)", "Earlier", show=False, tooltip="To the ridge behind"),
        Binding("down,right", "move(1)", "Later", show=False, tooltip="To the ridge in front"),
        Binding("home", "move(-100000)", "Oldest", show=False, tooltip="To the ridge at the back"),
        Binding("end", "newest", "Newest", show=False, tooltip="Follows the newest step"),
        Binding(
            "enter", "open", "Open step", tooltip="Opens the rollouts of this ridge's newest step"
        ),
    ]

    class Moved(Message):
        """The cursor is on another ridge."""

    class Opened(Message):
        """A ridge was chosen: its steps, newest first."""

        def __init__(self, steps: Sequence[int]) -> None:
            super().__init__()
            self.steps = steps

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.spreads: Spreads = empty("reward")
        self.quantity: Quantity = "reward"
        self._step: int | None = None
        self._binned: Binned | None = None

    def show(self, spreads: Spreads, quantity: Quantity) -> None:
        """Shows how a quantity was spread."""
        self.spreads, self.quantity = spreads, quantity
        self._binned = None
        self.redraw()

    @property
    def binned(self) -> Binned:
        """A column is a ridge, and a row a bin."""
        if self._binned is None:
            ridges = max((self.size.height - _HEAD - 1 - _HEIGHT) // _SPACING, 1)
            rows = rows_of(self.spreads, self.quantity, _ALL)
            self._binned = bin_steps(self.spreads, rows, ridges)
        return self._binned

    @property
    def cursor(self) -> int:
        """The ridge that the cursor is on."""
        return self.binned.column_of(self.binned.last if self._step is None else self._step)

    @property
    def steps(self) -> Sequence[int]:
        """Steps of the cursor's ridge that have a histogram, newest first."""
        low, high = self.binned.steps_of(self.cursor)
        first, end = np.searchsorted(self.spreads.steps_S, (low, high + 1))
        return self.spreads.steps_S[first:end][::-1].tolist()

    @property
    def reading(self) -> str:
        """Which steps the cursor is on, in words."""
        if not len(self.spreads):
            return ""
        low, high = self.binned.steps_of(self.cursor)
        return f"step {low:,}" if low == high else f"steps {low:,}–{high:,}"

    def action_move(self, ridges: int) -> None:
        """Moves the cursor over ridges."""
        if len(self.spreads):
            place = min(max(self.cursor + ridges, 0), len(self.binned.counts_C_R) - 1)
            self._put(self.binned.steps_of(place)[1])

    def action_newest(self) -> None:
        """Follows the newest step."""
        self._put(None)

    def action_open(self) -> None:
        """Chooses the cursor's ridge."""
        if len(self.spreads):
            self.post_message(self.Opened(self.steps))

    def _put(self, step: int | None) -> None:
        self._step = step
        self.redraw()
        self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        """The cursor goes to the ridge whose foot is nearest below the mouse."""
        offset = event.get_content_offset(self)
        if offset is not None and len(self.spreads):
            feet = [self._foot(ridge) for ridge in range(len(self.binned.counts_C_R))]
            near = next(
                (ridge for ridge, foot in enumerate(feet) if foot >= offset.y), len(feet) - 1
            )
            self._put(self.binned.steps_of(near)[1])

    # Drawing

    def on_resize(self) -> None:
        """Another height has room for other ridges, so that the cursor is on another one."""
        self._binned = None
        if len(self.spreads):
            self.post_message(self.Moved())

    def _foot(self, ridge: int) -> int:
        """The row of cells that a ridge stands on; the newest one stands just above the axis."""
        behind = len(self.binned.counts_C_R) - 1 - ridge
        return self.size.height - 2 - behind * _SPACING

    def draw(self, inks: Inks) -> Sequence[Strip]:
        """The ridges from the back to the front, and the axis."""
        canvas = Canvas(*self.size)
        what = "reward" if self.quantity == "reward" else "distance in km"
        mode = BOLD | (REVERSE if self.has_focus else 0)
        canvas.text(0, 0, f" {what} ", NONE, NONE, mode)
        if not len(self.spreads):
            return canvas.strips(self.rich_style)
        stride = self.binned.stride
        notes = (
            f"{stride} steps a ridge, the newest in front" if stride > 1 else "the newest in front"
        )
        canvas.text(len(what) + 3, 0, notes, inks.muted)
        owner_H_W = self._owners()
        count, cursor = len(self.binned.counts_C_R), self.cursor
        for ridge in range(count):
            y, x = np.nonzero(owner_H_W == ridge)
            is_chosen = ridge == cursor
            age = 0.35 + 0.65 * (ridge + 1) / count
            ink = (
                inks.accent
                if is_chosen
                else int(blend(inks.background, inks.series[0], np.array(age)))
            )
            canvas.dots(x + 2 * _GUTTER, y, ink if inks.has_colour else NONE)
            label = f"{self.binned.steps_of(ridge)[1]:,}"
            mark = "◆" if is_chosen else " "
            foot = self._foot(ridge)
            canvas.text(
                _GUTTER - 2 - len(label),
                foot,
                f"{label}{mark}",
                ink,
                NONE,
                BOLD if is_chosen else 0,
            )
        self._draw_axis(canvas, inks)
        return canvas.strips(self.rich_style)

    def _owners(self) -> NDArray[np.int64]:
        """For each dot of the plot, which ridge's line it is; a ridge hides those behind it."""
        columns, rows = 2 * max(self.size.width - _GUTTER, 1), 4 * self.size.height
        owner_H_W = np.full((rows, columns), _NOBODY)
        share_C_R = self.binned.share_C_R
        order = slice(None, None, -1) if self.quantity == "reward" else slice(None)
        most = float(share_C_R.max(initial=0.0)) or 1.0
        bins = np.arange(len(self.binned.rows))
        at = np.linspace(0, len(bins) - 1, columns)
        y_H = np.arange(rows)[:, None]
        for ridge in np.flatnonzero(self.binned.has_steps_C).tolist():
            share_R = share_C_R[ridge, order]
            foot = 4 * self._foot(ridge) + 3
            top = foot - np.rint(np.interp(at, bins, share_R) / most * 4 * _HEIGHT).astype(np.int64)
            before, after = np.r_[top[:1], top[:-1]], np.r_[top[1:], top[-1:]]
            low = np.maximum(np.maximum(before, after) - 1, top)  # down to the neighbours: no holes
            owner_H_W[(y_H >= top) & (y_H <= foot)] = _NOBODY
            owner_H_W[(y_H >= top) & (y_H <= np.minimum(low, foot))] = ridge
        return owner_H_W

    def _draw_axis(self, canvas: Canvas, inks: Inks) -> None:
        """Names of bins under the ridges, as many as there is room for."""
        rows = list(self.binned.rows)
        if self.quantity == "reward":
            rows.reverse()
        y, width, taken = canvas.height - 1, canvas.width - _GUTTER, 0
        for place, row in enumerate(rows):
            middle = _GUTTER + round(place / max(len(rows) - 1, 1) * (width - 1))
            x = min(max(middle - len(row.label) // 2, _GUTTER), canvas.width - len(row.label))
            if x > taken:
                canvas.text(x, y, row.label, inks.muted)
                taken = x + len(row.label) + 2
