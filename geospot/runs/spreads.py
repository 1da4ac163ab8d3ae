"""Histograms of many steps as arrays, for a heat map over all of them; read from `histograms.jsonl`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from geospot.runs.histograms import DISTANCE_EDGES_KM, QUANTILES, REWARD_EDGES, Quantity
from geospot.runs.tail import step_of

CountArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]
StepArray = NDArray[np.int64]

_FIRST: Final = 64
_MOST: Final = 2**31 - 1
_LARGEST: Final = 3.4e38
_MOST_EDGES: Final = 1000
_MOST_GROUPS: Final = 100
_PLAIN: Final = frozenset([int, float, type(None)])
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
class _Arrays:
    """One quantity at so many steps; more of them than are handed out."""

    edges: tuple[float, ...]
    counts_S_B: CountArray
    quantiles_S_Q: FloatArray
    mean_S: FloatArray

    @classmethod
    def of(cls, edges: tuple[float, ...], size: int) -> "_Arrays":
        return cls(
            edges,
            np.zeros((size, len(edges) + 1), np.int32),
            np.full((size, len(QUANTILES)), np.nan, np.float32),
            np.full(size, np.nan, np.float32),
        )

    def put(self, place_R: NDArray[np.int64], rows: Sequence[Any]) -> None:
        """Takes rows of the file; what doesn't fit the declared bins is left out."""
        parts = [cast(dict[str, Any], row) if isinstance(row, dict) else {} for row in rows]
        bins = self.counts_S_B.shape[1]
        counts = [_numbers(part.get("counts"), bins) for part in parts]
        quantiles = [_numbers(part.get("quantiles"), len(QUANTILES)) for part in parts]
        means = [_numbers([part.get("mean")], 1) for part in parts]
        self.counts_S_B[place_R] = np.clip(_matrix(counts, bins, 0.0), 0, _MOST)
        self.quantiles_S_Q[place_R] = _matrix(quantiles, len(QUANTILES), np.nan)
        self.mean_S[place_R] = _matrix(means, 1, np.nan)[:, 0]

    def moved(self, place_S: NDArray[np.int64], size: int) -> "_Arrays":
        """Arrays of another size, with what is here at those places."""
        other, used = _Arrays.of(self.edges, size), len(place_S)
        other.counts_S_B[place_S] = self.counts_S_B[:used]
        other.quantiles_S_Q[place_S] = self.quantiles_S_Q[:used]
        other.mean_S[place_S] = self.mean_S[:used]
        return other


