"""The headline figures of a score: arrays in, figures out.

Definitions (docs/metrics.md gives the formulas and their sources):

- a failure, whatever kind it is, has the distance of half the Earth's circumference and GeoScore 0;
- an answer counts for an accuracy radius if it is strictly nearer than the radius;
- accuracies are fractions from 0 to 1;
- the median is numpy's: the mean of the two middle values of an even number.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from geospot.geo import HALF_CIRCUMFERENCE_KM, THRESHOLDS_KM, FloatArray, geoscore

BoolArray = npt.NDArray[np.bool_]

Figures = dict[str, float | None]
"""A value for each name in `HEADLINE`; None for all of them where nothing was answered."""

ACCURACIES: Final = {f"acc_{radius:g}km": radius for radius in THRESHOLDS_KM}
"""Name of each accuracy figure and its radius in km."""

HEADLINE: Final = ("geoscore", "mean_km", "median_km", *ACCURACIES)
"""The figures of a score, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Distance and GeoScore of N predictions, failures at their worst.

    Attributes:
        distance_km_N: great-circle distance; half the circumference where nothing was answered.
        geoscore_N: 0 to 5000; 0 where nothing was answered.
        answered_N: whether there is a prediction.
    """

    distance_km_N: FloatArray
    geoscore_N: FloatArray
    answered_N: BoolArray

    def over_all(self) -> Figures:
        """The figures over all N, failures included."""
        return figures(self.distance_km_N, self.geoscore_N)

    def over_answered(self) -> Figures:
        """The figures over the answered ones alone."""
        return figures(self.distance_km_N[self.answered_N], self.geoscore_N[self.answered_N])

    @property
    def coverage(self) -> float:
        """Share of the N that were answered; 0 where N is 0."""
        return float(self.answered_N.mean()) if self.answered_N.size else 0.0


def score_distances(distance_km_N: npt.ArrayLike, answered_N: npt.ArrayLike) -> Scores:
    """Scores of known distances in km; what stands where nothing was answered is not looked at."""
    answered = np.asarray(answered_N, dtype=np.bool_)
    distance_km = np.where(answered, np.asarray(distance_km_N, np.float64), HALF_CIRCUMFERENCE_KM)
    score = np.asarray(geoscore(distance_km))
    score[~answered] = 0.0
    return Scores(distance_km, score, answered)


def figures(distance_km_N: FloatArray, geoscore_N: FloatArray) -> Figures:
    """The headline figures of N distances in km and their GeoScores; None for each if N is 0."""
    n = distance_km_N.size
    if n == 0:
        return dict.fromkeys(HEADLINE)
    result: Figures = {
        "geoscore": float(geoscore_N.mean()),
        "mean_km": float(distance_km_N.mean()),
        "median_km": float(np.median(distance_km_N)),
    }
    for name, radius_km in ACCURACIES.items():
        result[name] = int(np.count_nonzero(distance_km_N < radius_km)) / n
    return result
