"""Training losses as the hosted service defines them: sums over tokens, never means.

Definitions and configuration keys: https://tinker-docs.thinkingmachines.ai/tinker/losses (clip
thresholds are bounds of the ratio itself, not distances from 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from geospot_backends.local.api import LOSS_NAMES, Datum, EngineUserError, LossName
from geospot_backends.local.tensors import tensor_of

_CLIP_DEFAULTS: Final[dict[str, tuple[float, float]]] = {"ppo": (0.8, 1.2), "cispo": (0.0, 4.0)}
_CLIP_KEYS: Final = ("clip_low_threshold", "clip_high_threshold")


@dataclass(frozen=True, slots=True)
class LossInputs:
    """Checked arrays of one datum, each of shape (N,)."""

    target_tokens: npt.NDArray[np.int64]
    coefficients: npt.NDArray[np.float32]
    """Weights of cross_entropy, advantages of the others; where it is 0 there is no gradient."""
    logprobs: npt.NDArray[np.float32] | None
    """The sampler's; None for cross_entropy."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss with its settings."""

    name: LossName
    clip_low: float = 0.0
    clip_high: float = 0.0

    def __call__(
        self, target_T: torch.Tensor, coefficient_T: torch.Tensor, sampler_T: torch.Tensor | None
    ) -> torch.Tensor:
        """The loss, a scalar.

        Args:
            target_T: log-probabilities of the targets under the model that is trained.
            coefficient_T: weights or advantages.
            sampler_T: log-probabilities under the sampler; None for cross_entropy.
        """
        if sampler_T is None:
            return -(target_T * coefficient_T).sum()
        ratio_T = torch.exp(target_T - sampler_T)
        if self.name == "importance_sampling":
            return -(ratio_T * coefficient_T).sum()
        clipped_T = ratio_T.clamp(self.clip_low, self.clip_high)
        if self.name == "ppo":
            return -torch.minimum(ratio_T * coefficient_T, clipped_T * coefficient_T).sum()
        return -(clipped_T.detach() * target_T * coefficient_T).sum()


def make_loss(name: str, config: Mapping[str, float] | None) -> Loss:
    """The loss of this name.

    Raises:
        EngineUserError: unknown loss, unknown key, or thresholds that are no interval.
    """
    if name not in LOSS_NAMES:
        raise EngineUserError(f"There is no loss {name!r} here; there are {', '.join(LOSS_NAMES)}.")
    config = config or {}
    known = _CLIP_KEYS if name in _CLIP_DEFAULTS else ()
    for key in config:
        if key not in known:
            raise EngineUserError(
                f"The loss {name} has no setting {key!r}; it has {', '.join(known) or 'none'}."
            )
    defaults = _CLIP_DEFAULTS.get(name, (0.0, 0.0))
    low, high = (
        float(config.get(key, default)) for key, default in zip(_CLIP_KEYS, defaults, strict=True)
    )
    if not 0 <= low <= high:  # also false of NaN
        raise EngineUserError(f"The clip thresholds {low} and {high} of {name} are no interval.")
    return Loss(name, low, high)


def read_inputs(datum: Datum, length: int, loss: Loss) -> LossInputs:
    """The datum's arrays, checked against its `length` in tokens.

    Raises:
        EngineUserError: an array is missing, unknown, of the wrong length, or not finite.
    """
    second = "weights" if loss.name == "cross_entropy" else "advantages"
    known = {"target_tokens", second}
    if loss.name != "cross_entropy":
        known.add("logprobs")
    for key in datum.inputs:
        if key not in known:
            raise EngineUserError(f"The loss {loss.name} takes no {key!r}.")
    targets = _array(datum, "target_tokens", length)
    if targets.dtype.kind not in "iu":
        raise EngineUserError("target_tokens must be whole numbers.")
    if loss.name == "cross_entropy" and "weights" not in datum.inputs:
        coefficients = np.ones(length, np.float32)
    else:
        coefficients = _finite(datum, second, length)
    logprobs = None if loss.name == "cross_entropy" else _finite(datum, "logprobs", length)
    return LossInputs(targets.astype(np.int64), coefficients, logprobs)


def _array(datum: Datum, key: str, length: int) -> npt.NDArray[np.generic]:
    if key not in datum.inputs:
        raise EngineUserError(f"A datum has no {key}.")
    array = datum.inputs[key]
    if array.shape != (length,):
        raise EngineUserError(
            f"{key} has shape {array.shape}, but the model input has {length} tokens."
        )
    return array


def _finite(datum: Datum, key: str, length: int) -> npt.NDArray[np.float32]:
    array = _array(datum, key, length)
    if array.dtype.kind not in "fiu":
        raise EngineUserError(f"{key} must be numbers.")
    numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise EngineUserError(f"{key} holds NaN or infinity.")
    return numbers


def stack(
    inputs: Sequence[LossInputs], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Coefficients and sampler log-probabilities of many datums, end to end."""
    coefficient_T = tensor_of(np.concatenate([one.coefficients for one in inputs]), device)
    logprobs = [one.logprobs for one in inputs if one.logprobs is not None]
    sampler_T = tensor_of(np.concatenate(logprobs), device) if logprobs else None
    return coefficient_T, sampler_T
