"""How fast the weights move: the learning rate of each step, and AdamW's other settings."""

import math
from typing import TYPE_CHECKING

from geospot.config.learning import LearnConfig

if TYPE_CHECKING:
    import tinker


def learning_rate(config: LearnConfig, step: int, total: int) -> float:
    """The rate of step `step` of `total`, counted from 0; a pure function, so resuming needs no state.

    The schedule falls over the whole run, as tinker-cookbook's do: linear to 0, or half a cosine to 0
    (Loshchilov & Hutter 2017). Over the first `warmup_steps` it is multiplied by a ramp that reaches 1 at
    the last of them.

    Args:
        config: one without gaps, as `Trainer.config`.
    """
    peak, warm_up = config.learning_rate, config.warmup_steps
    if peak is None or warm_up is None or config.lr_schedule is None:
        raise ValueError("the configuration has gaps; a Trainer's has none")
    done = step / max(total, 1)
    fall = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    ramp = min(1.0, (step + 1) / warm_up) if warm_up else 1.0
    return peak * ramp * fall[config.lr_schedule]


def adam_params(config: LearnConfig, step: int, total: int) -> "tinker.AdamParams":
    """What the optimiser is told at step `step` of `total`."""
    import tinker

    return tinker.AdamParams(
        learning_rate=learning_rate(config, step, total),
        beta1=config.adam_beta1,
        beta2=config.adam_beta2,
        eps=config.adam_eps,
        weight_decay=config.weight_decay or 0.0,
        grad_clip_norm=config.grad_clip_norm,
    )
