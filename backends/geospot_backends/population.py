"""Where people and roads are: a distribution over the cities of GeoNames.

A photo corpus is neither spread like people (half of GeoNames' cities are in a few dense countries)
nor like land. So each cell of one degree weighs the square root of its number of cities, and its
cities share that equally: ten times the cities make a cell three times as likely.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from geospot.geo import geoscore, haversine_km
from geospot.places import city_table

_CELLS_AROUND: Final = 360
_COARSE_STEP: Final = 6.0
_REFINEMENTS: Final = 3


@dataclass(frozen=True)
class Population:
    """Cities in the order of `geospot.places.city_table`, and what each weighs (sum 1)."""

    latitude_C: npt.NDArray[np.float64]
    longitude_C: npt.NDArray[np.float64]
    weight_C: npt.NDArray[np.float64]
    cumulative_C: npt.NDArray[np.float64]


@cache
def population() -> Population:
    """The distribution, computed once (0.1 s after the table is loaded)."""
    table = city_table()
    rows = np.floor(table.latitude_C).astype(np.int64) + 90
    columns = np.floor(table.longitude_C).astype(np.int64) + 180
    _, cell_C, count_K = np.unique(
        rows * _CELLS_AROUND + columns, return_inverse=True, return_counts=True
    )
    weight_C = 1.0 / np.sqrt(count_K)[cell_C]
    weight_C /= weight_C.sum()
    return Population(table.latitude_C, table.longitude_C, weight_C, np.cumsum(weight_C))


def best_constant() -> tuple[float, float]:
    """The point (degrees, two decimals) whose expected GeoScore is the highest.

    Searched on a grid of 6°, then three times on ever finer grids around the best point so far.
    """
    cell_latitude_K, cell_longitude_K, weight_K = _cells()
    centre, reach, step = (0.0, 0.0), (78.0, 180.0), _COARSE_STEP
    for _ in range(_REFINEMENTS + 1):
        best = (-1.0, *centre)
        for latitude in np.arange(centre[0] - reach[0], centre[0] + reach[0] + step / 2, step):
            for longitude in np.arange(centre[1] - reach[1], centre[1] + reach[1] + step / 2, step):
                distance_km_K = haversine_km(latitude, longitude, cell_latitude_K, cell_longitude_K)
                score = float((geoscore(distance_km_K) * weight_K).sum())
                best = max(best, (score, float(latitude), float(longitude)))
        centre, reach, step = (best[1], best[2]), (step, step), step / 6.0
    return round(centre[0], 2), round(centre[1], 2)


def _cells() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cells of 2° with the mean place and the weight of what they hold: near enough for a mean."""
    people = population()
    rows = np.floor(people.latitude_C / 2.0).astype(np.int64) + 45
    columns = np.floor(people.longitude_C / 2.0).astype(np.int64) + 90
    _, cell_C = np.unique(rows * _CELLS_AROUND + columns, return_inverse=True)
    weight_K = np.bincount(cell_C, people.weight_C).astype(np.float64)
    latitude_K = np.bincount(cell_C, people.weight_C * people.latitude_C) / weight_K
    longitude_K = np.bincount(cell_C, people.weight_C * people.longitude_C) / weight_K
    return latitude_K, longitude_K, weight_K
