"""Coordinates and distances on the globe. Arrays in, arrays out; degrees and kilometres."""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

EARTH_RADIUS_KM: Final = 6371.0
"""Mean Earth radius, the one that OSV-5M's own metrics use."""

HALF_CIRCUMFERENCE_KM: Final = math.pi * EARTH_RADIUS_KM
"""The farthest that two places can be apart (20015.087 km); what a failure is given."""

GEOSCORE_MAX: Final = 5000.0
GEOSCORE_SCALE_KM: Final = 1492.7
"""GeoScore = 5000·exp(−d/1492.7 km): GeoGuessr's world map, as defined by PIGEON and OSV-5M."""

THRESHOLDS_KM: Final = (1.0, 25.0, 200.0, 750.0, 2500.0)
"""Street, city, region, country and continent level (Im2GPS); an answer counts if strictly nearer."""

# Blocks of this many pairs stay in the processor's cache; five million pairs run twice as fast.
_BLOCK = 16_384


def haversine_km(
    latitude_a: npt.ArrayLike,
    longitude_a: npt.ArrayLike,
    latitude_b: npt.ArrayLike,
    longitude_b: npt.ArrayLike,
) -> Any:
    """Great-circle distance in km between points in degrees, on a sphere of 6371.0 km.

    The four arguments broadcast against each other; scalars give a float, arrays a float64 array of
    the broadcast shape. NaN in, NaN out.
    """
    if (
        isinstance(latitude_a, float)
        and isinstance(longitude_a, float)
        and isinstance(latitude_b, float)
        and isinstance(longitude_b, float)
    ):
        return _haversine_pair(latitude_a, longitude_a, latitude_b, longitude_b)
    points = np.broadcast_arrays(
        *(
            np.asarray(a, dtype=np.float64)
            for a in (latitude_a, longitude_a, latitude_b, longitude_b)
        )
    )
    if points[0].ndim == 0:
        return float(_haversine_block(*points))
    flat = [p.reshape(-1) for p in points]
    distance_km = np.empty(flat[0].shape, dtype=np.float64)
    for start in range(0, distance_km.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        distance_km[block] = _haversine_block(*(p[block] for p in flat))
    return distance_km.reshape(points[0].shape)


def _haversine_pair(
    latitude_a: float, longitude_a: float, latitude_b: float, longitude_b: float
) -> float:
    """One pair by plain floats: ten times as fast as an array of one."""
    half_dlambda = math.radians(longitude_b - longitude_a) / 2.0
    phi_a, phi_b = math.radians(latitude_a), math.radians(latitude_b)
    if not math.isfinite(half_dlambda + phi_a + phi_b):
        return math.nan
    h = (
        math.sin((phi_b - phi_a) / 2.0) ** 2
        + math.cos(phi_a) * math.cos(phi_b) * math.sin(half_dlambda) ** 2
    )
    return 2.0 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(max(h, 0.0), 1.0)))


def _haversine_block(
    latitude_a: FloatArray, longitude_a: FloatArray, latitude_b: FloatArray, longitude_b: FloatArray
) -> FloatArray:
    phi_a, phi_b = np.radians(latitude_a), np.radians(latitude_b)
    half_dphi = (phi_b - phi_a) / 2.0
    half_dlambda = np.radians(longitude_b - longitude_a) / 2.0
    h = np.sin(half_dphi) ** 2 + np.cos(phi_a) * np.cos(phi_b) * np.sin(half_dlambda) ** 2
    return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0)))


def geoscore(distance_km: npt.ArrayLike) -> Any:
    """GeoScore of each distance in km, 0 to 5000; scalars give a float, arrays an array."""
    score = GEOSCORE_MAX * np.exp(-np.asarray(distance_km, dtype=np.float64) / GEOSCORE_SCALE_KM)
    return float(score) if score.ndim == 0 else score


def is_on_globe(latitude: float, longitude: float) -> bool:
    """Whether the pair is finite and within ±90° and ±180°."""
    return (
        math.isfinite(latitude)
        and math.isfinite(longitude)
        and abs(latitude) <= 90.0
        and abs(longitude) <= 180.0
    )
