"""What is sent to be trained on, against an example written out position by position."""

import numpy as np
import pytest
import tinker

from geospot.errors import RenderError
from geospot.rl.batch import drift_figures, make_batch
from geospot.rl.datums import policy_datum, scoring_input
from geospot.rl.types import (
    Env,
    EnvGroupBuilder,
    RolloutFailure,
    Trajectory,
    TrajectoryGroup,
    Transition,
)
from tests.support.approx import approx


class Photo(EnvGroupBuilder):
    """A builder that only has a name."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def group_id(self) -> str:
        return self._name

    async def make_envs(self) -> list[Env]:
        return []


def _prompt() -> tinker.ModelInput:
    """Two tokens, an image of three, one token: six positions."""
    return tinker.ModelInput(
        chunks=[
            tinker.types.EncodedTextChunk(tokens=[11, 12]),
            tinker.types.ImageChunk(data=b"\xff\xd8", format="jpeg", expected_tokens=3),
            tinker.types.EncodedTextChunk(tokens=[13]),
        ]
    )


def _transition(action: list[int], logprobs: list[float], reward: float = 0.0) -> Transition:
    return Transition(
        _prompt(), action, np.array(logprobs, np.float32), reward, True, metrics={}, logs={}
    )


def _group(rewards: list[float], name: str = "a") -> TrajectoryGroup:
    trajectories = [
        Trajectory(index, [_transition([20 + index, 99], [-0.5, -0.1], reward)])
        for index, reward in enumerate(rewards)
    ]
    return TrajectoryGroup(Photo(name), trajectories, [], 0)


def _input(datum: tinker.Datum, name: str) -> list[float]:
    return datum.loss_fn_inputs[name].to_numpy().tolist()


def test_tokens_are_shifted_by_one_and_the_stop_token_is_a_target() -> None:
    datum = policy_datum(_transition([21, 22, 99], [-0.5, -0.25, -0.125]), 0.5)
    # Positions:    11  12  im  im  im  13  21  22
    # they predict:  –   –   –   –   –  21  22  99
    assert datum.model_input.length == 8
    last = datum.model_input.chunks[-1]
    assert isinstance(last, tinker.types.EncodedTextChunk)
    assert list(last.tokens) == [13, 21, 22]
    assert _input(datum, "target_tokens") == [0, 0, 0, 0, 0, 21, 22, 99]
    assert _input(datum, "logprobs") == [0, 0, 0, 0, 0, -0.5, -0.25, -0.125]
    assert _input(datum, "advantages") == [0, 0, 0, 0, 0, 0.5, 0.5, 0.5]


def test_an_action_of_one_token_adds_no_position() -> None:
    datum = policy_datum(_transition([99], [-1.0]), -2.0)
    assert datum.model_input.length == 6
    assert _input(datum, "target_tokens") == [0, 0, 0, 0, 0, 99]
    assert _input(datum, "advantages") == [0, 0, 0, 0, 0, -2.0]


def test_scoring_reads_prompt_and_whole_action() -> None:
    assert scoring_input(_transition([21, 22, 99], [-1.0] * 3)).length == 9


def test_lost_log_probabilities_are_an_error() -> None:
    with pytest.raises(RenderError, match="3 tokens has 2 log-probabilities"):
        policy_datum(_transition([21, 22, 99], [-1.0, -1.0]), 1.0)


def test_every_token_of_a_rollout_gets_its_advantage_over_all_rollouts() -> None:
    batch = make_batch([_group([1.0, 0.0])], min_range=1e-4)
    (part,) = batch.parts
    # Advantages ±0.5, a mean over two rollouts.
    assert [_input(datum, "advantages")[-2:] for datum in part.datums] == [
        [0.25, 0.25],
        [-0.25, -0.25],
    ]
    assert batch.trained_tokens == 14


def test_a_group_of_equal_rewards_is_left_out_and_still_counted() -> None:
    groups = [_group([0.3, 0.3], "same"), _group([1.0, 0.0], "mixed")]
    batch = make_batch(groups, min_range=1e-4)
    assert batch.used == [1]
    assert batch.rollouts == 4
    assert len(batch.parts[0].datums) == 2
    # A mean over all four rollouts, those left out too.
    assert _input(batch.parts[0].datums[0], "advantages")[-1] == approx(0.125)
    assert set(batch.advantages) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_nothing_to_learn_from_is_no_part() -> None:
    batch = make_batch([_group([0.3, 0.3]), _group([-0.1, -0.1])], min_range=1e-4)
    assert batch.parts == []
    assert make_batch([], min_range=1e-4).parts == []


def test_lost_rollouts_leave_the_mean_of_those_that_came_back() -> None:
    group = _group([1.0, 0.5, 0.0])
    torn = TrajectoryGroup(
        group.builder, [group.trajectories[0], group.trajectories[2]], [RolloutFailure(1, "x")], 0
    )
    batch = make_batch([torn], min_range=1e-4)
    assert batch.advantages[0, 0] == approx([0.5])
    assert batch.advantages[0, 2] == approx([-0.5])


def test_substeps_share_the_groups_and_each_is_a_mean() -> None:
    groups = [_group([1.0, 0.0], str(number)) for number in range(3)]
    batch = make_batch(groups, min_range=1e-4, substeps=2)
    assert [len(part.datums) for part in batch.parts] == [2, 4]
    # Six rollouts in two parts: three a part on average.
    assert _input(batch.parts[0].datums[0], "advantages")[-1] == approx(0.5 / 3)
    assert len(make_batch(groups, min_range=1e-4, substeps=8).parts) == 3


def test_a_penalty_is_taken_off_before_the_mean() -> None:
    batch = make_batch([_group([0.5, 0.5])], min_range=1e-4, penalties={(0, 1): 0.2})
    assert batch.advantages[0, 0] == approx([0.1])
    assert batch.advantages[0, 1] == approx([-0.1])


def test_turns_are_compared_with_the_same_turn_of_the_others() -> None:
    def played(index: int, rewards: list[float]) -> Trajectory:
        return Trajectory(index, [_transition([20, 99], [-1.0, -1.0], one) for one in rewards])

    # Returns to go: (1.5, 0.5), (1.0, 1.0), (0.2,): one ended after its first turn.
    trajectories = [played(0, [1.0, 0.5]), played(1, [0.0, 1.0]), played(2, [0.2])]
    batch = make_batch([TrajectoryGroup(Photo("t"), trajectories, [], 0)], min_range=1e-4)
    assert batch.advantages[0, 0] == approx([0.6, -0.25])
    assert batch.advantages[0, 1] == approx([0.1, 0.25])
    assert batch.advantages[0, 2] == approx([-0.7])


def test_drift_looks_at_the_action_alone() -> None:
    batch = make_batch([_group([1.0, 0.0])], min_range=1e-4)
    prompt_and_action = np.array([9.0, 9.0, 9.0, 9.0, 9.0, -0.7, -0.3], np.float32)
    figures = drift_figures(batch.parts, [[prompt_and_action] * 2])
    assert figures["optim/kl_sample_train_v1"] == approx(0.2)
    assert figures["optim/kl_sample_train_v2"] == approx(0.02)
    assert figures["optim/entropy"] == approx(0.3)
