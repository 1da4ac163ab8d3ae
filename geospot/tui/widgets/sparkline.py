"""A curve in one line of text, for tables: ▁▂▃▅▇."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

_BLOCKS: Final = np.array(list("▁▂▃▄▅▆▇█"), dtype="<U1")


def spark(values: ArrayLike, width: int) -> str:
    """`width` characters, each the mean of its part of the values; lowest ▁, highest █.

    Values that aren't finite are left out, and where a part has no others there is a blank. Fewer values
    than `width` give as many characters as there are values, blanks behind them. A constant is a line in the
    middle.
    """
    value = np.asarray(values, np.float64).ravel()
    if width < 1 or not value.size:
        return " " * max(width, 0)
    parts = min(width, value.size)
    starts = np.arange(parts) * value.size // parts
    finite = np.isfinite(value)
    count = np.add.reduceat(finite.astype(np.int64), starts)
    total = np.add.reduceat(np.where(finite, value, 0.0), starts)
    there = count > 0
    if not there.any():
        return " " * width
    mean = total[there] / count[there]
    low, high = float(mean.min()), float(mean.max())
    share = (mean - low) / (high - low) if high > low else np.full(len(mean), 0.5)
    place = np.minimum((share * len(_BLOCKS)).astype(np.int64), len(_BLOCKS) - 1)
    shown = np.full(parts, " ", dtype="<U1")
    shown[there] = _BLOCKS[place]
    return "".join(shown.tolist()).ljust(width)
