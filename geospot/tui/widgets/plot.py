"""Curves drawn into a rectangle of a canvas: their dots and patterns, bands, and the axes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geospot.numbertext import compact
from geospot.tui.canvas import NONE, Canvas
from geospot.tui.scales import Scale
from geospot.tui.widgets.series import FloatArray, Reduced

_BRAILLE: Final = 0x2800
_MIDDLE_LEFT: Final = 0x02
_MIDDLE_RIGHT: Final = 0x10

PATTERNS: Final[Sequence[str]] = ("#", "####..", "##..", "######..#..", "#...", "########....")
"""Which columns of dots a line has, by the place of its series; each goes on from its start again."""


_DIGITS: Final = (3, 4, 5, 6)
"""Of the values at an axis: as few as tell them apart."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of cells on a canvas."""

    left: int
    top: int
    width: int
    height: int

    @property
    def columns(self) -> int:
        """Columns of dots."""
        return 2 * self.width

    @property
    def rows(self) -> int:
        """Rows of dots."""
        return 4 * self.height


def pattern_sample(place: int, cells: int) -> str:
    """The pattern of the series at `place`, in braille, for a legend."""
    pattern = PATTERNS[place % len(PATTERNS)]
    on = [pattern[column % len(pattern)] == "#" for column in range(2 * cells)]
    return "".join(
        chr(_BRAILLE + _MIDDLE_LEFT * left + _MIDDLE_RIGHT * right)
        for left, right in zip(on[::2], on[1::2], strict=True)
    )


def draw_curve(
    canvas: Canvas, box: Box, curve: Reduced, scale: Scale, ink: int, pattern: str = "#"
) -> None:
    """Draws a curve that was reduced to the box's columns; parts outside the box are cut off."""
    column = [curve.column_K]
    low, high = _down(box, scale, curve.low_K), _down(box, scale, curve.high_K)
    tops, bottoms = [high], [low]
    for part in (_between(box, scale, curve), _lonely(box, curve, low, high)):
        column.append(part[0])
        tops.append(part[1])
        bottoms.append(part[2])
    x, top, bottom = np.concatenate(column), np.concatenate(tops), np.concatenate(bottoms)
    seen = (x >= 0) & (x < box.columns) & (bottom >= -0.5) & (top <= box.rows - 0.5)
    mask = np.array([mark == "#" for mark in pattern])
    seen &= mask[x % len(mask)]  # NaN has compared false above
    last = box.rows - 1
    # Rounded a little off the half, so that a straight line doesn't flicker between two rows of dots.
    top, bottom = (np.clip(np.floor(y[seen] + 0.5001), 0, last) for y in (top, bottom))
    down = 4 * box.top
    canvas.spans(x[seen] + 2 * box.left, top + down, bottom + down, ink)


def _down(box: Box, scale: Scale, value_K: FloatArray) -> FloatArray:
    """Rows of dots from the top; NaN where a value has no place."""
    return box.rows - 1 - scale.place(value_K)


