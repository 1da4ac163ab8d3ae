"""Figures of many steps as columns: what a run of a million rows can be drawn from.

Rows come as they stand in `metrics.jsonl`, several to a step, some without one, some late. Kept are one
sorted array of steps and, for each key that ever was a number, one array of values, so that a chart takes
an array and no row is looked at again. Of the numbers that a step has under one key, the last one in the
file counts, in whatever order the file was read; what is no finite number counts as none.
"""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geospot.runs.tail import step_of

FloatArray = NDArray[np.float32]
StepArray = NDArray[np.int64]

_FIRST: Final = 256
_LARGE: Final = 1 << 19
"""Bytes of an array from which on it has pages of its own."""
_MOST_KEYS: Final = 2000
"""Of different names; a file with more of them is no metrics file, and would take all memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Figures of N steps at one moment. Values have seven digits (32 bits), NaN where none came.

    `loose` holds the latest value of every key that came in a row without a step. Nothing in it can be
    written to. Steps never change; a figure that comes late for a step that is there may show in place
    of the one before, or of NaN.
    """

    steps_N: StepArray
    values_N: Mapping[str, FloatArray]
    loose: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __len__(self) -> int:
        """Steps that have a row."""
        return len(self.steps_N)

    @property
    def size_bytes(self) -> int:
        """Memory that the figures take."""
        return self.steps_N.nbytes + sum(column.nbytes for column in self.values_N.values())

    @property
    def keys(self) -> list[str]:
        """Every key that was a number in some row, sorted."""
        return sorted(self.values_N)

    def series(self, key: str) -> tuple[StepArray, FloatArray]:
        """Steps at which the key has a value, ascending, and the values; empty where it has none."""
        values = self.values_N.get(key)
        if values is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        there = np.isfinite(values)
        if there.all():  # the usual case, and of a million steps a copy takes its time
            return self.steps_N, values
        return self.steps_N[there], values[there]

    def latest(self, key: str) -> float | None:
        """The newest value of the key."""
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
        """Every value of one step, by key."""
        place = int(np.searchsorted(self.steps_N, step))
        if place == len(self) or self.steps_N[place] != step:
            return {}
        row = {key: float(values[place]) for key, values in sorted(self.values_N.items())}
        return {key: value for key, value in row.items() if np.isfinite(value)}


EMPTY: Final = Columns(np.empty(0, np.int64), {})


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Rows that were read together, merged: steps ascending, each once."""

    steps_N: StepArray
    values_N: Mapping[str, FloatArray]

    def part(self, start: int, end: int) -> "_Block":
        values_N = {key: value_N[start:end] for key, value_N in self.values_N.items()}
        return _Block(self.steps_N[start:end], values_N)


class ColumnsBuilder:
    """Figures by step, growing at both ends: what a run writes now, and what it wrote before.

    `columns` gives what is there, and goes on beside it: arrays are larger than what is handed out of
    them, and what is handed out is a view.
    """

    def __init__(self) -> None:
        self._steps: StepArray = np.empty(0, np.int64)
        self._values: dict[str, FloatArray] = {}
        self._low = self._high = 0
        self._loose: dict[str, Any] = {}
        self._shown: Columns | None = EMPTY

    def columns(self) -> Columns:
        """What has come so far; the same object until something else comes."""
        if self._shown is None:
            used = slice(self._low, self._high)
            values_N = {key: _fixed(column[used]) for key, column in self._values.items()}
            self._shown = Columns(_fixed(self._steps[used]), values_N, dict(self._loose))
        return self._shown

    def clear(self) -> None:
        """Forgets everything; columns that were handed out stay as they are."""
        self.__init__()

    def add(self, rows: Sequence[Mapping[str, Any]], *, older: bool = False) -> None:
        """Merges rows, in the order in which they stand in the file.

        Args:
            older: they stand before all those that came so far.
        """
        stepped, loose = _apart(rows)
        self._loose = loose | self._loose if older else self._loose | loose
        block = _merged(stepped)
        if len(block.steps_N):
            self._take(block, older=older)
        if rows:
            self._shown = None

    def _take(self, block: _Block, *, older: bool) -> None:
        if self._low == self._high:
            self._append(block)
            return
        first, last = int(self._steps[self._low]), int(self._steps[self._high - 1])
        start = int(np.searchsorted(block.steps_N, first))
        end = int(np.searchsorted(block.steps_N, last, side="right"))
        if start < end:
            self._merge(block.part(start, end), older=older)
        self._append(block.part(end, len(block.steps_N)))
        self._prepend(block.part(0, start))

    def _append(self, block: _Block) -> None:
        if count := len(block.steps_N):
            self._reserve(0, count)
            self._put(block, slice(self._high, self._high + count))
            self._high += count

    def _prepend(self, block: _Block) -> None:
        if count := len(block.steps_N):
            self._reserve(count, 0)
            self._put(block, slice(self._low - count, self._low))
            self._low -= count

    def _put(self, block: _Block, place: slice) -> None:
        """Writes where nothing that was handed out reaches."""
        self._steps[place] = block.steps_N
        for key in block.values_N:
            self._column(key)
        for key, column in self._values.items():
            column[place] = block.values_N.get(key, np.nan)

    def _merge(self, block: _Block, *, older: bool) -> None:
        """Takes steps that lie between the first and the last one here."""
        steps_N = self._steps[self._low : self._high]
        place_N = np.searchsorted(steps_N, block.steps_N)
        missing_N = steps_N[place_N] != block.steps_N
        if missing_N.any():
            self._insert(place_N[missing_N], block.steps_N[missing_N])
            place_N = np.searchsorted(self._steps, block.steps_N)
        for key, value_N in block.values_N.items():
            column = self._column(key)
            if column is None:
                continue
            own_N = column[self._low : self._high]
            put_N = np.isfinite(value_N)
            if older:
                put_N &= np.isnan(own_N[place_N])
            own_N[place_N[put_N]] = value_N[put_N]

    def _insert(self, place_N: NDArray[np.int64], step_N: StepArray) -> None:
        """Makes room for steps; in new arrays, so that those handed out keep their order."""
        used = slice(self._low, self._high)
        self._steps = np.insert(self._steps[used], place_N, step_N)
        for key, column in self._values.items():
            self._values[key] = np.insert(column[used], place_N, np.nan)
        self._low, self._high = 0, len(self._steps)

    def _column(self, key: str) -> FloatArray | None:
        """The key's array, made where there is none; None where there are too many."""
        if key not in self._values and len(self._values) < _MOST_KEYS:
            column = _room(len(self._steps), np.dtype(np.float32))
            column[self._low : self._high] = np.nan
            self._values[key] = column
        return self._values.get(key)

    def _reserve(self, before: int, behind: int) -> None:
        """Makes sure that so many places are free at each end.

        What is reserved beyond that costs no memory until it is written to.
        """
        used, free = self._high - self._low, len(self._steps) - self._high
        if before <= self._low and behind <= free:
            return
        low = self._low if before <= self._low else max(before, used, _FIRST)
        size = low + used + (free if behind <= free else max(behind, used, _FIRST))
        old = slice(self._low, self._high)
        self._low, self._high = low, low + used
        self._steps = _moved(self._steps[old], low, size)
        for key, column in self._values.items():
            self._values[key] = _moved(column[old], low, size)


