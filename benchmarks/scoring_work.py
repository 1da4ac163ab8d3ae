"""Scores and bootstrap by us and by others; runs where geopy and haversine are."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from benchmarks import plain
from benchmarks.candidates import OURS, Way, Work, compare, tell
from geospot.evaluation.metrics import Scores, score_distances
from geospot.evaluation.statistics import RESAMPLES, bootstrap
from geospot.geo import haversine_km

_MOST_LOOPED: Final = 100_000
_NAIVE: Final = 20
"""Resamples that the naive bootstrap is timed on."""


def scoring(n: int) -> Work:
    """Every distance figure of n predictions, from coordinates."""
    rng = np.random.default_rng(0)
    columns = [rng.uniform(-limit, limit, n) for limit in (90.0, 180.0, 90.0, 180.0)]
    points_N_L, truths_N_L = np.column_stack(columns[:2]), np.column_stack(columns[2:])
    few = min(n, _MOST_LOOPED)
    points: list[Any] = list(map(tuple, points_N_L[:few].tolist()))
    truths: list[Any] = list(map(tuple, truths_N_L[:few].tolist()))
    theirs: Any = importlib.import_module("haversine")
    geopy: Any = importlib.import_module("geopy.distance")

    def by_geopy() -> object:
        pairs = zip(points, truths, strict=True)
        return plain.figures([geopy.great_circle(here, there).km for here, there in pairs])

    ways: Mapping[str, Way] = {
        OURS: Way(lambda: score_distances(haversine_km(*columns), np.ones(n, np.bool_)).over_all()),
        "numpy, whole arrays at once": Way(
            lambda: plain.figures_at_once(plain.distances_at_once_km(points_N_L, truths_N_L))
        ),
        "haversine_vector and numpy": Way(
            lambda: plain.figures_at_once(theirs.haversine_vector(points_N_L, truths_N_L))
        ),
        "plain loop": Way(
            lambda: plain.figures(plain.distances_km(points, truths)), most=_MOST_LOOPED
        ),
        "geopy great_circle and a loop": Way(by_geopy, most=_MOST_LOOPED),
    }
    return Work("scores", n, "predictions", ways)


def resampling(n: int) -> Work:
    """The bootstrap of all figures, over all and over what was answered."""
    rng = np.random.default_rng(0)
    scores = score_distances(rng.exponential(1500.0, n), rng.random(n) < 0.95)
    ways: Mapping[str, Way] = {
        OURS: Way(lambda: bootstrap(scores)),
        "resampled rows": Way(lambda: _naive(scores), share=RESAMPLES / _NAIVE),
    }
    return Work(f"bootstrap, {RESAMPLES:,} resamples", n, "answers", ways)


def _naive(scores: Scores) -> object:
    n = scores.distance_km_N.size
    rng = np.random.default_rng(0)
    drawn: list[object] = []
    for _ in range(_NAIVE):
        rows = rng.integers(0, n, n)
        one = Scores(scores.distance_km_N[rows], scores.geoscore_N[rows], scores.answered_N[rows])
        drawn.append((one.over_all(), one.over_answered(), one.coverage))
    return drawn


def main(*, quick: bool) -> None:
    """Tells the figures."""
    predictions = (1000, 20_000) if quick else (1000, 10_000, 100_000, 1_000_000, 5_000_000)
    answers = (1000,) if quick else (1000, 10_000, 210_122)
    rounds = 1 if quick else 5
    works = [scoring(n) for n in predictions] + [resampling(n) for n in answers]
    tell([figure for work in works for figure in compare(work, rounds)])


if __name__ == "__main__":
    main(quick=sys.argv[1] == "quick")
