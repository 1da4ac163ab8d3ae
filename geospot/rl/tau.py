"""Tau over the course of a run: the distance in km at which the reward is 1/e."""

from typing import Final

from geospot.config.learning import RLConfig
from geospot.config.recipes import TINY_MODELS

_TOO_NEAR_KM: Final = 200.0
"""Below this the tiny model, whose errors are some hundreds of km, sees hardly any reward."""

_ADVISED_KM: Final = 2000.0


def tau_at(config: RLConfig, done: float) -> tuple[float, ...]:
    """The tau of a step, one for each of `coord_tau`.

    `constant`: `coord_tau` itself. `geometric`: tau_start^(1 − done) · coord_tau^done, which falls by
    the same factor in every step.

    Args:
        done: share of the run that was done before the step: i / len for step i.
    """
    if config.tau_schedule == "constant":
        return tuple(config.coord_tau)
    return tuple(config.tau_start ** (1.0 - done) * tau**done for tau in config.coord_tau)


def weak_signal(config: RLConfig, model_name: str) -> str | None:
    """What a person must be told whose tau is too small for a tiny model to learn from; else None.

    Args:
        model_name: the base model that is trained.
    """
    if model_name not in TINY_MODELS or config.coord_coef == 0:
        return None
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