@dataclass(slots=True, eq=False)
class SpreadsBuilder:
    """Rows of `histograms.jsonl`, or what was computed from rollouts, as arrays that grow."""

    _used: int = 0
    _steps_S: StepArray = field(default_factory=lambda: np.zeros(_FIRST, np.int64))
    _arrays: dict[Quantity, _Arrays] = field(
        default_factory=lambda: {name: _Arrays.of(edges, _FIRST) for name, edges in _EDGES.items()}
    )
    _groups: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray])

    def spreads(self, quantity: Quantity) -> Spreads:
        """What has come so far. It shares memory; what comes later doesn't show in it."""
        used, arrays = self._used, self._arrays[quantity]
        return Spreads(
            self._steps_S[:used],
            arrays.edges,
            arrays.counts_S_B[:used],
            arrays.quantiles_S_Q[:used],
            arrays.mean_S[:used],
        )

    def groups(self) -> dict[str, FloatArray]:
        """Shares of the groups by name, a value for each step, NaN where there is none."""
        return {name: share_S[: self._used] for name, share_S in self._groups.items()}

    def clear(self) -> None:
        """Forgets everything; what was handed out stays as it is."""
        self.__init__()

    def add(self, rows: Sequence[Mapping[str, Any]], *, older: bool = False) -> None:
        """Takes rows in the order in which they were written; the last one of a step counts.

        Args:
            older: they stand before all those that came so far.
        """
        of_step: dict[int, Mapping[str, Any]] = {}
        for row in rows:
            step = step_of(row)
            if step is not None:
                of_step[step] = row
            elif not of_step:  # bins are declared before the first step, or not at all
                self._declare(row)
        if older:
            known = set(cast(list[int], self._steps_S[: self._used].tolist()))
            of_step = {step: row for step, row in of_step.items() if step not in known}
        if of_step:
            steps = sorted(of_step)
            place_R = self._places(np.array(steps, np.int64))
            self._put(place_R, [of_step[step] for step in steps])

    def _declare(self, row: Mapping[str, Any]) -> None:
        """The file's own bins, of a later version of geospot or of another program."""
        for quantity in _EDGES:
            edges = row.get(f"{quantity}_edges")
            declared = _numbers(edges, len(cast(list[Any], edges)) if _is_list(edges) else -1)
            if self._used or declared is None or not 2 <= len(declared) <= _MOST_EDGES:
                continue
            if np.isfinite(declared).all() and (np.diff(declared) > 0).all():
                self._arrays[quantity] = _Arrays.of(tuple(declared.tolist()), len(self._steps_S))

    def _places(self, step_R: StepArray) -> NDArray[np.int64]:
        """Where the steps stand, after room was made for those that are new."""
        steps_S, used = self._steps_S[: self._used], self._used
        if not used or step_R[0] > steps_S[-1]:
            self._used += len(step_R)
            if self._used > len(self._steps_S):
                self._move(np.arange(used), max(self._used, 2 * len(self._steps_S)))
            self._steps_S[used : self._used] = step_R
            return np.arange(used, self._used)
        # Late: all goes into new arrays, since rows of those handed out would move or change.
        all_S = np.union1d(steps_S, step_R)
        self._move(np.searchsorted(all_S, steps_S), max(len(all_S), len(self._steps_S)))
        self._used = len(all_S)
        self._steps_S[: self._used] = all_S
        return np.searchsorted(all_S, step_R)

    def _move(self, place_S: NDArray[np.int64], size: int) -> None:
        steps_S = np.zeros(size, np.int64)
        steps_S[place_S] = self._steps_S[: len(place_S)]
        self._steps_S = steps_S
        self._arrays = {name: one.moved(place_S, size) for name, one in self._arrays.items()}
        for name, share_S in self._groups.items():
            self._groups[name] = np.full(size, np.nan, np.float32)
            self._groups[name][place_S] = share_S[: len(place_S)]

    def _put(self, place_R: NDArray[np.int64], rows: Sequence[Mapping[str, Any]]) -> None:
        for quantity, arrays in self._arrays.items():
            arrays.put(place_R, [row.get(quantity) for row in rows])
        shares = [row.get("groups") for row in rows]
        groups = [cast(dict[str, Any], one) if isinstance(one, dict) else {} for one in shares]
        for name in dict.fromkeys(name for one in groups for name in one):
            if name not in self._groups and len(self._groups) < _MOST_GROUPS:
                self._groups[name] = np.full(len(self._steps_S), np.nan, np.float32)
        for name, share_S in self._groups.items():
            values = [_numbers([one.get(name)], 1) for one in groups]
            share_S[place_R] = _matrix(values, 1, np.nan)[:, 0]


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _numbers(value: Any, count: int) -> NDArray[np.float64] | None:
    """A list of so many numbers or nulls, which become NaN; None where it is something else."""
    if not isinstance(value, list):
        return None
    items = cast(list[Any], value)
    if len(items) != count or not set(map(type, items)) <= _PLAIN:
        return None
    try:
        return np.array(items, np.float64)
    except OverflowError:  # an integer of hundreds of digits
        return None


def _matrix(
    rows: Sequence[NDArray[np.float64] | None], width: int, missing: float
) -> NDArray[np.float64]:
    """The rows below one another, finite or `missing`."""
    blank = np.full(width, missing)
    whole = np.array([blank if row is None else row for row in rows]).reshape(len(rows), width)
    # Beyond what 32 bits hold is no number for us either.
    return np.where(np.abs(whole) < _LARGEST, whole, missing)
