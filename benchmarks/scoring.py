"""Scoring millions of predictions, and the bootstrap, beside the obvious ways to write them.

CPU seconds of this process, so that other people's work on the machine counts little and a second
core doesn't help. The candidates take turns; the median of five rounds is shown.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from geospot.evaluation.metrics import ACCURACIES, Scores, score_distances, score_predictions
from geospot.evaluation.statistics import RESAMPLES, bootstrap
from geospot.geo import EARTH_RADIUS_KM, GEOSCORE_MAX, GEOSCORE_SCALE_KM, FloatArray

NAME: Final = "Scoring and bootstrap"

_ROUNDS: Final = 5
_PREDICTIONS: Final = 5_000_000
_TEST_SET: Final = 210_122
_LOOP_SAMPLE: Final = 20_000  # rows that the pure Python loop is timed on
_NAIVE_SAMPLE: Final = 20  # resamples that the naive bootstrap is timed on


@dataclass(frozen=True, slots=True)
class Row:
    """CPU seconds of one candidate for the whole task."""

    task: str
    candidate: str
    seconds: float
    ratio: float
    """Times as long as ours."""
    note: str = ""


def main(quick: bool) -> str:
    """Runs everything (a minute; with `quick` a few seconds, on a tenth of the rows)."""
    lines = ["| task | candidate | CPU s | × ours | |", "| --- | --- | ---: | ---: | --- |"]
    lines += [
        f"| {row.task} | {row.candidate} | {row.seconds:.2f} | {row.ratio:.2f} | {row.note} |"
        for row in run(quick)
    ]
    return "\n".join(lines)


def run(quick: bool) -> list[Row]:
    """Every row of the table."""
    share = 10 if quick else 1
    return _scoring_rows(_PREDICTIONS // share) + _bootstrap_rows(_TEST_SET // share)


def _scoring_rows(n: int) -> list[Row]:
    points = _random_points(n)
    sample = [column[:_LOOP_SAMPLE].tolist() for column in points]
    candidates: Mapping[str, tuple[Callable[[], object], float, str]] = {
        "geospot": (lambda: _score(points), 1.0, "target: below 3 s"),
        "numpy, whole arrays at once": (lambda: _score_unblocked(*points), 1.0, ""),
        "pure Python loop": (
            lambda: _score_in_a_loop(*sample),
            n / _LOOP_SAMPLE,
            f"extrapolated from {_LOOP_SAMPLE:,} rows",
        ),
    }
    return _rows(f"{n:,} predictions, every distance figure", candidates)


def _bootstrap_rows(n: int) -> list[Row]:
    rng = np.random.default_rng(0)
    scores = score_distances(rng.exponential(1500.0, n), rng.random(n) < 0.95)
    candidates: Mapping[str, tuple[Callable[[], object], float, str]] = {
        "geospot": (lambda: bootstrap(scores), 1.0, "target: below 10 s"),
        "resample the rows": (
            lambda: _naive_bootstrap(scores, _NAIVE_SAMPLE),
            RESAMPLES / _NAIVE_SAMPLE,
            f"extrapolated from {_NAIVE_SAMPLE} resamples",
        ),
    }
    return _rows(
        f"{RESAMPLES:,} resamples of {n:,}, all figures, over all and answered", candidates
    )


def _rows(
    task: str, candidates: Mapping[str, tuple[Callable[[], object], float, str]]
) -> list[Row]:
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(_ROUNDS):
        for name, (work, scale, _note) in candidates.items():
            start = time.process_time()
            work()
            taken[name].append((time.process_time() - start) * scale)
    ours = taken["geospot"]
    return [
        Row(
            task=task,
            candidate=name,
            seconds=statistics.median(seconds),
            ratio=statistics.median(s / own for s, own in zip(seconds, ours, strict=True)),
            note=candidates[name][2],
        )
        for name, seconds in taken.items()
    ]


def _random_points(n: int) -> list[FloatArray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(-limit, limit, n) for limit in (90.0, 180.0, 90.0, 180.0)]


def _score(points: list[FloatArray]) -> object:
    scores = score_predictions(*points)
    return scores.over_all()


def _score_unblocked(
    latitude_N: FloatArray,
    longitude_N: FloatArray,
    true_latitude_N: FloatArray,
    true_longitude_N: FloatArray,
) -> object:
    lat, lon, true_lat, true_lon = map(
        np.radians, (latitude_N, longitude_N, true_latitude_N, true_longitude_N)
    )
    h = (
        np.sin((true_lat - lat) / 2) ** 2
        + np.cos(lat) * np.cos(true_lat) * np.sin((true_lon - lon) / 2) ** 2
    )
    distance_km = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(h))
    score = GEOSCORE_MAX * np.exp(-distance_km / GEOSCORE_SCALE_KM)
    accuracies = [float((distance_km < radius).mean()) for radius in ACCURACIES.values()]
    return float(score.mean()), float(distance_km.mean()), np.median(distance_km), accuracies


def _score_in_a_loop(
    latitudes: list[float],
    longitudes: list[float],
    true_latitudes: list[float],
    true_longitudes: list[float],
) -> object:
    distances_km: list[float] = []
    total = 0.0
    hits = dict.fromkeys(ACCURACIES, 0)
    for lat, lon, true_lat, true_lon in zip(
        latitudes, longitudes, true_latitudes, true_longitudes, strict=True
    ):
        phi, true_phi = math.radians(lat), math.radians(true_lat)
        h = (
            math.sin((true_phi - phi) / 2) ** 2
            + math.cos(phi) * math.cos(true_phi) * math.sin(math.radians(true_lon - lon) / 2) ** 2
        )
        distance_km = 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(h))
        distances_km.append(distance_km)
        total += GEOSCORE_MAX * math.exp(-distance_km / GEOSCORE_SCALE_KM)
        for name, radius in ACCURACIES.items():
            hits[name] += distance_km < radius
    return total, sum(distances_km), statistics.median(distances_km), hits


def _naive_bootstrap(scores: Scores, resamples: int) -> object:
    n = scores.distance_km_N.size
    rng = np.random.default_rng(0)
    drawn: list[object] = []
    for _ in range(resamples):
        rows = rng.integers(0, n, n)
        one = Scores(scores.distance_km_N[rows], scores.geoscore_N[rows], scores.answered_N[rows])
        drawn.append((one.over_all(), one.over_answered(), one.coverage))
    return drawn
