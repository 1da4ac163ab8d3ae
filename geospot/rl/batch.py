"""One step's rollouts made ready for the gradient: who counts, with which advantage, in which substep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geospot.geo import FloatArray
from geospot.rl.advantages import group_advantages, is_informative, returns_to_go
from geospot.rl.datums import policy_datum
from geospot.rl.types import Trajectory, TrajectoryGroup, Transition

if TYPE_CHECKING:
    import tinker

RolloutKey = tuple[int, int]
"""Which group of the batch, and which rollout of the group."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one optimiser step sees; `transitions` in the order of `datums`."""

    datums: "list[tinker.Datum]"
    transitions: list[Transition]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The groups of a step and what is trained of them. `parts` is empty where nothing is."""

    parts: list[Part]
    advantages: dict[RolloutKey, FloatArray]
    """Of every rollout that came back, one for each of its turns; also of those left out."""
    used: list[int]
    """Groups that give a gradient, by their number."""
    rollouts: int
    """That came back, over which the loss is a mean."""

    @property
    def trained_tokens(self) -> int:
        """Positions of all datums."""
        return sum(datum.model_input.length for part in self.parts for datum in part.datums)


def make_batch(
    groups: Sequence[TrajectoryGroup],
    *,
    min_range: float,
    normalize: bool = False,
    substeps: int = 1,
    penalties: Mapping[RolloutKey, float] | None = None,
) -> Batch:
    """Advantages of all rollouts, and datums of the groups that say which answer was better.

    The loss of a step is the mean over all its rollouts of the sum over a rollout's tokens: groups
    that are left out would add 0 to the sum, and stay in the mean. Dividing by each answer's length
    instead would favour long wrong answers (Liu et al. 2025).

    Args:
        min_range: groups whose rewards lie no farther apart are left out of the gradient.
        normalize: see `group_advantages`.
        substeps: optimiser steps over which the groups that are left are spread.
        penalties: taken off a rollout's reward before anything else, such as a divergence.
    """
    penalties = penalties or {}
    advantages: dict[RolloutKey, FloatArray] = {}
    used: list[int] = []
    for number, group in enumerate(groups):
        returns = [
            _returns(trajectory, penalties.get((number, trajectory.index), 0.0))
            for trajectory in group.trajectories
        ]
        for trajectory, row in zip(
            group.trajectories, _per_turn(returns, normalize=normalize), strict=True
        ):
            advantages[number, trajectory.index] = row
        if any(is_informative(turn, min_range) for turn in _columns(returns)):
            used.append(number)
    rollouts = sum(len(group.trajectories) for group in groups)
    shares = _split(used, substeps)
    parts = [_part(groups, share, advantages, len(shares) / rollouts) for share in shares]
    return Batch(parts, advantages, used, rollouts)


def _split(groups: Sequence[int], substeps: int) -> list[list[int]]:
    """The groups in as many runs of nearly equal length as there may be, none empty."""
    count = min(substeps, len(groups))
    bounds = [len(groups) * at // count for at in range(count + 1)] if count else []
    return [list(groups[start:end]) for start, end in pairwise(bounds)]


def _returns(trajectory: Trajectory, penalty: float) -> FloatArray:
    """What each turn is held responsible for: the rewards from there to the end."""
    reward_S = np.array([one.reward for one in trajectory.transitions], dtype=np.float64)
    reward_S[-1] -= penalty
    return returns_to_go(reward_S)


def _columns(returns: Sequence[FloatArray]) -> list[list[float]]:
    """Returns of the same turn of all rollouts that have it."""
    turns = max((len(row) for row in returns), default=0)
    return [[float(row[turn]) for row in returns if len(row) > turn] for turn in range(turns)]


def _per_turn(returns: Sequence[FloatArray], *, normalize: bool) -> list[FloatArray]:
    """Each turn is compared with the same turn of the group's other rollouts."""
    rows = [np.zeros(len(row)) for row in returns]
    for turn, column in enumerate(_columns(returns)):
        having = [row for row, values in zip(rows, returns, strict=True) if len(values) > turn]
        for row, value in zip(having, group_advantages(column, normalize=normalize), strict=True):
            row[turn] = value
    return rows


def _part(
    groups: Sequence[TrajectoryGroup],
    members: Sequence[int],
    advantages: Mapping[RolloutKey, FloatArray],
    scale: float,
) -> Part:
    datums: list[tinker.Datum] = []
    transitions: list[Transition] = []
    for number in members:
        for trajectory in groups[number].trajectories:
            row = advantages[number, trajectory.index]
            for transition, advantage in zip(trajectory.transitions, row, strict=True):
                if transition.action:
                    datums.append(policy_datum(transition, float(advantage) * scale))
                    transitions.append(transition)
    return Part(datums, transitions)


def drift_figures(
    parts: Sequence[Part], logprobs: Sequence[Sequence[npt.NDArray[np.float32]]]
) -> dict[str, float]:
    """How far the model that is trained stands from the one that sampled, over all action tokens.

    `optim/kl_sample_train_v1` is the mean of log μ − log π, `_v2` half the mean of its square (both
    estimate KL(μ‖π) in nats a token; http://joschu.net/blog/kl-approx.html), `optim/entropy` the mean
    of −log μ. Names as tinker-cookbook's.

    Args:
        logprobs: for each part, for each datum, log-probabilities of all its positions under the model
            that is trained, as forward_backward returned them.
    """
    sampled: list[npt.NDArray[np.float32]] = []
    trained: list[npt.NDArray[np.float32]] = []
    for part, answers in zip(parts, logprobs, strict=True):
        for transition, positions in zip(part.transitions, answers, strict=True):
            sampled.append(transition.logprobs_T)
            trained.append(positions[-len(transition.action) :])
    if not sampled:
        return {}
    sampled_T = np.concatenate(sampled).astype(np.float64)
    difference_T = sampled_T - np.concatenate(trained).astype(np.float64)
    return {
        "optim/kl_sample_train_v1": float(difference_T.mean()),
        "optim/kl_sample_train_v2": float(0.5 * (difference_T**2).mean()),
        "optim/entropy": float(-sampled_T.mean()),
    }
