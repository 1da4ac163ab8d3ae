"""How far the policy is from the model that it started from, or from the base: a penalty in the reward."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from geospot.config.learning import KLReference
from geospot.errors import BackendError
from geospot.learning.steps import answer
from geospot.rl.batch import RolloutKey
from geospot.rl.datums import scoring_input
from geospot.rl.types import Trajectory, TrajectoryGroup

if TYPE_CHECKING:
    import tinker


class Divergence:
    """Takes coefficient · (log π(answer) − log π₀(answer)), in nats, off each rollout's reward.

    Its mean over rollouts is the Kullback-Leibler divergence KL(π‖π₀) of whole answers, so the penalised
    reward is the objective of KL-regularised policy optimisation (Ziegler et al. 2019,
    arXiv:1909.08593). π is the policy that sampled.

    Args:
        coefficient: 0 asks for nothing.
        name: of π₀, for the figures.
    """

    def __init__(self, coefficient: float, name: KLReference = "start") -> None:
        self._coefficient = coefficient
        self._name = name
        self.reference: tinker.SamplingClient | None = None
        """Samples from π₀."""

    async def penalties(self, groups: Sequence[TrajectoryGroup]) -> dict[RolloutKey, float]:
        """What each rollout loses; empty where nothing is taken off.

        Raises:
            BackendError: the service doesn't tell the log-probabilities.
        """
        if self.reference is None:
            return {}
        keyed = [
            ((number, trajectory.index), trajectory)
            for number, group in enumerate(groups)
            for trajectory in group.trajectories
        ]
        nats = await asyncio.gather(
            *(self._nats(self.reference, trajectory) for _, trajectory in keyed)
        )
        return {key: self._coefficient * value for (key, _), value in zip(keyed, nats, strict=True)}

    def figures(self, penalties: Mapping[RolloutKey, float]) -> dict[str, float]:
        """The mean divergence, in nats an answer."""
        if not penalties:
            return {}
        return {
            f"kl/{self._name}_nats": float(np.mean(list(penalties.values()))) / self._coefficient
        }

    def tokens(self, groups: Sequence[TrajectoryGroup]) -> int:
        """What `penalties` has the reference read."""
        if self.reference is None:
            return 0
        turns = [turn for group in groups for one in group.trajectories for turn in one.transitions]
        return sum(turn.observation.length + len(turn.action) for turn in turns if turn.action)

    async def _nats(self, reference: "tinker.SamplingClient", trajectory: Trajectory) -> float:
        total = 0.0
        for transition in trajectory.transitions:
            count = len(transition.action)
            if not count:
                continue
            future = reference.compute_logprobs(scoring_input(transition), count)
            told = await answer(future, f"the log-probabilities of the {self._name}")
            referred = [value for value in told[-count:] if value is not None]
            if len(referred) != count:
                raise BackendError(
                    f"The service told {len(referred)} of {count} log-probabilities of the {self._name}.",
                    "Without them there is no divergence: set kl_penalty_coef=0.",
                )
            total += float(transition.logprobs_T.sum(dtype=np.float64)) - sum(referred)
        return total
