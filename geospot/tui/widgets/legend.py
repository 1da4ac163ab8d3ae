"""The first rows of a chart: what it is about, what its curves are called, their values at the cursor."""

from collections.abc import Iterator
from typing import Final

from rich.style import Style
from textual.strip import Strip

from geospot.numbertext import compact
from geospot.textsafe import printable
from geospot.tui.canvas import BOLD, NONE, REVERSE, Canvas
from geospot.tui.inks import Inks
from geospot.tui.widgets.picture import Picture, letter, series_ink
from geospot.tui.widgets.plot import pattern_sample
from geospot.tui.widgets.series import Series

_SAMPLE: Final = 3
_VALUE: Final = 8
_LONGEST_NAME: Final = 40


def legend_rows(picture: Picture, width: int, height: int) -> int:
    """How many rows `draw_legend` takes; that doesn't change while the cursor moves."""
    if len(picture.series) < 2:
        return 1
    return 1 + max(row for _, row, _ in _places(picture, width, height))


def draw_legend(picture: Picture, width: int, height: int, inks: Inks, base: Style) -> list[Strip]:
    """Draws them, for a chart of this size; `base` is the widget's style."""
    canvas = Canvas(width, legend_rows(picture, width, height))
    title, where = printable(picture.title), _where(picture)
    mode = BOLD | (REVERSE if picture.has_focus else 0)
    if len(picture.series) == 1:
        shown = _beside(title, where, _value(picture, picture.series[0]), width)
        title = _cut(title, width - len(shown) - 3)
        canvas.text(0, 0, f" {title} ", NONE, NONE, mode)
        x, x_value = len(title) + 3, width - len(shown)
        canvas.text(x, 0, _notes(picture, x_value - x - 1), inks.muted)
        canvas.text(x_value, 0, shown, series_ink(inks, 0), NONE, BOLD)
        return canvas.strips(base)
    canvas.text(0, 0, f" {title} ", NONE, NONE, mode)
    x = len(title) + 3
    canvas.text(x, 0, where, inks.accent, NONE, BOLD)
    x += len(where) + 2 if where else 0
    canvas.text(x, 0, _notes(picture, width - x), inks.muted)
    for place, (x, row, is_cut) in enumerate(_places(picture, width, height)):
        if is_cut:
            canvas.text(x, row, f"+{len(picture.series) - place}", inks.muted)
            break
        _draw_entry(canvas, picture, place, x, row, inks)
    return canvas.strips(base)


def _beside(title: str, where: str, value: str, width: int) -> str:
    """What stands at the right of the only curve's title: where the cursor is, where there is room, and the
    value; a number that lost its end would be another one.
    """
    if value == "–":
        return where or value
    both = f"{where}  {value}" if where else value
    return both if len(title) + 3 + len(both) <= width else value


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def _draw_entry(canvas: Canvas, picture: Picture, place: int, x: int, row: int, inks: Inks) -> None:
    """Letter, pattern, name and value of a curve."""
    mark = f"{letter(place)} {pattern_sample(place, _SAMPLE)} "
    canvas.text(x, row, mark, series_ink(inks, place), NONE, BOLD)
    name = _name(picture.series[place])
    canvas.text(x + len(mark), row, f"{name} {_value(picture, picture.series[place])}")


def _places(picture: Picture, width: int, height: int) -> Iterator[tuple[int, int, bool]]:
    """Where each curve's entry is: cell, row, and whether there is no room for it and all after it."""
    x, row, most = 1, 1, max(height // 3, 1)
    for one in picture.series:
        entry = len(_name(one)) + _SAMPLE + _VALUE + 5
        if x > 1 and x + entry > width:
            if row == most:
                yield x, row, True
                return
            x, row = 1, row + 1
        yield x, row, False
        x += entry + 1


def _name(one: Series) -> str:
    return printable(one.name, limit=_LONGEST_NAME)


def _where(picture: Picture) -> str:
    if picture.cursor is None:
        return ""
    return f"{picture.x_label} {picture.x_text(picture.cursor)}"


def _value(picture: Picture, one: Series) -> str:
    """The value at the cursor, without one the newest; ≈ where it is that of the point beside."""
    if picture.cursor is None:
        latest = one.latest()
        return "–" if latest is None else _short(latest, 4)
    reading = one.read(picture.cursor)
    if reading is None:
        return "–"
    return _short(reading.value, 5, "" if reading.is_exact else "≈")


def _short(value: float, digits: int, mark: str = "") -> str:
    """The value with so many digits, or as many as its place has cells for."""
    texts = (f"{mark}{compact(value, fewer)}" for fewer in range(digits, 2, -1))
    return next((text for text in texts if len(text) <= _VALUE), f"{mark}{compact(value)}")


def _notes(picture: Picture, width: int) -> str:
    """What one has to know to read the chart right, what is most easily overlooked first; as much as fits."""
    bad = sum(one.not_finite for one in picture.series)
    low = sum(one.not_positive for one in picture.series) if picture.log_y else 0
    notes = (
        f"{bad:,} not finite" if bad else "",
        f"{low:,} ≤ 0 left out" if low else "",
        "log" if picture.log_y else "",
        picture.y_label,
        f"smoothed {picture.smoothing:g}" if picture.smoothing else "",
        "zoomed" if picture.is_zoomed else "",
        "without outliers" if picture.without_outliers else "",
    )
    text = ""
    for note in notes:
        longer = f"{text} · {note}" if text and note else text or note
        text = longer if len(longer) <= width else text
    return text
