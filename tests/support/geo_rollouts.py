"""Rollouts as GeoEnv leaves them, without a model: texts in, groups out."""

from collections.abc import Sequence

import numpy as np

from geospot.data import GeoSample
from geospot.evaluation.backend import Reply
from geospot.evaluation.judge import judge
from geospot.rl.geo_env import logs_of, metrics_of
from geospot.rl.geo_reward import GeoReward
from geospot.rl.types import (
    Env,
    EnvGroupBuilder,
    RolloutFailure,
    Trajectory,
    TrajectoryGroup,
    Transition,
)

REWARD = GeoReward((1000.0,))


class NoBuilder(EnvGroupBuilder):
    """Stands where a builder stood; its environments are long gone."""

    def __init__(self, group_id: str, tags: Sequence[str] = ()) -> None:
        self._group_id = group_id
        self._tags = list(tags)

    @property
    def group_id(self) -> str:
        return self._group_id

    async def make_envs(self) -> Sequence[Env]:
        raise NotImplementedError

    def logging_tags(self) -> list[str]:
        return self._tags


def located(latitude: float, longitude: float) -> str:
    """The text of an answer."""
    return f"Latitude: {latitude:.4f}\nLongitude: {longitude:.4f}"


def group_of(
    sample: GeoSample,
    texts: Sequence[str],
    *,
    reward: GeoReward = REWARD,
    lost: int = 0,
    tags: tuple[str, ...] = (),
) -> TrajectoryGroup:
    """A group whose rollouts said `texts`, of two tokens each after a prompt of three."""
    failures = [RolloutFailure(len(texts) + index, "timeout") for index in range(lost)]
    trajectories = [
        Trajectory(index, [_transition(sample, text, reward)]) for index, text in enumerate(texts)
    ]
    return TrajectoryGroup(NoBuilder(sample.id, tags), trajectories, failures, sampler_step=0)


def _transition(sample: GeoSample, text: str, reward: GeoReward) -> Transition:
    import tinker

    record = judge(sample, Reply(text))
    worth = reward(record)
    return Transition(
        observation=tinker.ModelInput.from_ints([1, 2, 3]),
        action=[7, 8],
        logprobs_T=np.array([-0.5, -0.25], dtype=np.float32),
        reward=worth.total,
        episode_done=True,
        metrics=metrics_of(record, worth),
        logs=logs_of(record, reward.tau_km),
    )
