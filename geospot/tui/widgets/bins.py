"""Histograms over steps, brought to rows and columns of cells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geospot.numbertext import compact
from geospot.runs.histograms import DISTANCE_EDGES_KM, QUANTILES, Quantity
from geospot.runs.spreads import Spreads

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LINES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles that are drawn as lines."""
FIELDS: Final[Mapping[Quantity, str]] = {"reward": "reward", "distance_km": "km"}
"""What the quantities are called in a filter of rollouts."""
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class BinRow:
    """A row of cells: bins `start` to `end` (exclusive) of a histogram, from `low` to `high`."""

    start: int
    end: int
    low: float
    high: float
    label: str
    """What stands at the axis."""
    name: str
    """What it is in a sentence."""
    query: str
    """The filter of rollouts that finds exactly what is counted here."""


@dataclass(frozen=True, slots=True, eq=False)
class Binned:
    """Histograms of S steps in C columns of the same number of steps each, and R rows from the top.

    `counts_C_R` are rollouts; `quantiles_C_Q` are those of LINES, the mean over a column's steps, NaN where
    it has none.
    """

    first: int
    """The first step of the first column."""
    last: int
    """The last step in sight."""
    stride: int
    """Steps in a column."""
    rows: Sequence[BinRow]
    counts_C_R: IntArray
    quantiles_C_Q: FloatArray
    has_steps_C: NDArray[np.bool_]
    best_is_high: bool
    """Whether values grow upwards in a row."""

    def steps_of(self, column: int) -> tuple[int, int]:
        """First and last step of a column."""
        low = self.first + column * self.stride
        return low, min(low + self.stride - 1, self.last)

    def column_of(self, step: int) -> int:
        """The column that a step is in, within what there is."""
        return min(max((step - self.first) // self.stride, 0), max(len(self.counts_C_R) - 1, 0))

    @property
    def share_C_R(self) -> FloatArray:
        """Share of a column's rollouts in each of its cells."""
        total_C = np.maximum(self.counts_C_R.sum(axis=1, keepdims=True), 1)
        return self.counts_C_R / total_C

    def place(self, value_N: "NDArray[Any]") -> FloatArray:
        """Where values stand, in rows from the top of the first one, continuously; NaN stays NaN."""
        value = np.asarray(value_N, np.float64)
        place = np.full(value.shape, np.nan)
        for row, one in enumerate(self.rows):
            inside = (value >= one.low) & (value <= one.high) & np.isnan(place)
            if math.isinf(one.low) or math.isinf(one.high) or one.high == one.low:
                place[inside] = row + 0.5
                continue
            share = (value[inside] - one.low) / (one.high - one.low)
            place[inside] = row + (1 - share if self.best_is_high else share)
        return place


def rows_of(spreads: Spreads, quantity: Quantity, most: int) -> list[BinRow]:
    """Rows from the top, the best ones first and failures last, at most `most` (where that is 3 or more).

    What is beyond the other bins has a row where there is any of it.
    """
    edges, inner = spreads.edges, len(spreads.edges) - 1
    below, above = _outer_rows(edges, quantity, inner)
    outer = [
        row
        for row in (below, above)
        if row.label == FAILED or spreads.counts_S_B[:, row.start].any()
    ]
    each = _bins_a_row(inner, max(most - len(outer), 1), rather_even=quantity == "reward")
    groups = [(start, min(start + each, inner)) for start in range(0, inner, each)]
    rows = [_inner_row(edges, quantity, *group) for group in groups]
    ascending = [*(r for r in outer if r is below), *rows, *(r for r in outer if r is above)]
    return ascending[::-1] if quantity == "reward" else ascending


def _bins_a_row(bins: int, most: int, *, rather_even: bool) -> int:
    """How many bins share a row: the fewest that fit, or that divide them evenly into round values."""
    fewest = math.ceil(bins / most)
    even = next(each for each in range(fewest, bins + 1) if bins % each == 0)
    return even if rather_even and even <= 2 * fewest else fewest


def _inner_row(edges: Sequence[float], quantity: Quantity, start: int, end: int) -> BinRow:
    low, high = edges[start], edges[end]
    field = FIELDS[quantity]
    closed = "<=" if end == len(edges) - 1 else "<"
    query = f"{field}>={low:.10g} {field}{closed}{high:.10g}"
    if quantity == "reward":
        label, name = f"{low:.3g}", f"reward {low:.3g} to {high:.3g}"
    else:
        label, name = f"<{_km(high)}", f"{_km(low)} to {_km(high)} km"
    return BinRow(start + 1, end + 1, low, high, label, name, query)


def _outer_rows(edges: Sequence[float], quantity: Quantity, inner: int) -> tuple[BinRow, BinRow]:
    """What is below the first edge and what is above the last; one of them is failures, with our own bins."""
    low, high, field = edges[0], edges[-1], FIELDS[quantity]
    text = _km if quantity == "distance_km" else "{:.3g}".format
    unit = " km" if quantity == "distance_km" else ""
    below, above = f"{field}<{low:.10g}", f"{field}>{high:.10g}"
    labels, names = [f"<{text(low)}", f">{text(high)}"], [f"{below}{unit}", f"{above}{unit}"]
    if quantity == "reward" and low == 0:
        labels[0], names[0] = FAILED, "failures"
    if quantity == "distance_km" and high >= DISTANCE_EDGES_KM[-1]:
        labels[1], names[1] = FAILED, "failures"
    return (
        BinRow(0, 1, -math.inf, low, labels[0], names[0], below),
        BinRow(inner + 1, inner + 2, high, math.inf, labels[1], names[1], above),
    )


def _km(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else compact(value)


def bin_steps(
    spreads: Spreads, rows: Sequence[BinRow], columns: int, window: tuple[int, int] | None = None
) -> Binned:
    """Brings histograms to at most `columns` columns.

    Args:
        window: from which step to which (both included); all by default.
    """
    steps = spreads.steps_S
    first, last = window or ((int(steps[0]), int(steps[-1])) if len(steps) else (0, 0))
    stride = max(math.ceil((last - first + 1) / max(columns, 1)), 1)
    count = max(math.ceil((last - first + 1) / stride), 1)
    bounds = np.searchsorted(steps, first + stride * np.arange(count + 1))
    held_C = np.diff(bounds)
    there = np.flatnonzero(held_C)
    counts_C_R = np.zeros((count, len(rows)), np.int64)
    quantiles_C_Q = np.full((count, len(LINES)), np.nan)
    if len(there):
        part = slice(int(bounds[0]), int(bounds[-1]))
        starts = bounds[there] - bounds[0]
        # One sum after the other: of a million steps numpy's reduceat takes seven times as long.
        ends = bounds[there + 1]
        counts = [spreads.counts_S_B[a:b] for a, b in zip(bounds[there], ends, strict=True)]
        sums_K_B = np.array([one.sum(axis=0, dtype=np.int64) for one in counts])
        for place, row in enumerate(rows):
            counts_C_R[there, place] = sums_K_B[:, row.start : row.end].sum(axis=1)
        wanted = [QUANTILES.index(line) for line in LINES]
        quantiles_C_Q[there] = _means(spreads.quantiles_S_Q[part][:, wanted], starts)
    best_is_high = len(rows) > 1 and rows[0].low > rows[-1].low
    return Binned(first, last, stride, rows, counts_C_R, quantiles_C_Q, held_C > 0, best_is_high)


def mean_by_column(binned: Binned, steps_S: "NDArray[Any]", value_S: "NDArray[Any]") -> FloatArray:
    """The mean of values at steps in each column, NaN where there are none."""
    count = len(binned.counts_C_R)
    bounds = np.searchsorted(steps_S, binned.first + binned.stride * np.arange(count + 1))
    there = np.flatnonzero(np.diff(bounds))
    mean_C = np.full(count, np.nan)
    if len(there):
        part = slice(int(bounds[0]), int(bounds[-1]))
        mean_C[there] = _means(value_S[part][:, None], bounds[there] - bounds[0])[:, 0]
    return mean_C


def _means(value_S_Q: "NDArray[Any]", starts: IntArray) -> FloatArray:
    """Means of stretches of rows; what is no number is left out."""
    finite = np.isfinite(value_S_Q)
    total = np.add.reduceat(np.where(finite, value_S_Q, 0).astype(np.float64), starts, axis=0)
    count = np.add.reduceat(finite.astype(np.int64), starts, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def step_counts(spreads: Spreads, rows: Sequence[BinRow], step: int) -> IntArray | None:
    """A step's rollouts in each row, None where the step has no histogram."""
    place = spreads.place(step)
    if place is None:
        return None
    counts_B = spreads.counts_S_B[place].astype(np.int64)
    return np.array([counts_B[row.start : row.end].sum() for row in rows])
