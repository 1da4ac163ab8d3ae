"""Figures of many steps as columns: what a run of a million rows can be drawn from.

Rows come as they stand in `metrics.jsonl`, several to a step, some without one, some late. Kept are one
sorted array of steps and, for each key that ever was a number, one array of values, so that a chart takes
an array and no row is looked at again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geospot.runs.tail import is_number, step_of

FloatArray = NDArray[np.float32]
StepArray = NDArray[np.int64]

_FIRST: Final = 256
_LARGEST_STEP: Final = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Figures of N steps at one moment. Values have seven digits (32 bits), NaN where none came.

    `loose` holds the latest value of every key that came in a row without a step. Nothing in it is to be
    written to.
    """

    steps_N: StepArray
    values_N: Mapping[str, FloatArray]
    loose: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __len__(self) -> int:
        """Steps that have a row."""
        return len(self.steps_N)

    @property
    def keys(self) -> list[str]:
        """Every key that was a number in some row, sorted."""
        return sorted(self.values_N)

    def series(self, key: str) -> tuple[StepArray, FloatArray]:
        """Steps at which the key has a finite value, ascending, and the values; empty where it has none."""
        values = self.values_N.get(key)
        if values is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        there = np.isfinite(values)
        return self.steps_N[there], values[there]

    def latest(self, key: str) -> float | None:
        """The newest finite value of the key."""
        values = self.values_N.get(key)
        if values is None:
            return None
        for end in range(len(values), 0, -_FIRST):  # nearly always among the last ones
            part = values[max(0, end - _FIRST) : end]
            there = np.flatnonzero(np.isfinite(part))
            if len(there):
                return float(part[there[-1]])
        return None

    def at(self, step: int) -> dict[str, float]:
        """Every finite value of one step, by key."""
        place = int(np.searchsorted(self.steps_N, step))
        if place == len(self) or self.steps_N[place] != step:
            return {}
        row = {key: float(values[place]) for key, values in sorted(self.values_N.items())}
        return {key: value for key, value in row.items() if np.isfinite(value)}


EMPTY: Final = Columns(np.empty(0, np.int64), {})


class ColumnsBuilder:
    """Figures by step, growing; `columns` gives what is there, and goes on beside it."""

    def __init__(self) -> None:
        self._steps_N: StepArray = np.empty(_FIRST, np.int64)
        self._values_N: dict[str, FloatArray] = {}
        self._loose: dict[str, Any] = {}
        self._used = 0

    def columns(self) -> Columns:
        """What has come so far. It shares memory, and later steps don't show in it."""
        used = self._used
        values_N = {key: column[:used] for key, column in self._values_N.items()}
        return Columns(self._steps_N[:used], values_N, dict(self._loose))

    def clear(self) -> None:
        """Forgets everything; columns that were handed out stay as they are."""
        self.__init__()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Merges rows in the order in which they were written; a later value of a step wins."""
        for stretch in self._stretches(rows):
            if not self._used or stretch[0][0] > self._steps_N[self._used - 1]:
                self._append(stretch)
            else:
                for step, row in stretch:
                    self._merge(step, row)

    def _stretches(
        self, rows: Sequence[Mapping[str, Any]]
    ) -> Iterator[list[tuple[int, Mapping[str, Any]]]]:
        """Rows in stretches whose steps ascend strictly; those without a step are put into `loose`."""
        stretch: list[tuple[int, Mapping[str, Any]]] = []
        for row in rows:
            step = step_of(row)
            if step is None or abs(step) > _LARGEST_STEP:
                self._loose.update(row)
                continue
            if stretch and step <= stretch[-1][0]:
                yield stretch
                stretch = []
            stretch.append((step, row))
        if stretch:
            yield stretch

    def _append(self, stretch: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        start, end = self._used, self._used + len(stretch)
        self._reserve(end)
        self._steps_N[start:end] = [step for step, _ in stretch]
        for key in {key: None for _, row in stretch for key in row if key != "step"}:
            numbers = [value if is_number(value := row.get(key)) else None for _, row in stretch]
            if key in self._values_N or any(number is not None for number in numbers):
                self._column(key)[start:end] = _floats(numbers)
        self._used = end

    def _merge(self, step: int, row: Mapping[str, Any]) -> None:
        place = int(np.searchsorted(self._steps_N[: self._used], step))
        if place == self._used or self._steps_N[place] != step:
            self._insert(place, step)
        for key, value in row.items():
            if key != "step" and is_number(value):
                self._column(key)[place] = _floats([value])[0]

    def _insert(self, place: int, step: int) -> None:
        """Makes room for a step; in new arrays, so that those handed out keep their order."""
        used = self._used
        self._steps_N = np.insert(self._steps_N[:used], place, step)
        self._values_N = {
            key: np.insert(column[:used], place, np.nan) for key, column in self._values_N.items()
        }
        self._used += 1

    def _column(self, key: str) -> FloatArray:
        if key not in self._values_N:
            self._values_N[key] = np.full(len(self._steps_N), np.nan, np.float32)
        return self._values_N[key]

    def _reserve(self, size: int) -> None:
        if size <= len(self._steps_N):
            return
        used = self._used
        more = max(size, len(self._steps_N) * 3 // 2) - used
        self._steps_N = np.concatenate([self._steps_N[:used], np.zeros(more, np.int64)])
        blank = np.full(more, np.nan, np.float32)
        self._values_N = {
            key: np.concatenate([column[:used], blank]) for key, column in self._values_N.items()
        }


def _floats(numbers: Sequence[Any]) -> FloatArray:
    """None becomes NaN; a number beyond what fits becomes infinite, and is shown as none."""
    with np.errstate(over="ignore"):
        try:
            return np.array(numbers, np.float64).astype(np.float32)
        except OverflowError:
            return np.array([_float(number) for number in numbers], np.float32)


def _float(number: Any) -> float:
    try:
        return np.nan if number is None else float(number)
    except OverflowError:
        return np.nan
