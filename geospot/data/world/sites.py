"""Where the world's samples stand: real places, some of them never trained on.

A place is the area of `AREA_KM` around a GeoNames city; a sample stands within a few kilometres of
one of the area's cities, so it is on land and reverse geocodes to real names. The places are the
same for every seed: a `test-places` sample is far from everything that any seed trains on.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geospot.data.world.draws import uniform_N
from geospot.geo import EARTH_RADIUS_KM
from geospot.places import city_table

SPACING_KM: Final = 1000.0
"""Between the centres of any two places."""
AREA_KM: Final = 140.0
"""Radius of a place. Samples of different places are at least 710 km apart, the jitter included."""
JITTER_KM: Final = 5.0
"""How far from its city a sample stands at most."""
_MOST_CITIES: Final = 8
"""Cities of one place in use, the nearest first: more names would be more to learn, and no more to see."""
_FEWEST_CITIES: Final = 4
_HELD_OUT: Final = 0.2
"""Share of the places that only `test-places` draws from."""
_KM_A_DEGREE: Final = EARTH_RADIUS_KM * np.pi / 180.0


@dataclass(frozen=True)
class Sites:
    """P places: rows of `city_table`, for each place its centre and its cities."""

    centre_P: npt.NDArray[np.intp]
    cities_P: tuple[npt.NDArray[np.intp], ...]

    def __len__(self) -> int:
        return len(self.centre_P)


@cache
def sites(*, held_out: bool) -> Sites:
    """The places that are trained on, or those held out for `test-places`."""
    centres, areas = _choose()
    out_P = uniform_N("world/held-out", len(centres)) < _HELD_OUT
    chosen_P = np.flatnonzero(out_P == held_out)
    return Sites(centres[chosen_P], tuple(areas[i] for i in chosen_P))


def draw_points(
    places: Sites, key: str, count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Latitude and longitude (degrees, five decimals) of `count` samples at these places.

    The i-th is a function of the key and i alone, so a larger split begins with the smaller one.
    """
    table = city_table()
    place_N = (uniform_N(f"{key}/place", count) * len(places)).astype(np.intp)
    sizes_P = np.array([len(cities) for cities in places.cities_P])
    starts_P = np.concatenate([[0], np.cumsum(sizes_P)[:-1]])
    within_N = (uniform_N(f"{key}/city", count) * sizes_P[place_N]).astype(np.intp)
    city_N = np.concatenate(places.cities_P)[starts_P[place_N] + within_N]
    away_km_N = JITTER_KM * np.sqrt(uniform_N(f"{key}/away", count))
    bearing_N = 2.0 * np.pi * uniform_N(f"{key}/bearing", count)
    latitude_N = table.latitude_C[city_N] + away_km_N * np.cos(bearing_N) / _KM_A_DEGREE
    shrink_N = np.cos(np.radians(latitude_N))
    longitude_N = (
        table.longitude_C[city_N] + away_km_N * np.sin(bearing_N) / _KM_A_DEGREE / shrink_N
    )
    return np.round(latitude_N, 5), np.round((longitude_N + 180.0) % 360.0 - 180.0, 5)


def _choose() -> tuple[npt.NDArray[np.intp], list[npt.NDArray[np.intp]]]:
    """Cities in a fixed random order, each taken unless it is too near to one already taken."""
    from scipy import spatial

    table = city_table()
    phi, lam = np.radians(table.latitude_C), np.radians(table.longitude_C)
    points = np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    tree: Any = getattr(spatial, "cKDTree")(points)  # noqa: B009 - scipy has no types
    free_C = np.ones(len(table), dtype=bool)
    centres: list[int] = []
    areas: list[npt.NDArray[np.intp]] = []
    for city in np.argsort(uniform_N("world/places", len(table)), kind="stable").tolist():
        if not free_C[city]:
            continue
        near = tree.query_ball_point(points[city], _chord(AREA_KM))
        if len(near) < _FEWEST_CITIES:
            continue
        distances = np.linalg.norm(points[near] - points[city], axis=1)
        order = np.lexsort((near, distances))[:_MOST_CITIES]
        centres.append(city)
        areas.append(np.array(near, dtype=np.intp)[order])
        free_C[tree.query_ball_point(points[city], _chord(SPACING_KM))] = False
    return np.array(centres, dtype=np.intp), areas


def _chord(distance_km: float) -> float:
    return 2.0 * float(np.sin(distance_km / EARTH_RADIUS_KM / 2.0))
