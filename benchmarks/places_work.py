"""Distance and reverse geocoding by us and by others; runs where geopy and haversine are.

Each is given its points in the form that it likes best: arrays, or tuples in a list.
"""

import importlib
import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from benchmarks import plain
from benchmarks.candidates import OURS, Way, Work, compare, tell
from geospot.geo import FloatArray, haversine_km
from geospot.places import city_table, reverse_geocode

_LOOP: Final = "plain loop"
_MOST_LOOPED: Final = 100_000
_MOST_SEARCHED: Final = 10


def random_points(n: int, seed: int) -> FloatArray:
    """Latitude and longitude of n points, in degrees."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(-89, 89, n), rng.uniform(-179, 179, n)])


def distance(n: int) -> Work:
    """Of n pairs of points."""
    points_N_L, truths_N_L = random_points(n, 0), random_points(n, 1)
    points, truths = _tuples(points_N_L), _tuples(truths_N_L)
    theirs: Any = importlib.import_module("haversine")
    geopy: Any = importlib.import_module("geopy.distance")
    _agree(points_N_L, truths_N_L, theirs, geopy)

    def ours() -> object:
        if n == 1:
            return haversine_km(*points[0], *truths[0])
        return haversine_km(*points_N_L.T, *truths_N_L.T)

    def geopy_loop() -> object:
        pairs = zip(points, truths, strict=True)
        return [geopy.great_circle(here, there).km for here, there in pairs]

    def haversine_loop() -> object:
        pairs = zip(points, truths, strict=True)
        return [theirs.haversine(here, there) for here, there in pairs]

    return Work(
        "distance",
        n,
        "pairs",
        {
            OURS: Way(ours),
            _LOOP: Way(lambda: plain.distances_km(points, truths), most=_MOST_LOOPED),
            "geopy great_circle": Way(geopy_loop, most=_MOST_LOOPED),
            "haversine": Way(haversine_loop, most=_MOST_LOOPED),
            "haversine_vector": Way(lambda: theirs.haversine_vector(points_N_L, truths_N_L)),
        },
    )


def _agree(points_N_L: FloatArray, truths_N_L: FloatArray, theirs: Any, geopy: Any) -> None:
    """That they compute the same; their Earth has a radius of 6,371.0088 km."""
    ours_km = haversine_km(*points_N_L[:100].T, *truths_N_L[:100].T)
    for number, km in enumerate(ours_km.tolist()):
        pair = tuple(points_N_L[number].tolist()), tuple(truths_N_L[number].tolist())
        for other_km in (theirs.haversine(*pair), geopy.great_circle(*pair).km):
            assert abs(other_km - km) < 0.1, (km, other_km)


def geocoding(n: int, mode: int) -> Work:
    """Of n points, every table loaded before; the library keeps the mode that it is asked for first."""
    points_N_L = random_points(n, 2)
    points = _tuples(points_N_L)
    library: Any = importlib.import_module("reverse_geocoder")
    table = city_table()
    cities = _tuples(np.column_stack([table.latitude_C, table.longitude_C]))
    found = library.search(points[:100], mode=mode, verbose=False)
    places = reverse_geocode(*points_N_L[:100].T)
    assert [one["name"] for one in found] == list(places.city_N)

    def loop() -> object:
        return [min(cities, key=lambda city: plain.distance_km(point, city)) for point in points]

    ways: Mapping[str, Way] = {
        OURS: Way(lambda: reverse_geocode(*points_N_L.T)),
        f"reverse_geocoder, mode {mode}": Way(
            lambda: library.search(points, mode=mode, verbose=False)
        ),
        _LOOP: Way(loop, most=_MOST_SEARCHED if mode == 1 else 0),
    }
    return Work("reverse geocoding", n, "points", ways)


def _tuples(points_N_L: FloatArray) -> list[plain.Point]:
    return [(latitude, longitude) for latitude, longitude in points_N_L.tolist()]


def main(part: str, *, quick: bool) -> None:
    """Tells the figures of a part."""
    pairs = (1, 100, 10_000) if quick else (1, 100, 10_000, 100_000, 1_000_000)
    points = (1, 100) if quick else (1, 10, 1000, 10_000, 210_122)
    rounds = 1 if quick else 5
    is_distance = part == "distance"
    works = map(distance, pairs) if is_distance else (geocoding(n, int(part)) for n in points)
    tell([figure for work in works for figure in compare(work, rounds)])


if __name__ == "__main__":
    main(sys.argv[1], quick=sys.argv[2] == "quick")
