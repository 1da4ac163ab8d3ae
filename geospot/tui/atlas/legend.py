"""What stands around the map: how long a kilometre is, names of parallels, and what the signs mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from geospot.places.capitals import CAPITALS
from geospot.tui.atlas import land
from geospot.tui.atlas.classes import ERRORS
from geospot.tui.atlas.outlines import outlines
from geospot.tui.atlas.projection import View
from geospot.tui.atlas.scene import NOWHERE, SAID, TRUE, Mode, Scene, Shades
from geospot.tui.canvas import NONE, Canvas
from geospot.tui.inks import Inks
from geospot.tui.scales import compact

_LENGTHS_KM: Final = tuple(
    factor * 10.0**power for power in range(4, -3, -1) for factor in (5.0, 2.0, 1.0)
)
_NAMES_BELOW_DEGREES: Final = 50.0
"""Height of a view from which on capitals are named."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of the legend: some cells of a line's pattern, or text."""

    text: str
    ink: int = NONE
    pattern: str = ""


def paint_scale(canvas: Canvas, view: View, inks: Inks) -> None:
    """A bar of a round number of km in the lower left corner, true in the middle of the map."""
    most_cells = max(view.width // 2 // 5, 6)
    cell_km = 2 * view.km_per_dot
    length_km = next((km for km in _LENGTHS_KM if km <= cell_km * most_cells), _LENGTHS_KM[-1])
    cells = max(round(length_km / cell_km), 1)
    name = f"{length_km:,.0f} km" if length_km >= 1 else f"{1000 * length_km:,.0f} m"
    row = view.height // 4 - 1
    canvas.text(1, row, f"├{'─' * max(cells - 1, 0)}┤ {name} ", inks.muted)


def paint_degrees(canvas: Canvas, view: View, inks: Inks) -> None:
    """The parallels' names along the left edge, the meridians' along the top."""
    _, _, parallels, meridians = land.graticule(view)
    digits = 0 if land.mesh(view) >= 1 else 2
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
    rows = (line.rsplit(", ", 2) for line in CAPITALS.splitlines())
    return [(name[3:], float(latitude), float(longitude)) for name, latitude, longitude in rows]


def paint_note(canvas: Canvas, note: str, inks: Inks) -> None:
    """What a reader has to know, in the upper right corner."""
    if note:
        canvas.text(max(canvas.width - len(note) - 2, 0), 0, f" {note} ", inks.warning)


def paint_legend(canvas: Canvas, scene: Scene, inks: Inks) -> None:
    """Signs, classes with their counts, and answers without a place, on the last row; short if narrow."""
    row = canvas.height - 1
    for shortness in range(4):
        parts = _parts(scene, inks, shortness)
        if sum(len(part.text) or 3 for part in parts) <= canvas.width - 1:
            break
    x = 1
    for part in parts:
        if part.pattern:
            along = np.arange(6)
            on = np.array([dot == "#" for dot in part.pattern])[along % len(part.pattern)]
            canvas.dots(2 * x + along[on], np.full(int(on.sum()), 4 * row + 1), part.ink)
            x += 3
            continue
        canvas.text(x, row, part.text, part.ink)
        x += len(part.text)


def _parts(scene: Scene, inks: Inks, shortness: int) -> list[_Part]:
    parts: list[_Part] = []
    gap = "  " if shortness < 2 else " "
    if scene.shades is None and scene.mode in (Mode.ARCS, Mode.POINTS, Mode.TRUTHS):
        parts.append(_Part(f"{TRUE} true" if shortness < 3 else TRUE, inks.foreground))
    if scene.shades is None and scene.mode is not Mode.TRUTHS:
        parts += [_Part(gap), _Part(f"{SAID} said" if shortness < 3 else SAID, inks.foreground)]
    if scene.shades is not None:
        parts.append(_Part("median km", inks.foreground))
    counts = scene.class_counts if scene.shades is None else _countries_by_class(scene.shades)
    classes = scene.classes if scene.shades is None else ERRORS
    colours = classes.inks(inks)
    for each, (name, count) in enumerate(zip(classes.names, counts, strict=True)):
        parts.append(_Part(gap))
        if scene.mode is Mode.ARCS and scene.shades is None:
            parts += [
                _Part("", colours[each], classes.patterns[each]),
                _Part(" " * (shortness < 2)),
            ]
        elif inks.has_colour:
            parts.append(_Part("■" + " " * (shortness < 2), colours[each]))
        if not inks.has_colour:
            parts.append(_Part(f"{classes.letters[each]} ", inks.foreground))
        parts.append(_Part(name, inks.muted))
        if shortness < 3:
            number = f"{count:,}" if shortness < 1 else compact(count)
            parts.append(_Part(f" {number}", inks.foreground))
    return parts + _failures(scene, inks, gap, shortness)


def _countries_by_class(shades: Shades) -> list[int]:
    km = np.array([km for km in shades.km.values() if np.isfinite(km)])
    counted = np.bincount(ERRORS.of(km), minlength=len(ERRORS.names))
    return [int(count) for count in counted]


def _failures(scene: Scene, inks: Inks, gap: str, shortness: int) -> list[_Part]:
    """Answers that said no place have none on the map: they are counted beside it, by outcome."""
    lost = int((~scene.has_place_N).sum())
    if not lost:
        return []
    text = (
        f"{gap}{NOWHERE} no place {lost:,}" if shortness < 3 else f"{gap}{NOWHERE}{compact(lost)}"
    )
    if scene.reasons and shortness < 1:
        listed = ", ".join(f"{count:,} {name}" for name, count in scene.reasons.items() if count)
        text += f" ({listed})"
    return [_Part(text, inks.bad)]


def undrawn(codes: Sequence[str]) -> list[str]:
    """Those of the countries that are too small to be on the map."""
    return sorted(set(codes) - set(outlines().codes))
