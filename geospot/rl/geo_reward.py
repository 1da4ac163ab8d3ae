"""The reward of an answer: exp(−distance / tau), the right names of places, and what a failure costs.

An answer is worth the mean of its terms, each from 0 to 1, weighted by their coefficients:

- `coord`: exp(−d/tau), averaged over several tau if there are several. At tau 25 km that is 0.96 at
  1 km, 0.37 at 25 km and 0.02 at 100 km;
- `city`, `region`, `country`: 1 if the answer names the right one, as `geospot.places` tells names
  apart, else 0. A term counts only for a photo with a label for it that can be compared: the weights
  are normalised over the terms that count, so that a photo without labels is worth as much as any.
  A photo of which no term counts (no weight on the distance, and no label) is worth 0 however it is
  answered.

So an answer is worth 0 to 1. Any failure (whatever outcome is not `ok`) is worth −`format_coef`, once:
below every answer, also one so far off that exp underflows to 0. A failure gets nothing for the
country that it may name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from geospot.config.learning import RLConfig
from geospot.evaluation.records import SampleRecord
from geospot.geo import haversine_km
from geospot.outcomes import Outcome
from geospot.parsing import parse_geo_response
from geospot.places import same_country, same_place

__all__ = [
    "GeoReward",
    "RewardTerms",
    "coord_reward",
    "haversine_km",
    "parse_geo_response",
]

COORD: Final = "coord"
_SAME: Final = {"city": same_place, "region": same_place, "country": same_country}


@dataclass(frozen=True, slots=True)
class RewardTerms:
    """What an answer is worth. `terms` holds those that count for its photo, 0 for each of a failure."""

    total: float
    terms: dict[str, float]


@dataclass(frozen=True, slots=True)
class GeoReward:
    """The reward with given coefficients.

    Args:
        tau_km: one or more distances in km at which a term of the mean is 1/e.
        coefficients: weight of `coord`, `city`, `region`, `country`; a weight of 0 leaves a term out.
        format_coef: what a failure costs, above 0.
    """

    tau_km: tuple[float, ...]
    coefficients: Mapping[str, float] = field(default_factory=lambda: {COORD: 1.0})
    format_coef: float = 0.1

    @classmethod
    def of(cls, config: RLConfig, tau_km: Sequence[float]) -> "GeoReward":
        """The reward of a configuration at the tau that its schedule has reached."""
        coefficients = {
            COORD: config.coord_coef,
            "city": config.city_coef,
            "region": config.region_coef,
            "country": config.country_coef,
        }
        return cls(tuple(tau_km), coefficients, config.format_coef)

    def __call__(self, record: SampleRecord) -> RewardTerms:
        """The reward of a judged answer, which knows its distance, its names and the labels."""
        weights = {
            name: weight
            for name, weight in self.coefficients.items()
            if weight > 0 and _counts(name, record.labels)
        }
        if record.outcome is not Outcome.OK:
            return RewardTerms(-self.format_coef, dict.fromkeys(weights, 0.0))
        terms = {name: self._term(name, record) for name in weights}
        earned = sum(weights[name] * value for name, value in terms.items())
        weight = sum(weights.values())
        # Rounding may leave a mean of ones a trifle above 1.
        return RewardTerms(min(earned / weight, 1.0) if weight else 0.0, terms)

    def _term(self, name: str, record: SampleRecord) -> float:
        if name == COORD:
            return coord_reward(record.distance_km, self.tau_km)
        return float(_SAME[name](record.place.get(name), record.labels.get(name)))


def coord_reward(distance_km: float, tau_km: Sequence[float]) -> float:
    """Mean over the tau of exp(−distance / tau), 0 to 1."""
    return sum(math.exp(-distance_km / tau) for tau in tau_km) / len(tau_km)


def _counts(name: str, labels: Mapping[str, str]) -> bool:
    """Whether the photo has a label that an answer can be compared with; an unknown name equals nothing."""
    return name == COORD or _SAME[name](labels.get(name), labels.get(name))