def _room(size: int, dtype: "np.dtype[Any]") -> NDArray[Any]:
    """An array with anything in it.

    A large one has pages of its own: they cost no memory until they are written to, and are given back
    with it. Of what numpy takes, huge pages and what the C library keeps for later were a fourth.
    """
    size_bytes = size * dtype.itemsize
    if size_bytes < _LARGE:
        return np.empty(size, dtype)
    pages = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, dtype)


def _moved(array: NDArray[Any], low: int, size: int) -> NDArray[Any]:
    larger = _room(size, array.dtype)
    larger[low : low + len(array)] = array
    return larger


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """A view that can't be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def _apart(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], dict[str, Any]]:
    """The rows that have a step, and what came without one."""
    stepped: list[Mapping[str, Any]] = []
    loose: dict[str, Any] = {}
    for row in rows:
        if step_of(row) is None:
            loose.update(row)
        else:
            stepped.append(row)
    return stepped, loose


def _merged(rows: Sequence[Mapping[str, Any]]) -> _Block:
    """Rows with steps as arrays. It is the innermost loop of reading: whole columns at a time."""
    step_R = np.array([row["step"] for row in rows], np.int64)
    keys = dict.fromkeys(chain.from_iterable(rows))
    keys.pop("step", None)
    value_R = {key: _floats([row.get(key) for row in rows]) for key in keys}
    numbers = {key: number_R for key, number_R in value_R.items() if number_R is not None}
    if bool(np.all(step_R[1:] > step_R[:-1])):
        return _Block(step_R, numbers)
    step_N, place_R = np.unique(step_R, return_inverse=True)
    values_N: dict[str, FloatArray] = {}
    for key, number_R in numbers.items():
        there_R = np.isfinite(number_R)
        values_N[key] = np.full(len(step_N), np.nan, np.float32)
        # Where an index comes twice, numpy keeps the last value.
        values_N[key][place_R[there_R]] = number_R[there_R]
    return _Block(step_N, values_N)


_NUMBERS: Final = frozenset([int, float])
_PLAIN: Final = _NUMBERS | {type(None)}


def _floats(values: Sequence[Any]) -> FloatArray | None:
    """NaN for what is no finite number, or beyond 32 bits; None where no value is one."""
    kinds = set(map(type, values))
    if kinds.isdisjoint(_NUMBERS):
        return None
    if not kinds <= _PLAIN:
        values = [value if type(value) in _NUMBERS else None for value in values]
    try:
        wide = np.array(values, np.float64)
    except OverflowError:  # an integer of hundreds of digits
        wide = np.array([_float(value) for value in values], np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    there = np.isfinite(narrow)
    if not there.any():
        return None
    narrow[~there] = np.nan
    return narrow


def _float(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None
