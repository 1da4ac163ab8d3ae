"""Whether a figure stays flat over a long run: noise is not taken for growth, nor growth for noise.

Two things are looked at in the later half of the work, when caches that have a bound are full:

- `ratio`: median of its last fifth beside that of its first.
- `growth`: the slope of a line through the medians of ten blocks, over the half and as a share of the level;
  with half the width of its 95% interval, from how far the medians lie off the line.

It isn't flat if the ratio is beyond 1 + limit, or if the whole interval of the growth is beyond the limit.
The second tenth of the whole is told as well: what came on top until the middle is what caches hold.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BLOCKS: Final = 10
_STUDENT_T: Final = 2.306
"""Of 8 degrees of freedom, which ten blocks leave, at 95%."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flatness:
    """A figure's way through a long run."""

    name: str
    limit: float
    second: float
    """Median of the second tenth, in the figure's unit; those of the sixth and the last follow."""
    middle: float
    last: float
    growth: float
    """Over the later half, as a share of its level."""
    error: float

    @property
    def ratio(self) -> float:
        """The last tenth beside the sixth; 1 where both are nothing."""
        return self.last / self.middle if self.middle else 1.0 + self.last

    @property
    def is_flat(self) -> bool:
        """Whether neither says that it grows."""
        return self.ratio <= 1.0 + self.limit and self.growth - self.error <= self.limit

    def __str__(self) -> str:
        return (
            f"{self.name} {self.second:.4g} → {self.middle:.4g} → {self.last:.4g} (×{self.ratio:.3f}, "
            f"{self.growth:+.1%} ± {self.error:.1%})"
        )


def flatness(name: str, done_N: Floats, value_N: Floats, *, limit: float) -> Flatness:
    """Judges one figure.

    Args:
        done_N: share of the work that was done when it was looked at, from 0 to 1, rising.
        value_N: the figure then.
        limit: how much it may grow, as a share.

    Raises:
        ValueError: a part of the run in which it was never looked at.
    """
    half = [_median(done_N, value_N, 0.5 + at / 20, 0.55 + at / 20) for at in range(_BLOCKS)]
    blocks_B, at_B = np.array(half), np.arange(_BLOCKS) / (_BLOCKS - 1)
    slope, level = np.polyfit(at_B, blocks_B, 1)
    off_B = blocks_B - (slope * at_B + level)
    spread = np.sqrt(np.sum(off_B**2) / (_BLOCKS - 2) / np.sum((at_B - at_B.mean()) ** 2))
    mean = float(blocks_B.mean()) or 1.0
    return Flatness(
        name,
        limit,
        _median(done_N, value_N, 0.1, 0.2),
        _median(done_N, value_N, 0.5, 0.6),
        _median(done_N, value_N, 0.9, 1.0),
        float(slope) / mean,
        float(_STUDENT_T * spread) / mean,
    )


def _median(done_N: Floats, value_N: Floats, first: float, last: float) -> float:
    inside_N = (done_N >= first) & (done_N <= last)
    if not inside_N.any():
        raise ValueError(f"Nobody looked between {first:.0%} and {last:.0%} of the work.")
    return float(np.median(value_N[inside_N]))
