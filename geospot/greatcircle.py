"""Great circles: the shortest way between two places on the globe. Degrees and radians, arrays in and out."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def unit_vectors(place_A_L: FloatArray) -> FloatArray:
    """Places of (latitude, longitude) in degrees as points on a sphere of radius 1, x, y, z first."""
    latitude, longitude = np.radians(place_A_L).T
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)])


def angle_between(a_3_A: FloatArray, b_3_A: FloatArray) -> FloatArray:
    """The angle between unit vectors, in radians; exact for near and for far ones."""
    across = np.linalg.norm(np.cross(a_3_A, b_3_A, axis=0), axis=0)
    return np.arctan2(across, np.sum(a_3_A * b_3_A, axis=0))


def points_along(
    from_A_L: FloatArray, to_A_L: FloatArray, arc_K: IntArray, share_K: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Latitude and longitude in degrees of K points on A arcs, at a share (0 to 1) of the way.

    From the start one goes along the direction at right angles to it in which the end lies: this is
    exact for near and far ends, and where the end is opposite any such direction will do.
    """
    a, b = unit_vectors(from_A_L), unit_vectors(to_A_L)
    angle = angle_between(a, b)
    direction = b - a * np.sum(a * b, axis=0)
    length = np.linalg.norm(direction, axis=0)
    spare = _across(a)
    direction = np.where(length > 1e-9, direction / np.maximum(length, 1e-9), spare)
    turn = angle[arc_K] * share_K
    point = a[:, arc_K] * np.cos(turn) + direction[:, arc_K] * np.sin(turn)
    x, y, z = point[0], point[1], point[2]
    return np.degrees(np.arcsin(np.clip(z, -1, 1))), np.degrees(np.arctan2(y, x))


def _across(a_3_A: FloatArray) -> FloatArray:
    """Some direction at right angles to each vector."""
    x, y, z = a_3_A[0], a_3_A[1], a_3_A[2]
    none = np.zeros_like(x)
    across = np.where(abs(z) < 0.9, np.stack([y, -x, none]), np.stack([none, z, -y]))
    return across / np.linalg.norm(across, axis=0)
