"""A heat map of histograms over steps, drawn: cells, the lines of quantiles, shares of groups, the cursor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.style import Style
from textual.strip import Strip

from geospot.runs.histograms import Quantity
from geospot.tui.canvas import BOLD, NONE, REVERSE, Canvas
from geospot.tui.inks import Inks
from geospot.tui.scales import Scale
from geospot.tui.widgets.bins import LINES, Binned, FloatArray
from geospot.tui.widgets.plot import Box, draw_curve, draw_x_axis, whole_step
from geospot.tui.widgets.series import Reduced

GUTTER: Final = 9
"""Cells at the left for what stands at the axis."""
HEAD: Final = 1
"""Rows above the cells."""

GROUPS: Final[Mapping[str, str]] = {
    "frac_mixed": "mixed",
    "frac_all_good": "all good",
    "frac_all_bad": "all bad",
}
"""Shares of groups by name, and what they are called here."""

_SHADES: Final = np.array(list(" ░▒▓█"), dtype="<U1")
_BLOCKS: Final = np.array(list(" ▁▂▃▄▅▆▇█"), dtype="<U1")
_GROUP_ROWS: Final = 2
"""Rows of a group's bars, where there is room."""
_MARKS: Final = "·-=-·"
"""The lines of LINES as characters, where shades are characters too."""
_EDGE: Final = 0.125
"""From the middle of a cell's first row of dots to the cell's border, in cells."""
_FEWEST: Final = 0.12
"""Strength of a cell that holds anything at all."""


@dataclass(frozen=True, slots=True, eq=False)
class HeatPicture:
    """A heat map at one moment.

    `left_C` says where each column begins, in cells, and where the last one ends; `groups_C` are shares of
    groups by name, NaN where a column has none; `cursor` is a column and a row.
    """

    binned: Binned
    left_C: NDArray[np.int64]
    quantity: Quantity
    groups_C: Mapping[str, FloatArray]
    has_lines: bool
    is_zoomed: bool
    cursor: tuple[int, int] | None
    has_focus: bool


