"""The curves of a chart with their axes, drawn; its first rows are drawn by `legend`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from geospot.numbertext import compact
from geospot.tui.canvas import BOLD, NONE, Canvas, blend
from geospot.tui.inks import Inks
from geospot.tui.scales import Scale, without_outliers
from geospot.tui.widgets.plot import (
    PATTERNS,
    Box,
    draw_band,
    draw_curve,
    draw_x_axis,
    y_labels,
)
from geospot.tui.widgets.series import Reduced, Series, reduce

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BAND: Final = 0.2
_RAW: Final = 0.4
"""How much of a series' colour its band, and its raw line behind a smoothed one, have."""

_SAME: Final = 1e-9
"""Values that differ by less than this share of them are drawn as the same: it is rounding."""
_LARGEST: Final = 1e120
_SMALLEST: Final = 1e-120
"""Ends of what axes reach: differences and ratios of what is within are still numbers."""
_LABELS: Final = 6


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart at one moment. `seen` is the smallest and largest x in sight, `smoothing` a weight."""

    series: Sequence[Series]
    title: str
    x_label: str
    y_label: str
    x_text: Callable[[float], str]
    seen: tuple[float, float]
    is_zoomed: bool
    log_y: bool
    smoothing: float
    without_outliers: bool
    """Whether the axis leaves out the few values that lie far from all others."""
    cursor: float | None
    has_focus: bool


def plain_number(value: float) -> str:
    """A value of x in full: 12,345 where it is whole."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else compact(value, 5)


@dataclass(frozen=True, slots=True)
class Body:
    """The rows below the first ones, without a cursor; and where in the chart the curves are."""

    strips: Sequence[Strip]
    box: Box
    foot: int
    """The row of the values of x, counted in the chart; below it where there is none."""


def draw_body(
    picture: Picture, width: int, height: int, head: int, inks: Inks, base: Style
) -> Body:
    """Draws the curves with their axes.

    Args:
        head: rows above them.
        base: the widget's style.
    """
    canvas = Canvas(width, max(height - head, 0))
    foot = 1 if height - head > 3 else 0
    box = Box(_LABELS, 0, max(width - _LABELS, 1), max(height - head - foot, 1))
    curves, labels = _fit(picture, box)
    most = max((len(text) for _, text in labels), default=0)
    if most + 1 > _LABELS and width > 3 * most:
        box = Box(most + 1, 0, width - most - 1, box.height)
        curves, labels = _fit(picture, box)
    if not any(np.isfinite(curve.low_K).any() for curve in curves):
        _say_nothing(canvas, picture, box, inks)
        foot = 0
    else:
        for row, text in labels:
            canvas.text(box.left - 1 - len(text), row, text, inks.muted)
        if foot:
            low, high = picture.seen
            draw_x_axis(canvas, box, low, high, picture.x_label, picture.x_text, inks.muted)
        _draw_curves(canvas, picture, box, curves, inks)
    where = Box(box.left, head, box.width, box.height)
    return Body(canvas.strips(base), where, head + box.height if foot else height)


def crossed(body: Body, y: int, column: int, width: int, inks: Inks, base: Style) -> Strip:
    """A row of the chart with the cursor's column of another colour, and a mark below it."""
    strip = body.strips[y - body.box.top]
    if y > body.foot:
        return strip
    before, cell, after = strip.divide([column, column + 1, width])
    if y == body.foot:
        cell = Strip([Segment("▲", base + Style(color=f"#{inks.accent:06x}", bold=True))])
    elif inks.has_colour:
        paper = Style(bgcolor=f"#{inks.faint:06x}")
        cell = Strip([Segment(s.text, (s.style or Style.null()) + paper) for s in cell])
    elif not cell.text.strip():
        cell = Strip([Segment("┊", base)])
    return Strip.join([before, cell, after])


def cursor_cell(picture: Picture, box: Box) -> int | None:
    """The column of cells that the cursor is in; None where it isn't in sight."""
    low, high = picture.seen
    if picture.cursor is None or not low <= picture.cursor <= high:
        return None
    return box.left + int(Scale(low, high, box.columns).place(picture.cursor)) // 2


