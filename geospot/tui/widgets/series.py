"""Curves as arrays: what is finite in them, smoothed, and reduced to what a column of dots can show."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_BLOCK: Final = 64
_NEGLIGIBLE: Final = 1e-6
_LARGEST_32: Final = 1e30
"""Sums of what is larger might be beyond 32 bits."""
_SAMPLED: Final = 4096


@dataclass(frozen=True, eq=False)
class Series:
    """One curve of N points, in the order of x.

    Values that aren't finite are left out and counted. `low_N` and `high_N` are a band around the curve,
    such as two quantiles. Nothing in it is to be written to.
    """

    name: str
    x_N: "NDArray[Any]"
    y_N: "NDArray[Any]"
    low_N: "NDArray[Any] | None" = None
    high_N: "NDArray[Any] | None" = None

    def __len__(self) -> int:
        """Points, those that aren't finite included."""
        return len(self.x_N)

    @cached_property
    def not_finite(self) -> int:
        """How many values can't be drawn."""
        return len(self) - int(np.count_nonzero(np.isfinite(self.y_N)))

    @cached_property
    def not_positive(self) -> int:
        """How many values a log axis leaves out."""
        return int(np.count_nonzero(self.y_N <= 0))

    @cached_property
    def widest_step(self) -> float:
        """Distance in x beyond which two neighbours are not joined.

        Where points come at a regular distance, anything wider is a gap; where they don't (wall time), only
        what is far wider than usual.
        """
        if len(self) < 3:
            return np.inf
        place = np.arange(0, len(self) - 1, max(1, len(self) // _SAMPLED))
        between = np.asarray(self.x_N[place + 1] - self.x_N[place], np.float64)
        usual, wide = np.quantile(between, (0.5, 0.9))
        return float(1.5 * wide if wide == usual else 4 * wide)

    def smoothed(self, weight: float) -> "NDArray[Any]":
        """The values smoothed exponentially; remembered for the last weight asked for."""
        if not weight:
            return self.y_N
        known: tuple[float, NDArray[Any]] | None = self.__dict__.get("_smoothed")
        if known is None or known[0] != weight:
            known = (weight, smooth(self.y_N, weight))
            self.__dict__["_smoothed"] = known
        return known[1]

    def nearest(self, x: float) -> int | None:
        """Index of the finite point that is nearest to x."""
        if not len(self):
            return None
        place = int(np.searchsorted(self.x_N, x))
        near = (_finite_from(self.y_N, place - 1, -1), _finite_from(self.y_N, place, 1))
        there = [point for point in near if point is not None]
        return min(there, key=lambda p: abs(float(self.x_N[p]) - x), default=None)

    def read(self, x: float) -> "Reading | None":
        """The value at x or at the point next to it; None where the curve has a gap or doesn't reach."""
        place = self.nearest(x)
        if place is None or abs(float(self.x_N[place]) - x) > self.widest_step:
            return None
        return Reading(float(self.x_N[place]), float(self.y_N[place]), float(self.x_N[place]) == x)

    def latest(self) -> float | None:
        """The last finite value."""
        place = _finite_from(self.y_N, len(self) - 1, -1)
        return None if place is None else float(self.y_N[place])


@dataclass(frozen=True, slots=True)
class Reading:
    """What a curve says at an x: the point's own x, its value, and whether that is where it was asked."""

    x: float
    value: float
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Reduced:
    """A curve reduced to K columns of dots that hold a point: NaN where all of a column's are left out.

    `joined_K` says whether a column's first point is joined with the last one of the column before.
    """

    column_K: NDArray[np.int64]
    low_K: FloatArray
    high_K: FloatArray
    first_K: FloatArray
    last_K: FloatArray
    joined_K: BoolArray


def reduce(
    x_N: "NDArray[Any]", y_N: "NDArray[Any]", edges: FloatArray, widest_step: float, *, log: bool
) -> Reduced:
    """Lowest, highest, first and last value of the points in each column, from W + 1 `edges` in x.

    One point more on each side is taken along, in columns outside, so that lines reach the border. Costs one
    pass over the points in sight.
    """
    # Of whole numbers the first at or beyond an edge is the first at or beyond the next whole one; asked with
    # an edge that is none, numpy would turn all of them into floats first.
    whole = np.issubdtype(x_N.dtype, np.integer) and np.abs(edges).max(initial=0) < 2**62
    asked = np.ceil(edges).astype(x_N.dtype) if whole else edges
    inside = np.searchsorted(x_N, asked, side="left")
    start, end = max(int(inside[0]) - 1, 0), min(int(inside[-1]) + 1, len(x_N))
    bounds = np.unique(np.concatenate([[start], inside, [end]]))
    starts = bounds[:-1]
    if start >= end:
        nothing = np.empty(0)
        none = np.empty(0, np.int64)
        return Reduced(none, nothing, nothing, nothing, nothing, np.empty(0, np.bool_))
    y = np.asarray(y_N[start:end])
    y = y if y.dtype.kind == "f" else y.astype(np.float64)
    with np.errstate(invalid="ignore"):
        there = (y > 0) & (y < np.inf) if log else np.isfinite(y)
    if not there.all():
        y = np.where(there, y, y.dtype.type(np.nan))
    here, ends = starts - start, bounds[1:] - start - 1
    x_first, x_last = x_N[starts], x_N[bounds[1:] - 1]
    width = (edges[-1] - edges[0]) / (len(edges) - 1)
    column = np.floor((np.asarray(x_first, np.float64) - edges[0]) / width).astype(np.int64)
    far = np.concatenate([[True], np.asarray(x_first[1:] - x_last[:-1], np.float64) > widest_step])
    first, last = y[here].astype(np.float64), y[ends].astype(np.float64)
    torn = np.isnan(first) | np.isnan(np.concatenate([[np.nan], last[:-1]]))
    return Reduced(
        column,
        np.fmin.reduceat(y, here).astype(np.float64),
        np.fmax.reduceat(y, here).astype(np.float64),
        first,
        last,
        ~(far | torn),
    )


def smooth(y_N: "NDArray[Any]", weight: float) -> "NDArray[Any]":
    """Exponential smoothing: each value is the mean of all up to it, weighted by `weight` to the distance.

    Values that aren't finite weigh nothing and stay NaN. It goes by blocks, and in 32 bits where those
    are all that is known, so that a million values take ten milliseconds.
    """
    y = np.asarray(y_N)
    if y.dtype != np.float32 or np.abs(y).max(initial=0) > _LARGEST_32:
        y = y.astype(np.float64)
    if not 0 < weight < 1 or not len(y):
        return y
    finite = np.isfinite(y)
    if finite.all():
        # The weights' sum is known, and soon no longer grows.
        weights = np.full(len(y), 1 / (1 - weight), y.dtype)
        growing = min(len(y), int(np.log(_NEGLIGIBLE**2) / np.log(weight)) + 1)
        weights[:growing] *= 1 - weight ** np.arange(1, growing + 1)
        return _decayed(y, weight) / weights
    total = _decayed(np.where(finite, y, y.dtype.type(0)), weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(finite, total / _decayed(finite.astype(y.dtype), weight), np.nan)


def _decayed(value_N: "NDArray[Any]", weight: float) -> "NDArray[Any]":
    """Sum of all values up to each, weighted by `weight` to the distance."""
    blocks = -(-len(value_N) // _BLOCK)
    value_B_K = np.zeros((blocks, _BLOCK), value_N.dtype)
    value_B_K.ravel()[: len(value_N)] = value_N
    apart = np.arange(_BLOCK)[None, :] - np.arange(_BLOCK)[:, None]
    weights_K_K = np.where(apart >= 0, weight ** np.maximum(apart, 0), 0.0).astype(value_N.dtype)
    sum_B_K = value_B_K @ weights_K_K
    # What comes from blocks before: their last sums, decayed by whole blocks, added up by doubling.
    carried_B = np.concatenate([[0.0], sum_B_K[:-1, -1].astype(np.float64)])
    decay, apart_blocks = weight**_BLOCK, 1
    while apart_blocks < blocks and decay > _NEGLIGIBLE:
        carried_B[apart_blocks:] += decay * carried_B[:-apart_blocks]
        decay, apart_blocks = decay * decay, apart_blocks * 2
    fading_K = (weight ** np.arange(1, _BLOCK + 1)).astype(value_N.dtype)
    sum_B_K += np.outer(carried_B.astype(value_N.dtype), fading_K)
    return sum_B_K.ravel()[: len(value_N)]


def _finite_from(y_N: "NDArray[Any]", place: int, direction: int) -> int | None:
    """Index of the first finite value from a place on, in a direction."""
    while 0 <= place < len(y_N):
        part = y_N[place : place + 256] if direction > 0 else y_N[max(0, place - 255) : place + 1]
        there = np.flatnonzero(np.isfinite(part))
        if len(there):
            return (
                place + int(there[0]) if direction > 0 else place - len(part) + 1 + int(there[-1])
            )
        place += 256 * direction
    return None
