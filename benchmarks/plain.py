"""Distances and scores as plain Python loops write them, and as numpy does on whole arrays at once."""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from geospot.evaluation.metrics import ACCURACIES
from geospot.geo import EARTH_RADIUS_KM, GEOSCORE_MAX, GEOSCORE_SCALE_KM, FloatArray

Point = tuple[float, float]
"""Latitude and longitude in degrees."""


def distance_km(here: Point, there: Point) -> float:
    """Between two points, on a sphere."""
    phi, true_phi = math.radians(here[0]), math.radians(there[0])
    half_lambda = math.radians(there[1] - here[1]) / 2
    h = (
        math.sin((true_phi - phi) / 2) ** 2
        + math.cos(phi) * math.cos(true_phi) * math.sin(half_lambda) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(h))


def distances_km(points: Sequence[Point], truths: Sequence[Point]) -> list[float]:
    """One after the other."""
    return [distance_km(*pair) for pair in zip(points, truths, strict=True)]


def distances_at_once_km(points_N_L: FloatArray, truths_N_L: FloatArray) -> FloatArray:
    """Of whole arrays of latitude and longitude, as the formula is written down."""
    lat, lon = np.radians(points_N_L).T
    true_lat, true_lon = np.radians(truths_N_L).T
    h = (
        np.sin((true_lat - lat) / 2) ** 2
        + np.cos(lat) * np.cos(true_lat) * np.sin((true_lon - lon) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(h))


def figures(distances: Sequence[float]) -> object:
    """Mean score, mean, median and accuracies of distances in km, by loops."""
    total, hits = 0.0, dict.fromkeys(ACCURACIES, 0)
    for distance in distances:
        total += GEOSCORE_MAX * math.exp(-distance / GEOSCORE_SCALE_KM)
        for name, radius in ACCURACIES.items():
            hits[name] += distance < radius
    return total, sum(distances), statistics.median(distances), hits


def figures_at_once(distance_km_N: FloatArray) -> object:
    """The same of an array."""
    score = GEOSCORE_MAX * np.exp(-distance_km_N / GEOSCORE_SCALE_KM)
    accuracies = [float((distance_km_N < radius).mean()) for radius in ACCURACIES.values()]
    return float(score.mean()), float(distance_km_N.mean()), np.median(distance_km_N), accuracies
