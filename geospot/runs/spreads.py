"""Histograms of many steps as arrays, for a heat map over all of them; read from `histograms.jsonl`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from geospot.runs.histograms import DISTANCE_EDGES_KM, QUANTILES, REWARD_EDGES, Quantity
from geospot.runs.tail import is_number, step_of

CountArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]
StepArray = NDArray[np.int64]

_FIRST: Final = 64
_EDGES: Final[Mapping[Quantity, tuple[float, ...]]] = {
    "reward": REWARD_EDGES,
    "distance_km": DISTANCE_EDGES_KM,
}


@dataclass(frozen=True, slots=True, eq=False)
class Spreads:
    """How one quantity was spread over the rollouts of S steps.

    `counts_S_B` has a column more than there are edges: below the first edge, between each two (the
    lower edge included, at the end the last edge too), above the last. So failures are the first column
    of rewards and the last one of distances. `quantiles_S_Q` are those of QUANTILES, NaN where there were
    no rollouts. Nothing in it is to be written to.
    """

    steps_S: StepArray
    edges: tuple[float, ...]
    counts_S_B: CountArray
    quantiles_S_Q: FloatArray
    mean_S: FloatArray

    def __len__(self) -> int:
        """Steps that have a row."""
        return len(self.steps_S)

    def place(self, step: int) -> int | None:
        """Index of a step, None where it has no row."""
        place = int(np.searchsorted(self.steps_S, step))
        return place if place < len(self) and self.steps_S[place] == step else None


def empty(quantity: Quantity) -> Spreads:
    """That of no steps."""
    return SpreadsBuilder().spreads(quantity)


@dataclass(slots=True, eq=False)
class _Growing:
    """Arrays of one quantity; of the first `used` rows more than are handed out may be there."""

    edges: tuple[float, ...]
    counts_S_B: CountArray
    quantiles_S_Q: FloatArray
    mean_S: FloatArray

    @classmethod
    def of(cls, edges: tuple[float, ...], size: int) -> "_Growing":
        return cls(
            edges,
            np.zeros((size, len(edges) + 1), np.int32),
            np.full((size, len(QUANTILES)), np.nan, np.float32),
            np.full(size, np.nan, np.float32),
        )

    def put(self, place: int, row: Any) -> None:
        """Takes a row of the file; what doesn't fit the declared bins is left out."""
        part = cast(dict[str, Any], row) if isinstance(row, dict) else {}
        counts, quantiles = _list(part.get("counts")), _list(part.get("quantiles"))
        if len(counts) == self.counts_S_B.shape[1] and all(map(is_number, counts)):
            self.counts_S_B[place] = np.clip(np.array(counts, np.float64), 0, 2**31 - 1)
        if len(quantiles) == len(QUANTILES):
            self.quantiles_S_Q[place] = [q if is_number(q) else np.nan for q in quantiles]
        mean = part.get("mean")
        self.mean_S[place] = mean if is_number(mean) else np.nan

    def resized(self, size: int) -> "_Growing":
        other = _Growing.of(self.edges, size)
        keep = min(size, len(self.mean_S))
        other.counts_S_B[:keep] = self.counts_S_B[:keep]
        other.quantiles_S_Q[:keep] = self.quantiles_S_Q[:keep]
        other.mean_S[:keep] = self.mean_S[:keep]
        return other


@dataclass(slots=True, eq=False)
class SpreadsBuilder:
    """Rows of `histograms.jsonl`, or what was computed from rollouts, as arrays that grow."""

    _used: int = 0
    _steps_S: StepArray = field(default_factory=lambda: np.zeros(_FIRST, np.int64))
    _growing: dict[Quantity, _Growing] = field(
        default_factory=lambda: {name: _Growing.of(edges, _FIRST) for name, edges in _EDGES.items()}
    )
    _groups: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray])

    def spreads(self, quantity: Quantity) -> Spreads:
        """What has come so far; it shares memory, and later steps don't show in it."""
        used, growing = self._used, self._growing[quantity]
        return Spreads(
            self._steps_S[:used],
            growing.edges,
            growing.counts_S_B[:used],
            growing.quantiles_S_Q[:used],
            growing.mean_S[:used],
        )

    def groups(self) -> dict[str, FloatArray]:
        """Shares of the groups by name, a value for each step, NaN where there is none."""
        return {name: share_S[: self._used] for name, share_S in self._groups.items()}

    def clear(self) -> None:
        """Forgets everything."""
        self.__init__()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes rows in the order in which they were written; the later of two of a step wins."""
        for row in rows:
            step = step_of(row)
            if step is None:
                self._declare(row)
            elif abs(step) < 2**62:
                self._put(step, row)

    def _declare(self, row: Mapping[str, Any]) -> None:
        """The file's own bins, of a later version of geospot or of another program."""
        for quantity in _EDGES:
            edges = _list(row.get(f"{quantity}_edges"))
            if self._used or len(edges) < 2 or not all(map(is_number, edges)):
                continue
            declared = tuple(float(edge) for edge in edges)
            if all(low < high for low, high in zip(declared, declared[1:], strict=False)):
                self._growing[quantity] = _Growing.of(declared, len(self._steps_S))

    def _put(self, step: int, row: Mapping[str, Any]) -> None:
        place = int(np.searchsorted(self._steps_S[: self._used], step))
        if place == self._used or self._steps_S[place] != step:
            self._make_room(place, step)
        for quantity, growing in self._growing.items():
            growing.put(place, row.get(quantity))
        groups = row.get("groups")
        for name, share in (
            cast(dict[str, Any], groups) if isinstance(groups, dict) else {}
        ).items():
            if is_number(share):
                column = self._groups.setdefault(
                    name, np.full(len(self._steps_S), np.nan, np.float32)
                )
                column[place] = share

    def _make_room(self, place: int, step: int) -> None:
        if self._used == len(self._steps_S):
            size = self._used * 2
            self._steps_S = np.concatenate([self._steps_S, np.zeros(self._used, np.int64)])
            self._growing = {name: one.resized(size) for name, one in self._growing.items()}
            blank = np.full(self._used, np.nan, np.float32)
            self._groups = {
                name: np.concatenate([column, blank]) for name, column in self._groups.items()
            }
        if place < self._used:  # late: everything behind it moves, in arrays of its own
            order = np.arange(len(self._steps_S))
            order[place + 1 : self._used + 1] = order[place : self._used]
            self._steps_S = self._steps_S[order]
            for name, one in self._growing.items():
                self._growing[name] = _Growing(
                    one.edges, one.counts_S_B[order], one.quantiles_S_Q[order], one.mean_S[order]
                )
            self._groups = {name: column[order] for name, column in self._groups.items()}
            for column in self._groups.values():
                column[place] = np.nan
        self._steps_S[place] = step
        self._used += 1


def _list(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