def _between(
    box: Box, scale: Scale, curve: Reduced
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Straight lines between neighbouring columns: for each column that they cross, from where to where."""
    right = np.flatnonzero(curve.joined_K)
    x0, x1 = curve.column_K[right - 1], curve.column_K[right]
    y0, y1 = _down(box, scale, curve.last_K[right - 1]), _down(box, scale, curve.first_K[right])
    start, end = np.maximum(x0, -1), np.minimum(x1, box.columns)
    count = np.maximum(end - start + 1, 0)
    line = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)
    x = start[line] + within
    length = np.maximum(x1 - x0, 1)[line]

    def y(place: NDArray[Any]) -> FloatArray:
        share = np.clip((place - x0[line]) / length, 0, 1)
        return y0[line] + share * (y1 - y0)[line]

    before, after = y(x - 0.5), y(x + 0.5)
    return x, np.minimum(before, after), np.maximum(before, after)


def _lonely(
    box: Box, curve: Reduced, low_K: FloatArray, high_K: FloatArray
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Points that are joined with none: one dot is easily overlooked, so they get four."""
    alone = ~curve.joined_K & ~np.append(curve.joined_K[1:], False) & (low_K - high_K < 1)
    x, y = curve.column_K[alone], np.minimum(low_K[alone], box.rows - 2)
    beside = np.where(x + 1 < box.columns, x + 1, x - 1)
    return np.concatenate([x, beside]), np.concatenate([y, y]), np.concatenate([y, y]) + 1


def draw_band(
    canvas: Canvas, box: Box, low: Reduced, high: Reduced, scale: Scale, paper: int
) -> None:
    """Colours the cells between two curves, column by column; without a colour their edges are dotted."""
    if paper == NONE:
        draw_curve(canvas, box, low, scale, NONE, "#...")
        draw_curve(canvas, box, high, scale, NONE, "#...")
        return
    for cell in range(box.width):
        floor, ceiling = _at_cell(low, cell), _at_cell(high, cell)
        if floor is None or ceiling is None:
            continue
        bottom, top = _down(box, scale, np.array([floor, ceiling]))
        if np.isfinite(bottom) and np.isfinite(top):
            first, last = max(int(top // 4), 0), min(int(bottom // 4), box.height - 1)
            canvas.fill(box.left + cell, box.top + first, 1, last - first + 1, paper)


def _at_cell(curve: Reduced, cell: int) -> float | None:
    """The curve's value in the middle of a cell, None where it has none there."""
    place = 2 * cell + 0.5
    right = int(np.searchsorted(curve.column_K, place))
    if right < len(curve.column_K) and curve.column_K[right] - place < 1:
        return float(curve.first_K[right])
    if right and place - curve.column_K[right - 1] < 1:
        return float(curve.last_K[right - 1])
    if not 0 < right < len(curve.column_K) or not curve.joined_K[right]:
        return None
    x0, x1 = curve.column_K[right - 1], curve.column_K[right]
    share = (place - x0) / max(x1 - x0, 1)
    return float(curve.last_K[right - 1] * (1 - share) + curve.first_K[right] * share)


def y_labels(scale: Scale, height: int) -> list[tuple[int, str]]:
    """Rows of cells and what is written beside them, from the top; no two at one row."""
    for most in (min(height // 2, 8), height - 1):
        ticks = {height - 1 - int(scale.place(tick)) // 4: tick for tick in scale.ticks(most)}
        if len(ticks) > 1:
            break
    else:
        ticks = {0: scale.high, height - 1: scale.low}  # nothing round in sight
    values = list(ticks.values())
    texts = next((t for digits in _DIGITS if len(set(t := _texts(values, digits))) == len(t)), None)
    return sorted(zip(ticks, texts or _texts(values, _DIGITS[-1]), strict=True))


def _texts(values: Sequence[float], digits: int) -> list[str]:
    return [compact(value, digits) for value in values]


def draw_x_axis(
    canvas: Canvas, box: Box, low: float, high: float, name: str, text: Callable[[float], str],
    ink: int,
) -> None:  # fmt: skip
    """Writes values under the box, and the name of x to the left of them, or at the right end."""
    row, end = box.top + box.height, box.left + box.width
    if len(name) < box.left:
        canvas.text(box.left - 1 - len(name), row, name, ink)
    elif len(name) < box.width // 2:
        end -= len(name) + 1
        canvas.text(end + 1, row, name, ink)
    scale, taken = Scale(low, high, box.width), -1
    for tick in scale.ticks(max(box.width // 12, 2)):
        shown = text(tick)
        x = max(box.left + round(float(scale.place(tick))) - len(shown) // 2, box.left)
        if shown and x > taken and x + len(shown) <= end:
            canvas.text(x, row, shown, ink)
            taken = x + len(shown) + 1


def whole_step(value: float) -> str:
    """A step for the axis; nothing between two of them."""
    return f"{value:,.0f}" if value == round(value) else ""
