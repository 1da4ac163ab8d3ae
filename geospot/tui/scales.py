"""Scales of charts: where a value stands on a line of dots, and which values are written beside it."""

import math
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
N = TypeVar("N", int, float)

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_FAR: Final = 0.5


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high` over `size` dots, linear or logarithmic; `low` < `high`, both > 0 on a log one."""

    low: float
    high: float
    size: int
    log: bool = False

    @classmethod
    def over(cls, values: "NDArray[Any]", size: int, *, log: bool = False) -> "Scale":
        """A scale that shows all finite values (on a log scale: all above 0) with a little room around."""
        finite = np.asarray(values, np.float64)
        finite = finite[np.isfinite(finite) & ((finite > 0) if log else True)]
        if not finite.size:
            return cls(1.0, 10.0, size, log) if log else cls(0.0, 1.0, size, log)
        low, high = float(finite.min()), float(finite.max())
        if log:
            room = max((high / low) ** 0.03, 1.05)
            return cls(low / room, high * room, size, log)
        if low == high == 0:  # a count or a share that has been nothing so far
            return cls(-0.04, 1.0, size, log)
        room = (high - low) * 0.04 or abs(high) * 0.1
        return cls(low - room, high + room, size, log)

    def place(self, value_N: Any) -> FloatArray:
        """Position of values in dots: 0 is `low`, size − 1 is `high`; NaN where a value has none."""
        value = np.asarray(value_N, np.float64)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return np.where(np.isfinite(share), share * (self.size - 1), np.nan)

    def value(self, place: float) -> float:
        """The value at a position in dots; inverse of `place`."""
        share = place / max(self.size - 1, 1)
        if self.log:
            return self.low * (self.high / self.low) ** share
        return self.low + share * (self.high - self.low)

    def ticks(self, most: int) -> list[float]:
        """Round values within the scale, at most `most` of them, ascending."""
        if most < 1 or not (math.isfinite(self.low) and math.isfinite(self.high)):
            return []
        if self.log and self.high / self.low >= 10:
            return _log_ticks(self.low, self.high, most)
        return _linear_ticks(self.low, self.high, most)


def without_outliers(value_N: "NDArray[Any]", *, log: bool = False) -> FloatArray:
    """The values without the few that lie far above or below all others; finite ones, above 0 for `log`.

    Far is more than half the distance from the 5% to the 95% quantile beyond either.
    """
    value_N = np.asarray(value_N, np.float64)
    if not value_N.size:
        return value_N
    place_N = np.log(value_N) if log else value_N
    low, high = np.quantile(place_N, (0.05, 0.95))
    room = _FAR * (high - low)
    return value_N[(place_N >= low - room) & (place_N <= high + room)]


def moved_within(low: N, high: N, first: N, last: N) -> tuple[N, N] | None:
    """What is seen from `low` to `high`, moved to lie between `first` and `last`; None where it is all."""
    width = high - low
    if width >= last - first:
        return None
    low = min(max(low, first), last - width)
    return low, low + width


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (*_STEPS, 20.0) if s * power >= rough)
    first = math.ceil(low / step - 1e-9)
    digits = max(12, 3 - math.floor(math.log10(step)))  # enough for steps of any size
    ticks = [round(n * step, digits) for n in range(first, first + most + 1)]
    return [tick for tick in ticks if low <= tick <= high][:most]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        ticks = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(ticks) <= most:
            return ticks
    stride = math.ceil(len(powers) / most)
    return [10.0**p for p in powers if not p % stride and low <= 10.0**p <= high][:most]
