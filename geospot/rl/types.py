"""What environments, groups and rollouts are. Names and shapes follow tinker-cookbook's `rl.types`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import tinker
    from numpy.typing import NDArray

Action = list[int]
"""Sampled tokens, the one that ended the turn included."""

REPLAYED: Final = "replayed"
"""Tag of a group that asks a second time, because the first answers were bad."""

Stop = list[int] | list[str]
"""Tokens, or strings, at which sampling ends."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of an action.

    `metrics` are numbers that are averaged over rollouts; `logs` are for people and files.
    `next_observation` is None where the episode is done.
    """

    reward: float
    episode_done: bool
    next_observation: "tinker.ModelInput | None" = None
    next_stop: Stop = field(default_factory=list[int])
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    logs: dict[str, Any] = field(default_factory=dict[str, Any])


class Env(ABC):
    """One episode. Made, played once, thrown away."""

    @abstractmethod
    async def initial_observation(self) -> "tuple[tinker.ModelInput, Stop]":
        """The first prompt and where its answer stops.

        Environments of a group that return the very same object are sampled in one call.
        """

    @abstractmethod
    async def step(self, action: Action) -> StepResult:
        """Judges an action."""


@dataclass(frozen=True, slots=True, eq=False)
class Transition:
    """One prompt, what was sampled after it, and what it was worth.

    `logprobs_T` are those of the action's T tokens under the sampler, at temperature 1.
    """

    observation: "tinker.ModelInput"
    action: Action
    logprobs_T: "NDArray[np.float32]"
    reward: float
    episode_done: bool
    metrics: dict[str, float]
    logs: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """One rollout: its transitions in order. `index` is its place in the group as it was asked for."""

    index: int
    transitions: list[Transition]

    @property
    def reward(self) -> float:
        """Sum over the transitions."""
        return sum(transition.reward for transition in self.transitions)


@dataclass(frozen=True, slots=True)
class RolloutFailure:
    """A rollout that was lost to service or network, not to the model."""

    index: int
    error: str


@dataclass(frozen=True, slots=True, eq=False)
class TrajectoryGroup:
    """All rollouts of one prompt.

    `sampler_step` says after how many optimiser steps the weights were that sampled it.
    """

    builder: "EnvGroupBuilder"
    trajectories: list[Trajectory]
    failures: list[RolloutFailure]
    sampler_step: int

    @property
    def rewards_G(self) -> list[float]:
        """Total reward of each trajectory that came back."""
        return [trajectory.reward for trajectory in self.trajectories]


class EnvGroupBuilder(ABC):
    """Makes the environments of one group: the same photo, asked several times."""

    @property
    @abstractmethod
    def group_id(self) -> str:
        """What the group is about: the photo's id."""

    @abstractmethod
    async def make_envs(self) -> Sequence[Env]:
        """Fresh environments; reads the photo.

        Raises:
            GeospotError: the photo can't be had; the group is lost, and counted.
        """

    def logging_tags(self) -> list[str]:
        """Under which names the group's metrics are also summed up."""
        return []

    @property
    def is_replayed(self) -> bool:
        """Whether it was chosen for how badly it was answered, so that it says nothing of all photos."""
        return REPLAYED in self.logging_tags()


class RLDataset(ABC):
    """Batches of groups, the same for the same index whenever they are asked for."""

    @abstractmethod
    def get_batch(self, index: int) -> Sequence[EnvGroupBuilder]:
        """The groups of step `index`, 0 … len−1."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of steps."""
