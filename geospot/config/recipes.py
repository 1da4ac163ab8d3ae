"""Defaults that depend on the model: what fits a tiny model doesn't fit a large one."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

from geospot.config.learning import LearnConfig

TINY_MODEL: Final = "geospot/tiny-vlm"
TINY_SCRATCH: Final = "geospot/tiny-vlm-scratch"
TINY_MODELS: Final = (TINY_MODEL, TINY_SCRATCH)
"""Served by every embedded engine."""

Kind = Literal["sft", "rl"]
ConfigT = TypeVar("ConfigT", bound=LearnConfig)

_GENERAL: Final[Mapping[str, Any]] = {
    "prompt": "five-lines",
    "max_tokens": 128,
    "lora_rank": 32,
    "learning_rate": 5e-4,
    "warmup_steps": 10,
    "weight_decay": 0.0,
}
_SCHEDULE: Final[Mapping[Kind, str]] = {"sft": "cosine", "rl": "linear"}
# All weights are trained, and a long prompt would cost more than the photo does. The rest comes from
# single runs from random weights on one thread, the choice of SFT settings from earlier versions of
# `world`: rates of 1.5e-3 and 6e-3 were worse; 16 photos a step gave the same greedy median as 32 at
# equal cost, and a better sampled reward; more weight on coordinates than on names was much worse. For
# GRPO, 2e-4 moved too little in 150 steps (one seed), and 1e-3 cost greedy accuracy (two seeds). What
# the values reach on three seeds is in docs/world.md.
_TINY: Final[Mapping[Kind, Mapping[str, Any]]] = {
    "sft": {
        "prompt": "tiny",
        "max_tokens": 96,
        "lora_rank": 0,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "warmup_steps": 30,
        "weight_decay": 0.01,
    },
    "rl": {
        "prompt": "tiny",
        "max_tokens": 96,
        "lora_rank": 0,
        "group_size": 8,
        "learning_rate": 6e-4,
        "warmup_steps": 20,
        "weight_decay": 0.0,
    },
}


def recipe(kind: Kind, model_name: str) -> dict[str, Any]:
    """What a setting is where nobody says it, for this model."""
    common = {**_GENERAL, "lr_schedule": _SCHEDULE[kind]}
    return common | (dict(_TINY[kind]) if model_name in TINY_MODELS else {})


def with_recipe(config: ConfigT, kind: Kind, model_name: str) -> ConfigT:
    """The configuration with the recipe's values where the person said nothing."""
    missing = {
        name: value
        for name, value in recipe(kind, model_name).items()
        if name not in config.model_fields_set or getattr(config, name) is None
    }
    return config.model_copy(update=missing)
