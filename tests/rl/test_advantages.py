"""Advantages, by numbers worked out by hand."""

import numpy as np
import pytest

from geospot.rl.advantages import group_advantages, is_informative, returns_to_go
from tests.support.approx import approx


def test_an_advantage_is_reward_minus_the_groups_mean() -> None:
    np.testing.assert_allclose(
        group_advantages([0.9, 0.4, -0.1, 0.0]), [0.6, 0.1, -0.4, -0.3], atol=1e-12
    )


def test_the_better_rollout_has_the_larger_advantage_and_the_sum_is_zero() -> None:
    advantage_G = group_advantages([0.2, 0.7, 0.7])
    assert advantage_G[1] > 0 > advantage_G[0]
    assert advantage_G.sum() == approx(0)


def test_dividing_by_the_deviation_is_an_option() -> None:
    # Mean 0.5, deviation over G 0.5.
    np.testing.assert_allclose(group_advantages([1.0, 0.0], normalize=True), [1.0, -1.0], atol=1e-5)


def test_equal_rewards_give_no_advantage_even_divided() -> None:
    np.testing.assert_allclose(group_advantages([0.3] * 4, normalize=True), np.zeros(4))


@pytest.mark.parametrize(
    ("rewards", "informative"),
    [([0.1, 0.1, 0.1], False), ([0.1, 0.10005], False), ([0.1, 0.2], True), ([0.5], False)],
)
def test_a_group_says_something_when_its_rewards_differ(
    rewards: list[float], informative: bool
) -> None:
    assert is_informative(rewards, 1e-4) is informative


def test_a_turn_answers_for_what_comes_after_it() -> None:
    np.testing.assert_allclose(returns_to_go([1.0, 2.0, 4.0]), [7.0, 6.0, 4.0])
