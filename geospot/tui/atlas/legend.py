"""What stands around the map: how long a kilometre is, and what the signs mean."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from geospot.numbertext import compact
from geospot.tui.atlas.classes import ERRORS
from geospot.tui.atlas.projection import View
from geospot.tui.atlas.scene import NOWHERE, SAID, TRUE, Mode, Scene, Shades
from geospot.tui.canvas import NONE, Canvas
from geospot.tui.inks import Inks

_PATTERN_CELLS: Final = 3
_LENGTHS_KM: Final = tuple(
    factor * 10.0**power for power in range(4, -3, -1) for factor in (5.0, 2.0, 1.0)
)


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


def paint_note(canvas: Canvas, note: str, inks: Inks) -> None:
    """What a reader has to know, in the upper right corner."""
    if note:
        canvas.text(max(canvas.width - len(note) - 2, 0), 0, f" {note} ", inks.warning)


def paint_legend(canvas: Canvas, scene: Scene, inks: Inks) -> None:
    """Signs, classes with their counts, and answers without a place, on the last row; short if narrow."""
    row = canvas.height - 1
    parts: list[_Part] = []
    for words in range(3, -1, -1):
        parts = [*_signs(scene, inks, words > 1), *_classes(scene, inks, words > 1, words > 0)]
        parts += _failures(scene, inks, words)
        if sum(_cells(part) for part in parts) <= canvas.width - 1:
            break
    x = 1
    for part in parts:
        if part.pattern:
            along = np.arange(2 * _PATTERN_CELLS)
            on = np.array([dot == "#" for dot in part.pattern])[along % len(part.pattern)]
            canvas.dots(2 * x + along[on], np.full(int(on.sum()), 4 * row + 1), part.ink)
        else:
            canvas.text(x, row, part.text, part.ink)
        x += _cells(part)


def _cells(part: _Part) -> int:
    return _PATTERN_CELLS if part.pattern else len(part.text)


def _signs(scene: Scene, inks: Inks, is_long: bool) -> list[_Part]:
    if scene.shades is not None:
        return [_Part("countries by median km" if is_long else "km", inks.muted)]
    parts: list[_Part] = []
    if scene.mode is not Mode.ANSWERS:
        parts.append(_Part(f"{TRUE} true  " if is_long else f"{TRUE} ", inks.foreground))
    if scene.mode is not Mode.TRUTHS:
        letters = scene.answers.classes.letters
        sign = SAID if inks.has_colour else f"{letters[0]}–{letters[-1]}"
        parts.append(_Part(f"{sign} said  " if is_long else f"{sign} ", inks.foreground))
    return [*parts, _Part("km", inks.muted)]


def _classes(scene: Scene, inks: Inks, is_long: bool, has_counts: bool) -> list[_Part]:
    shades, classes = scene.shades, scene.answers.classes
    counts = scene.answers.class_counts
    if shades is not None:
        classes, counts = ERRORS, _countries_by_class(shades)
    parts: list[_Part] = []
    for pattern, letter, name, count, ink in zip(
        classes.patterns, classes.letters, classes.names, counts, classes.inks(inks), strict=True
    ):
        parts.append(_Part("  " if is_long else " "))
        if scene.mode is Mode.ARCS and shades is None:
            parts.append(_Part("", ink, pattern))
        elif inks.has_colour:
            parts.append(_Part("■", ink))
        if not inks.has_colour:
            parts.append(_Part(letter, inks.foreground))
        colon = (": " if is_long else ":") if has_counts else ""
        parts.append(_Part(f"{' ' * is_long}{name}{colon}", inks.muted))
        if has_counts:
            parts.append(_Part(f"{count:,}" if is_long else compact(count), inks.foreground))
    return parts


def _countries_by_class(shades: Shades) -> list[int]:
    km = np.array([km for km in shades.km.values() if np.isfinite(km)])
    counted = np.bincount(ERRORS.of(km), minlength=len(ERRORS.names))
    return [int(count) for count in counted]


def _failures(scene: Scene, inks: Inks, words: int) -> list[_Part]:
    """Answers that said no place have none on the map: they are counted beside it, by outcome."""
    lost = int((~scene.answers.has_place_N).sum())
    if not lost:
        return []
    if words < 2:
        return [_Part(f" {NOWHERE}{compact(lost)}", inks.bad)]
    listed = ", ".join(
        f"{count:,} {name}" for name, count in scene.answers.reasons.items() if count
    )
    shown = listed if listed and words > 2 else f"{lost:,}"
    return [_Part(f"  {NOWHERE} no place: {shown}", inks.bad)]
