"""Tau over the course of a run: the distance in km at which the reward is 1/e."""

from statistics import median
from typing import Final

from geospot.config.learning import RLConfig
from geospot.config.recipes import TINY_MODELS

_TOO_NEAR_KM: Final = 200.0
"""Below this the tiny model, whose errors are some hundreds of km, sees hardly any reward."""

_ADVISED_KM: Final = 2000.0

_REMEMBERED: Final = 8  # steps over which the adaptive tau takes the median
_STEPS_UNDER_WAY: Final = 3


class TauSchedule:
    """Tau of each step of a run.

    `constant` and `geometric` are functions of the step (`tau_at`). `adaptive` follows the run: it is the
    median of the median errors of the newest 8 steps that are surely on record, held between
    `coord_tau` and `tau_start`; `tau_start` until there are any. Half of the answers are then worth more
    than 1/e, whatever the model can do. Tau of a step depends on nothing but figures of earlier steps,
    so that a resumed run, told of those, goes on with the same.

    Args:
        total: steps of the run.
    """

    def __init__(self, config: RLConfig, total: int) -> None:
        self._config = config
        self._total = total
        self._lag = record_lag(config)
        self._median_km: dict[int, float] = {}

    def observe(self, step: int, median_km: float) -> None:
        """Takes in the median error of a finished step, in km, failures at their worst."""
        self._median_km[step] = median_km

    def at(self, step: int) -> tuple[float, ...]:
        """Tau of a step in km, one for each of `coord_tau`."""
        if self._config.tau_schedule != "adaptive":
            return tau_at(self._config, step / self._total)
        newest = step - self._lag
        known = (self._median_km.get(one) for one in range(newest, newest - _REMEMBERED, -1))
        found = [median_km for median_km in known if median_km is not None]
        followed_km = median(found) if found else self._config.tau_start
        return tuple(
            max(tau, min(followed_km, self._config.tau_start)) for tau in self._config.coord_tau
        )


def record_lag(config: RLConfig) -> int:
    """How many steps earlier the newest step is whose figures are surely known when one is prepared.

    A step is prepared while the one before it is sampled, and that begins before the figures of the one
    before that are on record; or earlier, where sampling runs ahead of training.
    """
    return _STEPS_UNDER_WAY + config.max_steps_off_policy


def tau_at(config: RLConfig, done: float) -> tuple[float, ...]:
    """The tau of a step, one for each of `coord_tau`, where it is a function of the step.

    `constant`: `coord_tau` itself. `geometric`: tau_start^(1 − done) · coord_tau^done, which falls by
    the same factor in every step.

    Args:
        done: share of the run that was done before the step: i / len for step i.
    """
    if config.tau_schedule != "geometric":
        return tuple(config.coord_tau)
    return tuple(config.tau_start ** (1.0 - done) * tau**done for tau in config.coord_tau)


def weak_signal(config: RLConfig, model_name: str) -> str | None:
    """What a person must be told whose tau is too small for a tiny model to learn from; else None.

    Args:
        model_name: the base model that is trained.
    """
    if model_name not in TINY_MODELS or config.coord_coef == 0:
        return None
    if config.tau_schedule == "adaptive":
        return None  # it doesn't fall below the model's own errors
    first_km, last_km = (max(tau_at(config, done)) for done in (0.0, 1.0))
    if min(first_km, last_km) >= _TOO_NEAR_KM:
        return None
    advice = f"Set coord_tau={_ADVISED_KM:g}, or name a larger model."
    if first_km >= _TOO_NEAR_KM:
        return (
            f"tau falls to {last_km:g} km, where {model_name} gets hardly any signal: its errors are "
            f"some hundreds of km, so towards the end nearly every reward is 0. {advice}"
        )
    return (
        f"With tau {first_km:g} km {model_name} gets hardly any signal: its errors are some hundreds "
        f"of km, so nearly every reward is 0. {advice}"
    )
