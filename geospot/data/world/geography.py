"""What a spot on Earth is like: warmth, dryness, ruggedness, and smooth fields that shape its look.

A caricature, not a climate model: a few Gaussian spots stand for the deserts, rain forests and
mountain ranges that everybody knows. The `looks` are smooth random functions of place with
wavelengths of 11,000 to 33,000 km. Each alone says little of where a photo was taken; together, and
blurred by the noise of a sample, they say roughly where. They never change: the world is one world.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from geospot.data.world.draws import Dice
from geospot.geo import EARTH_RADIUS_KM

Look = Literal[
    "wall_hue", "wall_light", "roof", "soil_hue", "soil_light", "leaf_hue", "leaf_light",
    "sky_hue", "sky_light", "asphalt", "accent", "height", "density", "pole",
]  # fmt: skip
LOOKS: Final[tuple[Look, ...]] = (
    "wall_hue", "wall_light", "roof", "soil_hue", "soil_light", "leaf_hue", "leaf_light",
    "sky_hue", "sky_light", "asphalt", "accent", "height", "density", "pole",
)  # fmt: skip

Spots = tuple[tuple[float, float, float, float], ...]
"""Latitude, longitude (degrees), radius (km), strength."""

DRY: Final[Spots] = (
    (23, -5, 1500, 0.8), (24, 15, 1500, 0.8), (23, 32, 1100, 0.7), (23, 46, 1100, 0.8),
    (31, 57, 800, 0.6), (27, 71, 450, 0.5), (42, 61, 900, 0.6), (43, 104, 1000, 0.7),
    (39, 84, 600, 0.7), (-25, 131, 1300, 0.8), (-24, 20, 800, 0.6), (-22, -69, 500, 0.8),
    (33, -112, 700, 0.7), (27, -104, 450, 0.5), (-43, -68, 700, 0.5), (7, 46, 600, 0.6),
    (39, -117, 450, 0.4), (14, 15, 900, 0.3),
)  # fmt: skip
WET: Final[Spots] = (
    (-4, -62, 1500, 0.4), (0, 20, 1000, 0.4), (2, 112, 1500, 0.4), (-5, 142, 900, 0.4),
    (14, -86, 600, 0.3), (25, 91, 600, 0.4), (20, 105, 600, 0.3), (6, -2, 700, 0.3),
    (53, -5, 700, 0.3), (46, -123, 400, 0.4), (35, 138, 700, 0.3), (-42, 173, 600, 0.3),
    (10, 76, 300, 0.4), (-18, 49, 300, 0.3), (28, 115, 800, 0.3), (-25, -50, 600, 0.3),
    (31, -84, 800, 0.3), (62, 6, 400, 0.3),
)  # fmt: skip
RUGGED: Final[Spots] = (
    (46.5, 10, 350, 1.0), (32, 87, 900, 1.0), (36, 73, 500, 1.0), (42, 44, 350, 0.9),
    (-11, -76, 500, 1.0), (-20, -68, 600, 0.9), (-35, -70, 350, 1.0), (5, -75, 350, 0.8),
    (40, -107, 500, 0.9), (51, -118, 500, 0.9), (62, -150, 500, 0.9), (9, 39, 450, 0.7),
    (36, 138, 250, 0.8), (-44, 170, 250, 1.0), (34, 52, 500, 0.7), (39, 40, 400, 0.6),
    (62, 9, 300, 0.8), (28, 101, 450, 0.9), (42, 77, 450, 1.0), (50, 88, 400, 0.8),
    (19, -98, 350, 0.7), (15, -90, 250, 0.7), (32, -6, 250, 0.7), (-29.5, 28.5, 250, 0.8),
    (42.5, 0.5, 150, 0.8), (-5, 141, 350, 0.8), (46, 25, 200, 0.6), (56, 160, 400, 0.9),
    (65, -19, 250, 0.7), (16, 104, 400, 0.3), (24, 121, 150, 0.8), (33, 36, 150, 0.4),
)  # fmt: skip


RED: Final[Spots] = (
    (-24, 133, 1200, 0.9), (-1, 17, 900, 0.4), (9, -1, 900, 0.5), (-19, 47, 450, 0.7),
    (1, 33, 500, 0.5), (-17, -50, 900, 0.5), (13, 105, 400, 0.5), (14, 77, 400, 0.4),
)  # fmt: skip
"""Where iron makes the earth red."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One place on Earth."""

    latitude: float
    longitude: float
    warmth_c: float
    """Mean temperature of the year, °C."""
    swing_c: float
    """How far summer and winter are from it."""
    dryness: float
    """0 rain forest to 1 desert."""
    ruggedness: float
    """0 plain to 1 high mountains."""
    redness: float
    """0 to 1, of the earth."""
    looks: dict[Look, float]
    """About −1.5 to 1.5 each, smooth over the globe."""


