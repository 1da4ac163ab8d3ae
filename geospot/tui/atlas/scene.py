"""What is drawn on the map, painted layer by layer on a canvas."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geospot.places.outlines import outlines
from geospot.tui.atlas import labels, land
from geospot.tui.atlas.arcs import arc_dots
from geospot.tui.atlas.classes import ERRORS, Classes
from geospot.tui.atlas.projection import View
from geospot.tui.canvas import BOLD, DIM, NONE, REVERSE, Canvas, blend
from geospot.tui.inks import Inks

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TRUE: Final = "○"
SAID: Final = "×"
BOTH: Final = "⊗"
NOWHERE: Final = "!"
"""Where a photo was taken about which no place was said."""

MOST_ARCS: Final = 1500
"""More would hide one another; that many are drawn at random, and the map says so."""

_SHADES: Final = "·░▒▓█"


class Mode(StrEnum):
    """What is drawn of the answers."""

    ARCS = "arcs"
    POINTS = "points"
    TRUTHS = "true places"
    ANSWERS = "said places"


@dataclass(frozen=True)
class Shades:
    """A number of km for each country that has one, by ISO alpha-2; `weak` ones stand on few answers."""

    km: Mapping[str, float]
    weak: Collection[str] = ()


@dataclass(frozen=True)
class Plotted:
    """N answers: true and said places as (latitude, longitude) in degrees, the said ones NaN where none.

    `value_N` is what classes are about: the distance in km, or another number in km.
    """

    truths_N_L: FloatArray
    predictions_N_L: FloatArray
    value_N: FloatArray
    classes: Classes = ERRORS
    reasons: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many answers said no place, by outcome."""

    @cached_property
    def class_N(self) -> IntArray:
        """The class of each answer."""
        return self.classes.of(self.value_N)

    @cached_property
    def has_truth_N(self) -> NDArray[np.bool_]:
        """Whether it is known where the photo was taken."""
        return _are_known(self.truths_N_L)

    @cached_property
    def has_place_N(self) -> NDArray[np.bool_]:
        """Whether a place was said."""
        return _are_known(self.predictions_N_L)

    @cached_property
    def known_truths(self) -> tuple[FloatArray, FloatArray]:
        """Latitudes and longitudes of the true places that are known."""
        known = self.truths_N_L[self.has_truth_N]
        return known[:, 0].copy(), known[:, 1].copy()

    @cached_property
    def known_predictions(self) -> tuple[FloatArray, FloatArray]:
        """Latitudes and longitudes of the places that were said."""
        known = self.predictions_N_L[self.has_place_N]
        return known[:, 0].copy(), known[:, 1].copy()

    @cached_property
    def drawn_arcs(self) -> IntArray:
        """Answers whose arcs are drawn, the largest values first: the short ones lie on top."""
        both = np.flatnonzero(self.has_truth_N & self.has_place_N)
        if len(both) > MOST_ARCS:
            both = np.random.default_rng(0).choice(both, MOST_ARCS, replace=False)
        return both[np.argsort(-np.abs(self.value_N[both]), kind="stable")]

    @cached_property
    def class_counts(self) -> list[int]:
        """How many answers with a place each class has."""
        counted = np.bincount(self.class_N[self.has_place_N], minlength=len(self.classes.names))
        return [int(count) for count in counted]


@dataclass(frozen=True)
class Scene:
    """What is drawn: answers, how, which of them is chosen; or countries by a number instead."""

    answers: Plotted
    mode: Mode = Mode.ARCS
    selected: int | None = None
    shades: Shades | None = None


def _are_known(place_N_L: FloatArray) -> NDArray[np.bool_]:
    return np.isfinite(place_N_L[:, 0]) & np.isfinite(place_N_L[:, 1])


def paint(canvas: Canvas, view: View, scene: Scene, inks: Inks) -> str:
    """Draws the scene on the canvas, whose first `view.height / 4` rows are the map.

    Returns:
        What a reader has to know about what is drawn, such as that it is a sample; often nothing.
    """
    _paint_land(canvas, view, scene.shades, inks)
    labels.paint_capitals(canvas, view, inks)
    labels.paint_degrees(canvas, view, inks)
    note = ""
    if scene.shades is None:
        if scene.mode is Mode.ARCS:
            note = _paint_arcs(canvas, view, scene, inks)
        else:
            note = _paint_points(canvas, view, scene, inks)
    if scene.selected is not None:
        _paint_selected(canvas, view, scene, scene.selected, inks)
    return note


