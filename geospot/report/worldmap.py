"""The world, flat, with an arc from each truth to what was said.

How far off it is shows in colour, in the dashes of the arc, and in the shape of the mark at its true place:
near answers have arcs too short for dashes, and who doesn't see colours or prints without them has the shape.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from geospot.evaluation.following import Answers
from geospot.greatcircle import points_along
from geospot.places.outlines import outlines
from geospot.report.drawing import ERROR_INKS, INK, as_svg, drawn

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ARCS: Final = 600
"""More can't be told apart, and each takes half a kilobyte of the page."""
_PIECES: Final = 24
_EDGES_KM: Final = (25.0, 200.0, 750.0, 2500.0)
_NAMES: Final = ("< 25 km", "< 200", "< 750", "< 2,500", "≥ 2,500")
_MARKS: Final = ("o", "^", "s", "D", "x")
_DASHES: Final = ("-", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (4, 3)), (0, (1, 1.5)))


def drawn_rows(answers: Answers, seed: int = 0) -> IntArray:
    """Which answers are drawn: all that have both places, or as many of them as fit, drawn by lot."""
    columns = answers.columns_N
    places_N_C = np.column_stack(
        [columns[f"{kind}{axis}"] for kind in ("true_", "") for axis in ("latitude", "longitude")]
    )
    row_M = np.flatnonzero(answers.answered_N & np.isfinite(places_N_C).all(axis=1))
    if len(row_M) <= MOST_ARCS:
        return row_M
    chosen = np.random.default_rng(seed).choice(row_M, MOST_ARCS, replace=False)
    return np.sort(chosen)


def world_map(answers: Answers, row_A: IntArray, name: str) -> str:
    """The map with the arcs of these rows; the shortest are drawn last, over the others."""
    columns = answers.columns_N
    from_A_L = np.column_stack([columns["true_latitude"][row_A], columns["true_longitude"][row_A]])
    to_A_L = np.column_stack([columns["latitude"][row_A], columns["longitude"][row_A]])
    distance_km_A = answers.distance_km_N[row_A]
    order_A = np.argsort(-distance_km_A)
    class_A = np.searchsorted(_EDGES_KM, distance_km_A, side="right")
    with drawn(9.0, 4.6) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.add_collection(LineCollection(_borders(), colors=INK, alpha=0.35, linewidths=0.5))
        lines, line_arc = _arcs(from_A_L[order_A], to_A_L[order_A])
        class_K = class_A[order_A][line_arc].tolist()
        axes.add_collection(
            LineCollection(
                lines, colors=[ERROR_INKS[place] for place in class_K],
                linestyles=[_DASHES[place] for place in class_K], linewidths=0.8, alpha=0.75,
            )
        )  # fmt: skip
        for place, (ink, mark) in enumerate(zip(ERROR_INKS, _MARKS, strict=True)):
            at_A = class_A == place
            axes.plot(
                from_A_L[at_A, 1], from_A_L[at_A, 0], mark, color=ink, markersize=2.8, linewidth=0
            )
        axes.set_xlim(-180, 180)
        axes.set_ylim(-60, 84)
        axes.set_aspect(1.25)
        signs = [
            Line2D([], [], color=ink, marker=mark, markersize=3.5, linestyle=dashes)
            for ink, mark, dashes in zip(ERROR_INKS, _MARKS, _DASHES, strict=True)
        ]
        counts = np.bincount(class_A, minlength=len(_NAMES))
        words = [f"{text}: {count:,}" for text, count in zip(_NAMES, counts, strict=True)]
        axes.legend(signs, words, loc="lower left", fontsize=8, handlelength=3)
        return as_svg(
            figure, name,
            f"World map of {len(row_A):,} great-circle arcs from the true place to the answer",
        )  # fmt: skip


def _borders() -> list[FloatArray]:
    """Coasts and borders as lines of longitude and latitude, without the sheet's own edges."""
    world = outlines()
    edge_E = world.drawn_E
    breaks = np.flatnonzero(np.diff(edge_E) != 1) + 1
    points_P_C = np.column_stack([world.longitude_P, world.latitude_P])
    return [points_P_C[run[0] : run[-1] + 2] for run in np.split(edge_E, breaks) if len(run)]


def _arcs(from_A_L: FloatArray, to_A_L: FloatArray) -> tuple[list[FloatArray], IntArray]:
    """Lines of longitude and latitude, and which arc each belongs to; cut in two at the date line."""
    count = len(from_A_L)
    arc_K = np.repeat(np.arange(count), _PIECES + 1)
    share_K = np.tile(np.linspace(0, 1, _PIECES + 1), count)
    latitude_K, longitude_K = points_along(from_A_L, to_A_L, arc_K, share_K)
    points_A_P_C = np.column_stack([longitude_K, latitude_K]).reshape(count, _PIECES + 1, 2)
    lines: list[FloatArray] = []
    owner: list[int] = []
    for arc, points_P_C in enumerate(points_A_P_C):
        torn = np.flatnonzero(np.abs(np.diff(points_P_C[:, 0])) > 180) + 1
        parts = np.split(points_P_C, torn)
        for place, part_P_C in enumerate(parts):
            before = [_at_the_edge(part_P_C[0], parts[place - 1][-1])] if place else []
            after = [_at_the_edge(part_P_C[-1], parts[place + 1][0])] if parts[place + 1 :] else []
            lines.append(np.array([*before, *part_P_C, *after]))
            owner.append(arc)
    return lines, np.array(owner, np.int64)


def _at_the_edge(here_C: FloatArray, there_C: FloatArray) -> tuple[float, float]:
    """Where the way from here leaves the sheet to go on there at its other side: longitude, latitude."""
    (longitude, latitude), (other, over_there) = here_C.tolist(), there_C.tolist()
    to_edge, from_edge = 180 - abs(longitude), 180 - abs(other)
    share = to_edge / (to_edge + from_edge) if to_edge + from_edge else 0.0
    return math.copysign(180.0, longitude), latitude + share * (over_there - latitude)
