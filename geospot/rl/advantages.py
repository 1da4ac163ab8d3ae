"""Advantages of a group: how much better than its siblings each rollout did.

GRPO (Shao et al. 2024, DeepSeekMath) without the division by the group's deviation, which weighs hard
and easy photos unequally (Liu et al. 2025, "Dr. GRPO").
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from geospot.geo import FloatArray

_TINY_DEVIATION: Final = 1e-6


def group_advantages(reward_G: npt.ArrayLike, *, normalize: bool = False) -> FloatArray:
    """Reward minus the group's mean, of G rollouts of one prompt.

    Args:
        normalize: also divide by the standard deviation (over G, not G − 1), as in the GRPO paper.
    """
    rewards = np.asarray(reward_G, dtype=np.float64)
    centred_G: FloatArray = rewards - rewards.mean()
    if normalize:
        centred_G = centred_G / (centred_G.std() + _TINY_DEVIATION)
    return centred_G


def is_informative(reward_G: Sequence[float], min_range: float) -> bool:
    """Whether the rewards of a group differ enough to say which of its rollouts are better.

    One rollout alone says nothing; equal rewards have advantages of 0, and noise of rounding is no
    better.
    """
    return len(reward_G) > 1 and max(reward_G) - min(reward_G) > min_range


def returns_to_go(reward_S: npt.ArrayLike) -> FloatArray:
    """Sum of the rewards from each of S turns to the end of the episode, undiscounted."""
    rewards = np.asarray(reward_S, dtype=np.float64)
    return np.cumsum(rewards[::-1])[::-1].copy()
