"""A curve in one line of text, for tables: ▁▂▃▅▇."""

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BLOCKS: Final = np.array(list("▁▂▃▄▅▆▇█"), dtype="<U1")
_MANY: Final = 10_000


def spark(values: ArrayLike, width: int) -> str:
    """`width` characters, each the mean of its part of the values; lowest ▁, highest █.

    Values that aren't finite are left out, and where a part has no others there is a blank. Fewer values
    than `width` give as many characters as there are values, blanks behind them. A constant is a line in the
    middle.
    """
    value = np.asarray(values).ravel()
    if width < 1 or not value.size:
        return " " * max(width, 0)
    parts = min(width, value.size)
    mean = _means(value, np.arange(parts) * value.size // parts)
    there = np.isfinite(mean)
    if not there.any():
        return " " * width
    mean = mean[there]
    low, high = float(mean.min()), float(mean.max())
    share = (mean - low) / (high - low) if high > low else np.full(len(mean), 0.5)
    place = np.minimum((share * len(_BLOCKS)).astype(np.int64), len(_BLOCKS) - 1)
    shown = np.full(parts, " ", dtype="<U1")
    shown[there] = _BLOCKS[place]
    return "".join(shown.tolist()).ljust(width)


def _means(value_N: "NDArray[Any]", starts: "NDArray[np.int64]") -> "NDArray[np.float64]":
    """The mean of the finite values of each part, NaN where a part has none.

    Of many values no copy is made, part by part; of few, all parts at once are faster.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if len(value_N) > _MANY:
            parts = np.split(value_N, starts[1:])
            finite = [np.isfinite(part) for part in parts]
            pairs = zip(parts, finite, strict=True)
            sums = [
                part.sum(dtype=np.float64, where=True if there.all() else there)
                for part, there in pairs
            ]
            return np.array(sums) / [np.count_nonzero(there) for there in finite]
        value = np.asarray(value_N, np.float64)
        finite_N = np.isfinite(value)
        total = np.add.reduceat(np.where(finite_N, value, 0.0), starts)
        return total / np.add.reduceat(finite_N.astype(np.int64), starts)
