"""Random draws that are the same on every machine and with every version of numpy.

Only raw integers are taken from a generator (numpy promises those never change); everything else is
arithmetic written here.
"""

import hashlib
import math
from typing import Final

import numpy as np
import numpy.typing as npt

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_TO_UNIT: Final = 2.0**-53


def key_number(key: str) -> int:
    """64 bits of the key's SHA-256."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")


def uniform_N(key: str, count: int) -> npt.NDArray[np.float64]:
    """`count` numbers in [0, 1), the i-th a function of the key and i alone (SplitMix64)."""
    with np.errstate(over="ignore"):
        state_N = np.uint64(key_number(key)) + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        state_N = (state_N ^ (state_N >> np.uint64(30))) * _MIX_1
        state_N = (state_N ^ (state_N >> np.uint64(27))) * _MIX_2
        state_N = state_N ^ (state_N >> np.uint64(31))
    return (state_N >> np.uint64(11)).astype(np.float64) * _TO_UNIT


class Dice:
    """One sample's stream of draws."""

    def __init__(self, key: str) -> None:
        self._bits = np.random.PCG64(key_number(key))
        self._raw: list[int] = []

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._raw:
            self._raw = self._bits.random_raw(128).tolist()
        return (self._raw.pop() >> 11) * _TO_UNIT

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return low + (high - low) * self.unit()

    def normal(self, sigma: float = 1.0) -> float:
        """A normally distributed number (Box-Muller)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.unit()))
        return sigma * radius * math.cos(2.0 * math.pi * self.unit())

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def weighted(self, weights: dict[str, float]) -> str:
        """One of the keys, as often as its weight says."""
        left = self.unit() * sum(weights.values())
        for name, weight in weights.items():
            left -= weight
            if left < 0:
                return name
        return next(reversed(weights))

    def noise(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """Independent numbers of mean 0 and deviation 1 (the sum of two uniform ones)."""
        count = math.prod(shape)
        words = self._bits.random_raw(-(-count // 4))
        pairs = words.view(np.uint8)[: 2 * count].reshape(2, count).astype(np.float32)
        return ((pairs[0] + pairs[1] - 255.0) / 104.5).reshape(shape)
