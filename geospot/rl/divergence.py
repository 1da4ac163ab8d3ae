"""How far the policy is from the model that it started from, or from the base: a penalty in the reward."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from geospot.config.learning import KLReference
from geospot.errors import BackendError
from geospot.learning.patience import pause_s
from geospot.learning.steps import refuse
from geospot.rl.batch import RolloutKey
from geospot.rl.datums import scoring_input
from geospot.rl.types import Trajectory, TrajectoryGroup, Transition
from geospot.services.faults import fault_of

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
        max_retries: tries after a passing fault.
    """

    def __init__(
        self, coefficient: float, name: KLReference = "start", max_retries: int = 0
    ) -> None:
        self._coefficient = coefficient
        self._name = name
        self._max_retries = max_retries
        self.reference: tinker.SamplingClient | None = None
        """Samples from π₀."""

    async def penalties(self, groups: Sequence[TrajectoryGroup]) -> dict[RolloutKey, float]:
        """What each rollout loses; empty where nothing is taken off.

        Raises:
            BackendError: the service doesn't tell the log-probabilities, asked again or not.
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
            told = await self._told(reference, transition)
            referred = [value for value in told[-count:] if value is not None]
            if len(referred) != count:
                raise BackendError(
                    f"The service told {len(referred)} of {count} log-probabilities of the {self._name}.",
                    "Without them there is no divergence: set kl_penalty_coef=0.",
                )
            total += float(transition.logprobs_T.sum(dtype=np.float64)) - sum(referred)
        return total

    async def _told(
        self, reference: "tinker.SamplingClient", transition: Transition
    ) -> list[float | None]:
        """What the service answers, asked again where that may help."""
        attempt = 0
        while True:
            try:
                told: list[float | None] | None = await reference.compute_logprobs(
                    scoring_input(transition), len(transition.action)
                )
                return told or []  # a service that doesn't tell them may answer without any
            except Exception as error:  # noqa: BLE001 - sorted by `fault_of`, which raises what it doesn't know
                if attempt >= self._max_retries or fault_of(error).gravity != "again":
                    refuse(error, f"the log-probabilities of the {self._name}")
            attempt += 1
            await asyncio.sleep(pause_s(attempt))
