"""Names on the map: of parallels and meridians along its edges, and of capitals."""

from collections.abc import Sequence
from functools import cache
from typing import Final

from geospot.places.capitals import CAPITALS
from geospot.places.outlines import outlines
from geospot.tui.atlas import land
from geospot.tui.atlas.projection import View
from geospot.tui.canvas import Canvas
from geospot.tui.inks import Inks

_NAMES_BELOW_DEGREES: Final = 50.0
"""Height of a view from which on capitals are named."""


def paint_degrees(canvas: Canvas, view: View, inks: Inks) -> None:
    """The parallels' names along the left edge, the meridians' along the top."""
    _, _, parallels, meridians = land.graticule(view)
    gap = land.mesh(view)
    digits = 0 if gap >= 1 else 1 if gap >= 0.1 else 2
    bottom = view.height // 4
    left = max(round(float(view.width - view.world_dots) / 4), 0)
    for latitude in parallels.tolist():
        row = int(float(view.y(latitude)) // 4)
        if 1 <= row < bottom - 1 and abs(latitude) < 89.9:
            canvas.text(left, row, _degrees(latitude, "N", "S", digits), inks.faint)
    scale = view.squeeze / view.degrees
    free = left + 6
    for longitude in meridians.tolist():
        column = int(view.width / 2 + (longitude - view.longitude) * scale) // 2
        text = _degrees((longitude + 180) % 360 - 180, "E", "W", digits)
        if column >= free and column + len(text) < canvas.width:
            canvas.text(column, 0, text, inks.faint)
            free = column + len(text) + 4


def _degrees(value: float, positive: str, negative: str, digits: int) -> str:
    side = positive if value > 0 else negative if value < 0 else ""
    return f"{abs(value):.{digits}f}°{side}"


def paint_capitals(canvas: Canvas, view: View, inks: Inks) -> None:
    """Capitals by name, where there is room: for finding one's way when zoomed in."""
    south, _, north, _ = view.box
    if north - south > _NAMES_BELOW_DEGREES:
        return
    taken: set[tuple[int, int]] = set()
    bottom = view.height // 4 - 1
    for name, latitude, longitude in _capitals():
        x, y = float(view.x(longitude)) // 2, float(view.y(latitude)) // 4
        if not (0 <= x < view.width // 2 - len(name) - 1 and 1 <= y < bottom):
            continue
        cells = {(int(x) + n, int(y)) for n in range(-2, len(name) + 3)}
        if not taken & cells:
            taken |= cells
            canvas.text(int(x), int(y), f"·{name}", inks.muted)


@cache
def _capitals() -> Sequence[tuple[str, float, float]]:
    """Name, latitude, longitude; those of large countries first."""
    areas = outlines().areas
    rows = sorted(CAPITALS.splitlines(), key=lambda line: -areas.get(line[:2], 0.0))
    parts = (line[3:].rsplit(", ", 2) for line in rows)
    return [(name, float(latitude), float(longitude)) for name, latitude, longitude in parts]
