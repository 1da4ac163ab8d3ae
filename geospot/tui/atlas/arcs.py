"""Great circles as dots: the shortest way between two places, drawn as the map's projection bends it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geospot.greatcircle import angle_between, points_along, unit_vectors
from geospot.tui.atlas.projection import View

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_DOTS_A_PIECE = 6
_MOST_PIECES = 72
_STEEP = 0.4
"""Cosine of the latitude that a great circle reaches, below which it turns sharply on the map."""
_FINER = 4


@dataclass(frozen=True, slots=True)
class ArcDots:
    """D dots: where they are, which arc they belong to, and how many dots along it."""

    x_D: IntArray
    y_D: IntArray
    arc_D: IntArray
    along_D: IntArray


def arc_dots(from_A_L: FloatArray, to_A_L: FloatArray, view: View) -> ArcDots:
    """The dots of A great circles between places of (latitude, longitude) in degrees, all finite.

    Of two places at opposite ends of the globe every way is the shortest; it is one of them.
    """
    pieces_A = _pieces(from_A_L, to_A_L, view)
    arc_K = np.repeat(np.arange(len(pieces_A)), pieces_A + 1)
    first_K = np.repeat(np.cumsum(pieces_A + 1) - pieces_A - 1, pieces_A + 1)
    share_K = (np.arange(len(arc_K)) - first_K) / pieces_A[arc_K]
    latitude_K, longitude_K = points_along(from_A_L, to_A_L, arc_K, share_K)
    x_K, y_K = view.x(longitude_K), view.y(latitude_K)
    joined_S = np.flatnonzero(arc_K[1:] == arc_K[:-1])
    return _lines(
        *_unwrapped(x_K[joined_S], y_K[joined_S], x_K[joined_S + 1], y_K[joined_S + 1],
                    arc_K[joined_S], view),
        view,
    )  # fmt: skip


def line_dots(
    x0_S: FloatArray, y0_S: FloatArray, x1_S: FloatArray, y1_S: FloatArray, view: View
) -> tuple[IntArray, IntArray]:
    """The dots of S straight lines, clipped to the view and to the globe's width."""
    dots = _lines(x0_S, y0_S, x1_S, y1_S, np.arange(len(x0_S)), view)
    return dots.x_D, dots.y_D


def _pieces(from_A_L: FloatArray, to_A_L: FloatArray, view: View) -> IntArray:
    """Into how many straight pieces an arc is cut: by its length on the map, and finer around a pole."""
    a, b = unit_vectors(from_A_L), unit_vectors(to_A_L)
    across = np.cross(a, b, axis=0)
    flatness = np.abs(across[2]) / np.maximum(np.linalg.norm(across, axis=0), 1e-12)
    pieces = np.degrees(angle_between(a, b)) / view.degrees / _DOTS_A_PIECE
    pieces = pieces * np.where(flatness < _STEEP, _FINER, 1)
    return np.clip(pieces, 1, _MOST_PIECES).astype(np.int64) + 1


def _unwrapped(
    x0_S: FloatArray, y0_S: FloatArray, x1_S: FloatArray, y1_S: FloatArray, arc_S: IntArray,
    view: View,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray]:  # fmt: skip
    """Pieces that leave the map at one edge and come back at the other become two, one at each edge."""
    world = view.world_dots
    jump_S = np.rint((x1_S - x0_S) / world) * world
    torn = np.flatnonzero(jump_S)
    # An arc's pieces have to stay in their order, so that its pattern goes on.
    order = np.argsort(np.append(np.arange(len(x0_S)), torn), kind="stable")
    return (
        np.append(x0_S, x0_S[torn] + jump_S[torn])[order],
        np.append(y0_S, y0_S[torn])[order],
        np.append(x1_S - jump_S, x1_S[torn])[order],
        np.append(y1_S, y1_S[torn])[order],
        np.append(arc_S, arc_S[torn])[order],
    )


def _lines(
    x0_S: FloatArray, y0_S: FloatArray, x1_S: FloatArray, y1_S: FloatArray, arc_S: IntArray,
    view: View,
) -> ArcDots:  # fmt: skip
    half = view.world_dots / 2
    west, east = max(view.width / 2 - half, 0.0), min(view.width / 2 + half, view.width)
    dx_S, dy_S = x1_S - x0_S, y1_S - y0_S
    length_S = np.maximum(abs(dx_S), abs(dy_S))
    before_S = np.cumsum(length_S) - length_S
    low_S, high_S = np.zeros(len(dx_S)), np.ones(len(dx_S))
    for start, step, low, high in ((x0_S, dx_S, west, east), (y0_S, dy_S, 0.0, view.height)):
        with np.errstate(divide="ignore", invalid="ignore"):
            near, far = (low - start) / step, (high - start) / step
        inside = (start >= low) & (start <= high)
        still = step == 0
        low_S = np.maximum(low_S, np.where(still, np.where(inside, 0, 2), np.minimum(near, far)))
        high_S = np.minimum(high_S, np.where(still, 1, np.maximum(near, far)))
    seen = np.flatnonzero(low_S <= high_S)
    count_V = ((high_S - low_S)[seen] * length_S[seen]).astype(np.int64) + 1
    line_D = np.repeat(seen, count_V)
    first_D = np.repeat(np.cumsum(count_V) - count_V, count_V)
    share_D = (np.arange(len(line_D)) - first_D + 0.5) / np.repeat(count_V, count_V)
    at_D = low_S[line_D] + share_D * (high_S - low_S)[line_D]
    return ArcDots(
        (x0_S[line_D] + at_D * dx_S[line_D]).astype(np.int64),
        (y0_S[line_D] + at_D * dy_S[line_D]).astype(np.int64),
        arc_S[line_D],
        (before_S[line_D] + at_D * length_S[line_D]).astype(np.int64),
    )