def _edges(picture: Picture, box: Box) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Borders of the columns of dots in x; the first and the last x in sight are in the middle of theirs."""
    low, high = picture.seen
    half = (high - low) / max(box.columns - 1, 1) / 2
    return np.linspace(low - half, high + half, box.columns + 1)


def _fit(picture: Picture, box: Box) -> tuple[list[Reduced], list[tuple[int, str]]]:
    """The curves as they are drawn (smoothed, where that is on), and what stands at the axis."""
    edges = _edges(picture, box)
    curves = [
        reduce(one.x_N, one.smoothed(picture.smoothing), edges, one.widest_step, log=picture.log_y)
        for one in picture.series
    ]
    return curves, y_labels(_y_scale(picture, box, curves), box.height)


def _y_scale(picture: Picture, box: Box, curves: Sequence[Reduced]) -> Scale:
    inside = [(curve.column_K >= 0) & (curve.column_K < box.columns) for curve in curves]
    pairs = zip(curves, inside, strict=True)
    values = [value[part] for curve, part in pairs for value in (curve.low_K, curve.high_K)]
    edges = _edges(picture, box)
    for one in picture.series:
        for side in (one.low_N, one.high_N):
            if side is not None:
                band = reduce(one.x_N, side, edges, np.inf, log=picture.log_y)
                values += [band.low_K, band.high_K]
    seen = np.concatenate([np.empty(0), *values])
    seen = seen[np.isfinite(seen)]
    seen = np.clip(seen, _SMALLEST if picture.log_y else -_LARGEST, _LARGEST)
    if picture.without_outliers:
        seen = without_outliers(seen, log=picture.log_y)
    if len(seen) and np.ptp(seen) <= _SAME * np.abs(seen).max():
        seen = seen[:1]
    return Scale.over(seen, box.rows, log=picture.log_y)


def _draw_curves(
    canvas: Canvas, picture: Picture, box: Box, curves: Sequence[Reduced], inks: Inks
) -> None:
    scale, edges = _y_scale(picture, box, curves), _edges(picture, box)
    for place, one in enumerate(picture.series):
        ink = series_ink(inks, place)
        if one.low_N is not None and one.high_N is not None:
            low, high = (
                reduce(one.x_N, side, edges, one.widest_step, log=picture.log_y)
                for side in (one.low_N, one.high_N)
            )
            paper = _mixed(inks, ink, _BAND) if inks.has_colour else NONE
            draw_band(canvas, box, low, high, scale, paper)
        if picture.smoothing:
            raw = reduce(one.x_N, one.y_N, edges, one.widest_step, log=picture.log_y)
            draw_curve(canvas, box, raw, scale, _mixed(inks, ink, _RAW), "#.")
    for place, curve in enumerate(curves):
        draw_curve(
            canvas, box, curve, scale, series_ink(inks, place), PATTERNS[place % len(PATTERNS)]
        )
    if len(curves) > 1:
        _write_letters(canvas, box, curves, scale, inks)


def _write_letters(
    canvas: Canvas, box: Box, curves: Sequence[Reduced], scale: Scale, inks: Inks
) -> None:
    """Each curve's letter at its right end; where two ends meet, the later one stands further left."""
    taken: set[tuple[int, int]] = set()
    for place, curve in enumerate(curves):
        inside = np.flatnonzero((curve.column_K < box.columns) & np.isfinite(curve.last_K))
        if not len(inside):
            continue
        y = box.rows - 1 - float(scale.place(curve.last_K[inside[-1]]))
        row = min(max(int(y // 4), 0), box.height - 1)
        x = min(max(int(curve.column_K[inside[-1]]) // 2, 0), box.width - 1)
        while (x, row) in taken and x > 0:
            x -= 1
        taken.add((x, row))
        canvas.text(box.left + x, box.top + row, letter(place), series_ink(inks, place), NONE, BOLD)


def _say_nothing(canvas: Canvas, picture: Picture, box: Box, inks: Inks) -> None:
    """Why there is no curve."""
    count = sum(len(one) for one in picture.series)
    if not count:
        text = "no values yet"
    elif picture.log_y and any(one.not_positive for one in picture.series):
        text = "no value above 0: press y for a linear axis"
    else:
        text = "no finite value in sight"
    x = max((canvas.width - len(text)) // 2, 0)
    canvas.text(x, box.top + box.height // 2, text, inks.muted)


def letter(place: int) -> str:
    """The letter of the series at a place."""
    return _LETTERS[place % len(_LETTERS)]


def series_ink(inks: Inks, place: int) -> int:
    """The colour of the series at a place."""
    return inks.series[place % len(inks.series)] if inks.has_colour else NONE


def _mixed(inks: Inks, ink: int, share: float) -> int:
    """A colour on its way from the background."""
    if ink == NONE:
        return NONE
    return int(blend(inks.background, ink, np.array([share]))[0])
