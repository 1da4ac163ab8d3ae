"""In which order photos are seen: a pure function of seed and step, so that resuming needs no state."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

IndexArray = NDArray[np.int64]


class SampleOrder:
    """An endless order over `n` samples, cut into batches.

    Without strata it runs through epochs: each sees every sample once, each in a shuffle of its own.

    With strata (a number for each sample: its country) it runs through rounds: each draws every
    stratum once, in a shuffle of its own, and of the stratum the next sample of a shuffled cycle. So
    strata are drawn evenly however large they are. The samples of a small stratum then come back
    before those of a large one have all been seen, and n draws don't see every sample once.

    Args:
        n: number of samples, at least 1.
        seed: equal seeds give equal orders, on every machine.
        strata: which stratum each of the n samples belongs to; any whole numbers.

    Raises:
        ValueError: no samples, or not one stratum for each.
    """

    def __init__(self, n: int, seed: int, *, strata: Sequence[int] | None = None) -> None:
        if n < 1:
            raise ValueError(f"{n} samples have no order.")
        if strata is not None and len(strata) != n:
            raise ValueError(f"{len(strata)} strata were given for {n} samples.")
        self._n = n
        self._seed = seed
        self._members = None if strata is None else _members(strata)
        kept = 2 if self._members is None else 2 + 2 * len(self._members)
        self._shuffled = lru_cache(maxsize=kept)(self._shuffle)

    def batch(self, step: int, batch_size: int) -> list[int]:
        """Indices of step `step`, counted from 0: positions step·batch_size and on of the order."""
        positions = range(step * batch_size, (step + 1) * batch_size)
        if self._members is None:
            return [self._of_epoch(position) for position in positions]
        return [self._of_round(position, self._members) for position in positions]

    def _of_epoch(self, position: int) -> int:
        epoch, place = divmod(position, self._n)
        return int(self._shuffled(f"epoch {epoch}", self._n)[place])

    def _of_round(self, position: int, members_of: list[IndexArray]) -> int:
        number, place = divmod(position, len(members_of))
        stratum = int(self._shuffled(f"round {number}", len(members_of))[place])
        members = members_of[stratum]
        cycle, turn = divmod(number, len(members))
        return int(members[self._shuffled(f"stratum {stratum} {cycle}", len(members))[turn]])

    def _shuffle(self, what: str, size: int) -> IndexArray:
        """0 … size−1 shuffled, by sorting raw random words: numpy promises that those never change."""
        digest = hashlib.sha256(f"{self._seed}:{what}".encode()).digest()
        words_N = np.random.PCG64(int.from_bytes(digest)).random_raw(size)
        return np.argsort(words_N, kind="stable")


def _members(strata: Sequence[int]) -> list[IndexArray]:
    """The samples of each stratum, strata by ascending number, samples by ascending index."""
    strata_N = np.asarray(strata, dtype=np.int64)
    order_N = np.argsort(strata_N, kind="stable")
    _, starts = np.unique(strata_N[order_N], return_index=True)
    return np.split(order_N, starts[1:])
