"""What the map stands on: outlines and graticule as dots, and which country a cell lies in."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geospot.places.outlines import Outlines, outlines
from geospot.tui.atlas.arcs import line_dots
from geospot.tui.atlas.projection import View

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_TURNS = (-360.0, 0.0, 360.0)
_MESHES = (60.0, 30.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


@lru_cache(maxsize=8)
def outline_dots(view: View) -> tuple[IntArray, IntArray]:
    """Dots of coasts and borders."""
    world = outlines()
    here = world.drawn_E
    scale = view.squeeze / view.degrees
    x_P = view.width / 2 + (world.longitude_P - view.longitude) * scale
    y_P = view.y(world.latitude_P)
    x0, y0, x1, y1 = x_P[here], y_P[here], x_P[here + 1], y_P[here + 1]
    parts = [line_dots(x0 + turn * scale, y0, x1 + turn * scale, y1, view) for turn in _TURNS]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def mesh(view: View) -> float:
    """Degrees between the lines of the graticule: some four to eight lines from top to bottom."""
    return next((m for m in _MESHES if view.degrees * view.height / m >= 3.5), _MESHES[-1])


@lru_cache(maxsize=8)
def graticule(view: View) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Dots of the graticule, and the parallels and meridians that it has, in degrees."""
    gap = mesh(view)
    south, west, north, east = view.box
    parallels = gap * _whole(south / gap, north / gap)
    meridians = gap * _whole(west / gap, east / gap)
    scale = view.squeeze / view.degrees
    at_x = view.width / 2 + (meridians - view.longitude) * scale
    left, right = (view.width / 2 + (edge - view.longitude) * scale for edge in (west, east))
    top, bottom = float(view.y(north)), float(view.y(south))
    down = np.arange(max(top, 0.0), min(bottom, view.height), 8.0)
    across = np.arange(max(left, 0.0), min(right, view.width), 6.0)
    x = np.append(np.repeat(at_x, len(down)), np.tile(across, len(parallels)))
    y = np.append(np.tile(down, len(meridians)), np.repeat(view.y(parallels), len(across)))
    seen = (y >= 0) & (y < view.height)  # below the map there is something else
    return x[seen].astype(np.int64), y[seen].astype(np.int64), parallels, meridians


def _whole(low: float, high: float) -> FloatArray:
    """The whole numbers from low to high, both included."""
    return np.arange(math.ceil(low), math.floor(high) + 1, dtype=np.float64)


@lru_cache(maxsize=8)
def countries(view: View, columns: int, rows: int) -> NDArray[np.int16]:
    """Which country the middle of each cell lies in, as index into `outlines().codes`; −1 in none.

    Every row of cells is one latitude: the borders that cross it, in order, are where land of a country
    begins and ends by turns.
    """
    world = outlines()
    middle_R = 4 * np.arange(rows, dtype=np.float64) + 2
    latitude_R = view.latitude + (view.height / 2 - middle_R) * view.degrees
    row_X, country_X, longitude_X = _crossings(world, latitude_R)
    order = np.lexsort((longitude_X, country_X, row_X))
    row, country = row_X[order][::2], country_X[order][::2]
    begin, end = longitude_X[order][::2], longitude_X[order][1::2]
    cells_R_C = np.full((rows, columns), -1, np.int16)
    scale = view.squeeze / view.degrees / 2  # cells a degree
    half = view.world_dots / 4
    low = max(int(np.ceil(columns / 2 - half - 0.5)), 0)
    high = min(int(np.floor(columns / 2 + half + 0.5)), columns)
    for turn in _TURNS:
        first = columns / 2 + (begin + turn - view.longitude) * scale - 0.5
        last = columns / 2 + (end + turn - view.longitude) * scale - 0.5
        left = np.clip(np.ceil(first), low, high).astype(np.int64)
        right = np.clip(np.floor(last) + 1, low, high).astype(np.int64)
        for n in np.flatnonzero(right > left).tolist():
            cells_R_C[row[n], left[n] : right[n]] = country[n]
    return cells_R_C


def _crossings(world: Outlines, latitude_R: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Where borders cross parallels: row, country and longitude of each crossing. Rows go south."""
    here, there = world.edge_E, world.edge_E + 1
    y0, y1 = world.latitude_P[here], world.latitude_P[there]
    # The first and the last row (exclusive) strictly between an edge's ends; corners count once.
    top = np.searchsorted(-latitude_R, -np.maximum(y0, y1), side="right")
    bottom = np.searchsorted(-latitude_R, -np.minimum(y0, y1), side="right")
    count_E = bottom - top
    edge_X = np.repeat(np.arange(len(here)), count_E)
    first_X = np.repeat(np.cumsum(count_E) - count_E, count_E)
    row_X = top[edge_X] + np.arange(len(edge_X)) - first_X
    share = (latitude_R[row_X] - y0[edge_X]) / (y1 - y0)[edge_X]
    x0, x1 = world.longitude_P[here][edge_X], world.longitude_P[there][edge_X]
    codes = np.searchsorted(np.array(world.codes), world.country_R)
    return row_X, codes[world.ring_P[here[edge_X]]], x0 + share * (x1 - x0)
