"""Answers that look at no image: what any model has to beat.

`constant` says the same point for every photo. `prior` says a place where people and roads are.
"""

import hashlib
import math
import struct
from typing import Any, Final

from geospot.errors import UsageError
from geospot.evaluation.backend import BackendOptions, Question, Reply
from geospot.geo import EARTH_RADIUS_KM, is_on_globe
from geospot_backends.population import population

DEFAULT_POINT: Final = (48.69, 13.03)
"""Latitude and longitude of the best single guess: `geospot_backends.population.best_constant()`,
the point of the highest expected GeoScore over where people and roads are. (It lies in Bavaria.)"""

JITTER_KM: Final = 5.0
"""How far from its city a draw of the prior lies at most."""

_KM_A_DEGREE: Final = math.pi * EARTH_RADIUS_KM / 180.0


def create_constant(options: BackendOptions) -> "ConstantBackend":
    """Entry point of `--backend constant`: `--model LAT,LON`, or the best single guess without it."""
    return ConstantBackend(*(_parse_point(options.model) if options.model else DEFAULT_POINT))


def create_prior(options: BackendOptions) -> "PriorBackend":
    """Entry point of `--backend prior`; takes no `--model`, and `--seed` for its draws."""
    if options.model not in (None, PriorBackend.model):
        raise UsageError(
            "The prior backend is no model and takes none.",
            "Leave --model out; --seed is its only knob.",
        )
    return PriorBackend(options.seed)


class ConstantBackend:
    """The same point, whatever the image."""

    name = "constant"
    needs_image = False
    remote = False

    def __init__(self, latitude: float, longitude: float) -> None:
        self.model = f"{latitude:g},{longitude:g}"
        self._reply = Reply(text="", coordinates=(latitude, longitude))

    async def check(self) -> None:
        """Nothing can be wrong."""

    async def ask(self, question: Question) -> Reply:
        """The point."""
        return self._reply

    def describe(self) -> dict[str, Any]:
        """The point."""
        latitude, longitude = self._reply.coordinates or (math.nan, math.nan)
        return {"latitude": latitude, "longitude": longitude}

    async def aclose(self) -> None:
        """Nothing is open."""


class PriorBackend:
    """A city drawn from `geospot_backends.population`, and a few kilometres off it.

    A draw is a function of seed, sample id and draw number alone: the order of asking, resuming and
    the other samples change nothing.
    """

    name = "prior"
    model = "population"
    needs_image = False
    remote = False

    def __init__(self, seed: int) -> None:
        self._seed = seed

    async def check(self) -> None:
        """Loads the cities, so that the first answer is as fast as the others."""
        population()

    async def ask(self, question: Question) -> Reply:
        """The draw."""
        key = f"{self._seed}:{question.sample_id}:{question.draw}"
        words = struct.unpack("<4Q", hashlib.sha256(key.encode()).digest())
        which, away, bearing, _ = ((word >> 11) * 2.0**-53 for word in words)
        people = population()
        city = int(people.cumulative_C.searchsorted(which, side="right"))
        city = min(city, len(people.cumulative_C) - 1)
        return Reply(
            text="",
            coordinates=_moved(
                float(people.latitude_C[city]),
                float(people.longitude_C[city]),
                JITTER_KM * math.sqrt(away),
                2.0 * math.pi * bearing,
            ),
        )

    def describe(self) -> dict[str, Any]:
        """How it draws."""
        return {"draws_from": "GeoNames cities", "cell_degrees": 1, "jitter_km": JITTER_KM}

    async def aclose(self) -> None:
        """Nothing is open."""


def _moved(
    latitude: float, longitude: float, distance_km: float, bearing: float
) -> tuple[float, float]:
    """The point so many km off (bearing in radians), in degrees to five decimals."""
    north = distance_km * math.cos(bearing) / _KM_A_DEGREE
    moved = min(max(latitude + north, -90.0), 90.0)
    east = distance_km * math.sin(bearing) / _KM_A_DEGREE / max(math.cos(math.radians(moved)), 0.01)
    return round(moved, 5), round((longitude + east + 180.0) % 360.0 - 180.0, 5)


def _parse_point(text: str) -> tuple[float, float]:
    advice = "Write degrees like this: --model 48.69,13.03 (south and west are negative)."
    parts = text.split(",")
    try:
        latitude, longitude = (float(part) for part in parts)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a latitude and a longitude.", advice) from error
    if not is_on_globe(latitude, longitude):
        raise UsageError(f"{text!r} is not on the globe.", advice)
    return latitude, longitude