def _paint_land(canvas: Canvas, view: View, shades: Shades | None, inks: Inks) -> None:
    x, y, _, _ = land.graticule(view)
    canvas.dots(x, y, inks.faint)
    x, y = land.outline_dots(view)
    canvas.dots(x, y, inks.muted)
    if shades is not None:
        is_filled_R_C = _paint_shades(canvas, view, shades, inks)
        filled = is_filled_R_C[y // 4, np.minimum(x // 2, is_filled_R_C.shape[1] - 1)]
        canvas.dots(x[filled], y[filled], inks.background)  # borders are cut out of what is filled


def _paint_shades(canvas: Canvas, view: View, shades: Shades, inks: Inks) -> NDArray[np.bool_]:
    """Fills countries, by the cell; returns which cells have a colour."""
    columns, rows = view.width // 2, view.height // 4
    country_R_C = land.countries(view, columns, rows)
    codes = outlines().codes
    km_C = np.array([shades.km.get(code, np.nan) for code in codes])
    known_R_C = (country_R_C >= 0) & np.isfinite(km_C)[country_R_C]
    class_R_C = ERRORS.of(km_C)[country_R_C]
    weak_R_C = np.array([code in shades.weak for code in codes])[country_R_C]
    if inks.has_colour:
        colours = np.array(ERRORS.inks(inks))
        strong, weak = (blend_each(inks.background, colours, s) for s in (0.6, 0.3))
        paper = np.where(weak_R_C, weak[class_R_C], strong[class_R_C])
        canvas.cells(0, 0, np.where(known_R_C, paper, NONE))
        return known_R_C
    row, column = np.nonzero(known_R_C)
    letters = np.array(list(ERRORS.letters))
    canvas.marks(column, row, letters[class_R_C[row, column]], inks.foreground, DIM)
    return np.zeros_like(known_R_C)


def blend_each(low: int, high_C: IntArray, share: float) -> IntArray:
    """Each colour mixed into another one."""
    return np.array([int(blend(low, int(high), np.array([share]))[0]) for high in high_C])


def _paint_arcs(canvas: Canvas, view: View, scene: Scene, inks: Inks) -> str:
    drawn = scene.answers.drawn_arcs
    dots = arc_dots(scene.answers.truths_N_L[drawn], scene.answers.predictions_N_L[drawn], view)
    class_D = scene.answers.class_N[drawn][dots.arc_D]
    shown = scene.answers.classes.drawn(class_D, dots.along_D)
    x, y, class_D = dots.x_D[shown], dots.y_D[shown], class_D[shown]
    colours = scene.answers.classes.inks(inks)
    for each in _far_to_near(scene.answers.classes):
        one = class_D == each
        canvas.dots(x[one], y[one], colours[each])
    ends = 2 * len(scene.answers.truths_N_L)
    if ends <= view.width * view.height // 8 // 12:
        _paint_marks(canvas, view, scene, inks, np.arange(len(scene.answers.truths_N_L)))
    total = int((scene.answers.has_truth_N & scene.answers.has_place_N).sum())
    if len(drawn) < total:
        return f"{len(drawn):,} of {total:,} arcs, drawn at random"
    return ""


def _far_to_near(classes: Classes) -> Sequence[int]:
    """The order in which classes are drawn: what matters most last, over the others."""
    if classes.is_change:
        return (2, 1, 3, 0, 4)
    return range(len(classes.names) - 1, -1, -1)


def _paint_points(canvas: Canvas, view: View, scene: Scene, inks: Inks) -> str:
    cells = view.width * view.height // 8
    if len(scene.answers.truths_N_L) <= cells // 6:
        _paint_marks(canvas, view, scene, inks, np.arange(len(scene.answers.truths_N_L)))
        return ""
    return _paint_density(canvas, view, scene, inks)


def _cells(place_N_L: FloatArray, view: View) -> tuple[IntArray, IntArray]:
    """Columns and rows of places, which are finite; those out of sight are above the map."""
    columns = max(view.width // 2, 1)
    cell = view.cells(place_N_L[:, 0], place_N_L[:, 1]).astype(np.int64)
    outside = cell == columns * (view.height // 4)
    return cell % columns, np.where(outside, -1, cell // columns)


def _paint_marks(canvas: Canvas, view: View, scene: Scene, inks: Inks, which: IntArray) -> None:
    """A mark for each true and each said place of the answers."""
    truths = which[scene.answers.has_truth_N[which]]
    answers = which[scene.answers.has_place_N[which]]
    answers = answers[np.argsort(-np.abs(scene.answers.value_N[answers]), kind="stable")]
    truth_x, truth_y = _cells(scene.answers.truths_N_L[truths], view)
    answer_x, answer_y = _cells(scene.answers.predictions_N_L[answers], view)
    shows_truths = scene.mode is not Mode.ANSWERS
    if shows_truths:
        nowhere = ~scene.answers.has_place_N[truths]
        signs = np.where(nowhere, NOWHERE, TRUE)
        canvas.marks(truth_x, truth_y, signs, np.where(nowhere, inks.bad, inks.foreground))
    if scene.mode is not Mode.TRUTHS:
        class_N = scene.answers.class_N[answers]
        signs = np.full(len(answers), SAID)
        if not inks.has_colour:
            signs = np.array(list(scene.answers.classes.letters))[class_N]
        if shows_truths and inks.has_colour:
            taken = np.isin(answer_y * 10_000 + answer_x, truth_y * 10_000 + truth_x)
            signs = np.where(taken, BOTH, SAID)
        canvas.marks(
            answer_x, answer_y, signs, np.array(scene.answers.classes.inks(inks))[class_N], BOLD
        )


def _paint_density(canvas: Canvas, view: View, scene: Scene, inks: Inks) -> str:
    """How many places lie in each cell, where there are too many for a mark each."""
    columns, rows = view.width // 2, view.height // 4

    def counted(latitude_K: FloatArray, longitude_K: FloatArray) -> IntArray:
        cell = view.cells(latitude_K, longitude_K)
        return np.bincount(cell, minlength=columns * rows + 1)[:-1].reshape(rows, columns)

    true_R_C = counted(*scene.answers.known_truths)
    said_R_C = counted(*scene.answers.known_predictions)
    if scene.mode is Mode.TRUTHS:
        number_R_C = true_R_C
    elif scene.mode is Mode.ANSWERS:
        number_R_C = said_R_C
    else:
        number_R_C = true_R_C + said_R_C
    row, column = np.nonzero(number_R_C)
    number = number_R_C[row, column]
    if not len(number):
        return ""
    share = np.log1p(number) / np.log1p(number.max())
    if scene.mode is Mode.POINTS:
        true, said = true_R_C[row, column], said_R_C[row, column]
        signs: NDArray[Any] = np.where(true == 0, SAID, np.where(said == 0, TRUE, BOTH))
    else:
        signs = np.array(list(_SHADES))[
            np.minimum(share * len(_SHADES), len(_SHADES) - 1).astype(int)
        ]
    canvas.marks(column, row, signs, inks.heat(0.35 + 0.65 * share))
    return f"{number.sum():,} places in sight, at most {number.max():,} in a cell"


def _paint_selected(canvas: Canvas, view: View, scene: Scene, which: int, inks: Inks) -> None:
    """The chosen answer over everything else, its arc without gaps."""
    truth, said = scene.answers.truths_N_L[[which]], scene.answers.predictions_N_L[[which]]
    has_truth, has_place = (
        bool(scene.answers.has_truth_N[which]),
        bool(scene.answers.has_place_N[which]),
    )
    if has_truth and has_place:
        dots = arc_dots(truth, said, view)
        _clear_under(canvas, dots.x_D // 2, dots.y_D // 4)
        canvas.dots(dots.x_D, dots.y_D, inks.series[0])
    for there, place, sign in ((has_place, said, SAID), (has_truth, truth, TRUE)):
        if there:
            x, y = _cells(place, view)
            shown = sign if sign == SAID or has_place else NOWHERE
            canvas.marks(x, y, np.array([shown]), inks.series[0], BOLD | REVERSE)


def _clear_under(canvas: Canvas, x_D: IntArray, y_D: IntArray) -> None:
    """Takes other marks away from the chosen arc's cells, so that it is seen whole."""
    canvas.marks(x_D, y_D, np.array(" "))
