"""What a chart shows, drawn: what it is about, what its curves are called, the curves, the axes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from textual.strip import Strip

from geospot.textsafe import printable
from geospot.tui.canvas import BOLD, NONE, REVERSE, Canvas, blend
from geospot.tui.inks import Inks
from geospot.tui.scales import Scale, compact
from geospot.tui.widgets.plot import (
    PATTERNS,
    Box,
    draw_band,
    draw_curve,
    draw_x_axis,
    pattern_sample,
    y_labels,
)
from geospot.tui.widgets.series import Reduced, Series, reduce

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BAND: Final = 0.2
_RAW: Final = 0.3
"""How much of a series' colour its band, and its raw line behind a smoothed one, have."""

_LABELS: Final = 6
_SAMPLE: Final = 3


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
    cursor: float | None
    has_focus: bool


def plain_number(value: float) -> str:
    """A value of x in full: 12,345 where it is whole."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else compact(value, 5)


def draw(picture: Picture, width: int, height: int, inks: Inks) -> tuple[list[Strip], Box]:
    """The rows of the chart, and where in them the curves are."""
    canvas = Canvas(width, height)
    head = _draw_head(canvas, picture, inks)
    foot = 1 if height - head > 3 else 0
    box = Box(_LABELS, head, max(width - _LABELS, 1), max(height - head - foot, 1))
    curves, labels = _fit(picture, box)
    most = max((len(text) for _, text in labels), default=0)
    if most + 1 > _LABELS and width > 3 * most:
        box = Box(most + 1, box.top, width - most - 1, box.height)
        curves, labels = _fit(picture, box)
    drawable = [curve for curve in curves if np.isfinite(curve.low_K).any()]
    if not drawable:
        _say_nothing(canvas, picture, box, inks)
        return canvas.strips(), box
    for row, text in labels:
        canvas.text(box.left - 1 - len(text), box.top + row, text, inks.muted)
    if foot:
        low, high = picture.seen
        draw_x_axis(canvas, box, low, high, picture.x_label, picture.x_text, inks.muted)
    _draw_curves(canvas, picture, box, curves, inks)
    _draw_cursor(canvas, picture, box, foot, inks)
    return canvas.strips(), box


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
    return Scale.over(np.concatenate([np.empty(0), *values]), box.rows, log=picture.log_y)


def _draw_curves(
    canvas: Canvas, picture: Picture, box: Box, curves: Sequence[Reduced], inks: Inks
) -> None:
    scale, edges = _y_scale(picture, box, curves), _edges(picture, box)
    for place, one in enumerate(picture.series):
        ink = _ink(inks, place)
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
        draw_curve(canvas, box, curve, scale, _ink(inks, place), PATTERNS[place % len(PATTERNS)])
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
        canvas.text(box.left + x, box.top + row, _letter(place), _ink(inks, place), NONE, BOLD)


def _draw_cursor(canvas: Canvas, picture: Picture, box: Box, foot: int, inks: Inks) -> None:
    """A column of another colour, and a mark below it."""
    low, high = picture.seen
    if picture.cursor is None or not low <= picture.cursor <= high:
        return
    x = box.left + int(Scale(low, high, box.columns).place(picture.cursor)) // 2
    canvas.cells(x, box.top, np.full((box.height, 1), inks.faint))
    if foot or not inks.has_colour:
        canvas.text(x, box.top + box.height + foot - 1, "▲", inks.accent)


def _draw_head(canvas: Canvas, picture: Picture, inks: Inks) -> int:
    """What the chart is about, its curves and their values; returns how many rows that took."""
    title = printable(picture.title)
    canvas.text(0, 0, f" {title} ", NONE, NONE, BOLD | (REVERSE if picture.has_focus else 0))
    x = len(title) + 3
    if len(picture.series) == 1:
        right = _value(picture, picture.series[0])
        where = _where(picture)
        shown = f"{where}  {right}" if where and right != "–" else where or right
        x_value = max(canvas.width - len(shown), x)
        notes = _notes(picture, picture.series)
        canvas.text(x, 0, notes[: max(x_value - x - 1, 0)], inks.muted)
        canvas.text(x_value, 0, shown, _ink(inks, 0), NONE, BOLD)
        return 1
    notes = "  ".join(part for part in (_where(picture), _notes(picture, picture.series)) if part)
    canvas.text(x, 0, notes, inks.muted)
    return 1 + _draw_legend(canvas, picture, inks)


def _draw_legend(canvas: Canvas, picture: Picture, inks: Inks) -> int:
    """A line or more of letter, pattern, name and value; what finds no room is counted."""
    x, row, most = 1, 1, max(canvas.height // 3, 1)
    for place, one in enumerate(picture.series):
        sample = pattern_sample(place, _SAMPLE)
        text = f"{printable(one.name, limit=40)} {_value(picture, one)}"
        width = len(text) + _SAMPLE + 4
        if x > 1 and x + width > canvas.width:
            if row == most:
                canvas.text(x, row, f"+{len(picture.series) - place}", inks.muted)
                break
            x, row = 1, row + 1
        canvas.text(x, row, f"{_letter(place)} {sample} ", _ink(inks, place), NONE, BOLD)
        canvas.text(x + _SAMPLE + 3, row, text)
        x += width + 1
    return row if picture.series else 0


def _where(picture: Picture) -> str:
    if picture.cursor is None:
        return ""
    return f"{picture.x_label} {picture.x_text(picture.cursor)}"


def _value(picture: Picture, one: Series) -> str:
    """The value at the cursor, without one the newest; ≈ where it is that of the point beside."""
    if picture.cursor is None:
        latest = one.latest()
        return "–" if latest is None else compact(latest, 4)
    reading = one.read(picture.cursor)
    if reading is None:
        return "–"
    return f"{'' if reading.is_exact else '≈'}{compact(reading.value, 5)}"


def _notes(picture: Picture, series: Sequence[Series]) -> str:
    """What one has to know to read the chart right."""
    bad = sum(one.not_finite for one in series)
    low = sum(one.not_positive for one in series) if picture.log_y else 0
    notes = (
        picture.y_label,
        "log" if picture.log_y else "",
        f"smoothed {picture.smoothing:g}" if picture.smoothing else "",
        "zoomed" if picture.is_zoomed else "",
        f"{bad:,} not finite" if bad else "",
        f"{low:,} ≤ 0 left out" if low else "",
    )
    return " · ".join(note for note in notes if note)


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


def _letter(place: int) -> str:
    return _LETTERS[place % len(_LETTERS)]


def _ink(inks: Inks, place: int) -> int:
    return inks.series[place % len(inks.series)] if inks.has_colour else NONE


def _mixed(inks: Inks, ink: int, share: float) -> int:
    """A colour on its way from the background."""
    if ink == NONE:
        return NONE
    return int(blend(inks.background, ink, np.array([share]))[0])