def spot(latitude: float, longitude: float) -> Spot:
    """What it is like at this place (degrees)."""
    x, y, z = _unit_vector(latitude, longitude)
    ruggedness = min(_spots(_RUGGED, x, y, z), 1.0)
    away = abs(latitude)
    dry_belt = 0.22 * math.exp(-(((away - 27.0) / 9.0) ** 2))
    wet_belt = 0.30 * math.exp(-((latitude / 10.0) ** 2))
    dryness = 0.38 + dry_belt - wet_belt + _spots(_DRY, x, y, z) - _spots(_WET, x, y, z)
    warmth_c = 27.5 - 0.0074 * away**2 - 7.0 * ruggedness
    west_wind = 6.0 * math.exp(-(((latitude - 57.0) / 11.0) ** 2 + ((longitude - 3.0) / 24.0) ** 2))
    angles = _waves() @ np.array([x, y, z, 1.0])
    looks_L = (np.sin(angles) * _amplitudes()).sum(axis=1)
    return Spot(
        latitude=latitude,
        longitude=longitude,
        warmth_c=warmth_c + west_wind,
        swing_c=0.30 * away - 0.8 * west_wind,
        dryness=min(max(dryness, 0.0), 1.0),
        ruggedness=ruggedness,
        redness=min(_spots(_REDS, x, y, z), 1.0),
        looks=dict(zip(LOOKS, looks_L.tolist(), strict=True)),
    )


def _unit_vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    phi, lam = math.radians(latitude), math.radians(longitude)
    return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)


def _prepared(spots: Spots) -> tuple[tuple[float, float, float, float, float], ...]:
    return tuple(
        (*_unit_vector(latitude, longitude), 2.0 * (EARTH_RADIUS_KM / radius_km) ** 2, strength)
        for latitude, longitude, radius_km, strength in spots
    )


_DRY: Final = _prepared(DRY)
_WET: Final = _prepared(WET)
_RUGGED: Final = _prepared(RUGGED)
_REDS: Final = _prepared(RED)


def _spots(
    prepared: tuple[tuple[float, float, float, float, float], ...], x: float, y: float, z: float
) -> float:
    """Sum of Gaussians: exp(−(chord / radius)²), the squared chord being 2 − 2·cos(angle)."""
    total = 0.0
    for sx, sy, sz, sharpness, strength in prepared:
        exponent = sharpness * (1.0 - (sx * x + sy * y + sz * z))
        if exponent < 12.0:
            total += strength * math.exp(-exponent)
    return total


_WAVES: Final = 4


@cache
def _waves() -> npt.NDArray[np.float64]:
    """Wave vectors and phases, (looks, waves, 4); 1.2 to 3.6 radians of phase a radian of arc."""
    dice = Dice("world/looks")
    waves = np.empty((len(LOOKS), _WAVES, 4))
    for look in range(len(LOOKS)):
        for wave in range(_WAVES):
            direction = np.array([dice.normal(), dice.normal(), dice.normal()])
            speed = 1.2 + 2.4 * wave / (_WAVES - 1)
            waves[look, wave, :3] = speed * direction / math.sqrt(float((direction**2).sum()))
            waves[look, wave, 3] = dice.uniform(0.0, 2.0 * math.pi)
    return waves


@cache
def _amplitudes() -> npt.NDArray[np.float64]:
    """Longer waves are stronger; the deviation of the sum is about 0.7."""
    raw = np.array([1.0, 0.85, 0.65, 0.45])
    return raw / math.sqrt(float((raw**2).sum()))
