"""AdamW with decoupled weight decay, on gradients added up over any number of passes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import torch

from geospot_backends.local.api import AdamParams, EngineUserError
from geospot_backends.local.weights import Weights

_BOUNDS: Final = {
    "learning_rate": (0.0, float("inf")),
    "beta1": (0.0, 1.0),
    "beta2": (0.0, 1.0),
    "eps": (0.0, float("inf")),
    "weight_decay": (0.0, float("inf")),
    "grad_clip_norm": (0.0, float("inf")),
}


@dataclass(slots=True)
class Adam:
    """Kingma & Ba 2015, with the weight decay of Loshchilov & Hutter 2019.

    Moments are float32 whatever the weights are; a weight of lower precision is updated in float32 and
    rounded once.
    """

    steps: int = 0
    first: dict[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])
    second: dict[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])
    gradient: dict[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])
    """Added up since the last step."""

    def add(self, names: Iterable[str], gradients: Iterable[torch.Tensor]) -> None:
        """Adds gradients to those that wait for the next step."""
        for name, gradient in zip(names, gradients, strict=True):
            if name in self.gradient:
                self.gradient[name] += gradient
            else:
                self.gradient[name] = gradient.float()

    def step(self, weights: Weights, params: AdamParams) -> float:
        """Changes the weights, clears the gradients, and returns the gradient's norm before clipping.

        Raises:
            EngineUserError: parameters out of range, or a gradient that isn't finite; nothing changes.
        """
        _check(params)
        norm = self._norm()
        if norm != norm or norm == float("inf"):
            self.gradient.clear()
            raise EngineUserError("The gradient isn't finite; it was dropped and no step made.")
        scale = 1.0
        if params.grad_clip_norm > 0 and norm > params.grad_clip_norm:
            scale = params.grad_clip_norm / norm
        self.steps += 1
        correct1 = 1 - params.beta1**self.steps
        correct2 = 1 - params.beta2**self.steps
        with torch.no_grad():
            for name, weight in weights.items():
                gradient = self.gradient.get(name, _zeros(weight)) * scale
                first = self.first.setdefault(name, torch.zeros_like(gradient))
                second = self.second.setdefault(name, torch.zeros_like(gradient))
                first.lerp_(gradient, 1 - params.beta1)
                second.mul_(params.beta2).addcmul_(gradient, gradient, value=1 - params.beta2)
                change = (first / correct1) / ((second / correct2).sqrt() + params.eps)
                now = weight.float()
                new = (
                    now * (1 - params.learning_rate * params.weight_decay)
                    - params.learning_rate * change
                )
                weight.copy_(new)
        self.gradient.clear()
        return norm

    def _norm(self) -> float:
        squares = [gradient.square().sum() for gradient in self.gradient.values()]
        return float(torch.stack(squares).sum().sqrt()) if squares else 0.0

    def tensors(self) -> dict[str, torch.Tensor]:
        """The state as named tensors, to be written."""
        named = {f"first.{name}": tensor for name, tensor in self.first.items()}
        named |= {f"second.{name}": tensor for name, tensor in self.second.items()}
        named["steps"] = torch.tensor(self.steps)
        return named

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> "Adam":
        """The reverse of `tensors`."""
        adam = cls(steps=int(tensors["steps"]))
        for key, tensor in tensors.items():
            kind, _, name = key.partition(".")
            if kind == "first":
                adam.first[name] = tensor
            elif kind == "second":
                adam.second[name] = tensor
        return adam


def _zeros(weight: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(weight, dtype=torch.float32)


def _check(params: AdamParams) -> None:
    for name, (low, high) in _BOUNDS.items():
        value = getattr(params, name)
        if not (low <= value < high):  # also false of NaN
            raise EngineUserError(f"Adam's {name} of {value} is not in [{low}, {high}).")