def draw_heat(
    picture: HeatPicture, width: int, height: int, inks: Inks, base: Style
) -> list[Strip]:
    """The rows of the heat map; `base` is the widget's style."""
    canvas = Canvas(width, height)
    binned = picture.binned
    box = Box(GUTTER, HEAD, int(picture.left_C[-1]), len(binned.rows))
    strongest = _draw_cells(canvas, picture, box, inks)
    _draw_head(canvas, picture, strongest, inks)
    for row, one in enumerate(binned.rows):
        canvas.text(GUTTER - 1 - len(one.label), HEAD + row, one.label, inks.muted)
    below = HEAD + len(binned.rows)
    spare = canvas.height - below - 1
    each = min(max(spare // max(len(picture.groups_C), 1), 1), _GROUP_ROWS)
    for name in picture.groups_C:
        _draw_group(canvas, picture, name, Box(GUTTER, below, box.width, each), inks)
        below += each
    first, last = binned.first, binned.last
    axis = Box(GUTTER, below - 1, box.width, 1)
    draw_x_axis(canvas, axis, first, max(last, first + 1), "step", whole_step, inks.muted)
    _draw_cursor(canvas, picture, box, below, inks)
    return canvas.strips(base)


def _draw_cells(canvas: Canvas, picture: HeatPicture, box: Box, inks: Inks) -> float:
    """The cells and the lines over them; returns the largest share of a cell."""
    share_R_W = np.repeat(picture.binned.share_C_R.T, np.diff(picture.left_C), axis=1)
    strongest = float(share_R_W.max(initial=0.0)) or 1.0
    strength = np.sqrt(share_R_W / strongest)
    strength = np.where(share_R_W > 0, np.maximum(strength, _FEWEST), 0)
    if not inks.has_colour:
        shade = _SHADES[np.ceil(strength * (len(_SHADES) - 1)).astype(np.int64)]
        canvas.cells(box.left, box.top, np.full(share_R_W.shape, NONE), shade)
        if picture.has_lines:
            _mark_lines(canvas, picture, box)
        return strongest
    if picture.has_lines:
        _draw_lines(canvas, picture, box)
    # A light line on a dark cell, a dark one on a light cell.
    ink = np.where(strength > 0.6, inks.background, inks.foreground)
    canvas.cells(box.left, box.top, inks.heat(strength), None, ink)
    return strongest


def _draw_lines(canvas: Canvas, picture: HeatPicture, box: Box) -> None:
    """The median joined from column to column; quartiles as dashes, the outermost as dots."""
    binned, left = picture.binned, 2 * picture.left_C
    middle_C = (left[:-1] + left[1:]) // 2
    for line, quantile in enumerate(LINES):
        place_C = binned.place(binned.quantiles_C_Q[:, line])
        there = np.flatnonzero(np.isfinite(place_C))
        if quantile == 0.5:
            down = -place_C[there]
            joined = np.diff(there, prepend=-9) == 1
            curve = Reduced(middle_C[there], down, down, down, down, joined)
            scale = Scale(_EDGE - box.height, -_EDGE, box.rows)
            draw_curve(canvas, box, curve, scale, NONE)
            continue
        if quantile in (0.25, 0.75):  # as wide as the columns
            place_W = np.repeat(place_C, np.diff(left))
            x = np.flatnonzero(np.isfinite(place_W))
            y = place_W[x]
        else:
            x, y = middle_C[there], place_C[there]
        canvas.dots(x + 2 * box.left, (y * 4).astype(np.int64) + 4 * box.top)


def _mark_lines(canvas: Canvas, picture: HeatPicture, box: Box) -> None:
    """The lines as characters, where cells are characters too: one in three, the shades between them."""
    binned, wide_C = picture.binned, np.diff(picture.left_C)
    for line in (0, 4, 1, 3, 2):
        place_W = np.repeat(binned.place(binned.quantiles_C_Q[:, line]), wide_C)
        x = np.flatnonzero(np.isfinite(place_W))
        x = x[x % 3 == 1]
        row = np.minimum(place_W[x].astype(np.int64), box.height - 1)
        canvas.marks(box.left + x, box.top + row, np.array(_MARKS[line]))


def _draw_group(canvas: Canvas, picture: HeatPicture, name: str, box: Box, inks: Inks) -> None:
    """A group's share in each column as a bar, as high as the box where it is all of them."""
    share_W = np.repeat(np.clip(picture.groups_C[name], 0, 1), np.diff(picture.left_C))
    ink = {"frac_mixed": inks.good, "frac_all_bad": inks.bad}.get(name, inks.series[0])
    canvas.text(GUTTER - 1 - len(GROUPS[name]), box.top + box.height - 1, GROUPS[name], inks.muted)
    x = box.left + np.arange(len(share_W))
    eighths_W = np.ceil(np.nan_to_num(share_W) * box.height * 8).astype(np.int64)
    for row in range(box.height):
        here_W = np.clip(eighths_W - 8 * (box.height - 1 - row), 0, 8)
        chars = _BLOCKS[here_W]
        if row == box.height - 1:
            chars = np.where((here_W == 0) & np.isfinite(share_W), "·", chars)
        canvas.marks(x, np.full(len(x), box.top + row), chars, ink)


def _draw_head(canvas: Canvas, picture: HeatPicture, strongest: float, inks: Inks) -> None:
    what = "reward" if picture.quantity == "reward" else "distance in km"
    title = f" {what} "
    canvas.text(0, 0, title, NONE, NONE, BOLD | (REVERSE if picture.has_focus else 0))
    stride = picture.binned.stride
    notes = f"{stride} steps a column" if stride > 1 else ""
    notes += " · zoomed" if picture.is_zoomed else ""
    canvas.text(len(title) + 1, 0, notes.removeprefix(" · "), inks.muted)
    lines = "lines 10 25 50 75 90%   " if picture.has_lines else ""
    end = f"{strongest:.0%}"
    legend = len(lines) + 5 + len(end) + 2
    x = canvas.width - legend
    if x < len(title) + len(notes) + 2:
        return
    canvas.text(x, 0, f"{lines}0", inks.muted)
    scale = np.linspace(0.2, 1, 4)[None, :]
    if inks.has_colour:
        canvas.cells(x + len(lines) + 2, 0, inks.heat(scale))
    else:
        canvas.text(x + len(lines) + 2, 0, "".join(_SHADES[1:]))
    canvas.text(canvas.width - len(end), 0, end, inks.muted)


def _draw_cursor(canvas: Canvas, picture: HeatPicture, box: Box, axis: int, inks: Inks) -> None:
    if picture.cursor is None:
        return
    column, row = picture.cursor
    x, wide = box.left + int(picture.left_C[column]), int(np.diff(picture.left_C)[column])
    canvas.text(x, box.top + row, "◆" * wide, inks.accent, inks.background, BOLD | REVERSE)
    label = picture.binned.rows[row].label
    canvas.text(GUTTER - 1 - len(label), box.top + row, label, inks.accent, NONE, BOLD)
    canvas.text(x + wide // 2, axis, "▲", inks.accent)
