"""Numbers as short as a line has room for: counts, figures, time spans."""

import math
from typing import Final

_UNITS: Final = ((1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))


def compact(value: float, digits: int = 3) -> str:
    """A number as short as a cell of a table wants it: 0.0123, 12.3, 1,230, 12.3k, 4.56M, 1.2e-05."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if 0 < size < 1e-3:
        return f"{value:.{digits - 2}e}"
    if size < 999.5:
        return _significant(value, digits)
    if size < 9_999.5:
        return f"{value:,.0f}"
    for unit, name in _UNITS:
        if size < 999.5 * unit:
            return f"{_significant(value / unit, digits)}{name}"
    return f"{value:.1e}"


def _significant(value: float, digits: int) -> str:
    """So many digits, counted from the first that isn't 0."""
    if not value:
        return "0"
    text = f"{value:.{max(digits - 1 - math.floor(math.log10(abs(value))), 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float) -> str:
    """A time span: 45s, 3m20s, 2h05m, 3d04h."""
    if not math.isfinite(seconds) or seconds < 0:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole // 60 % 60:02d}m"
    return f"{whole // 86_400}d{whole // 3600 % 24:02d}h"


def roughly(seconds: float) -> str:
    """A time span that is only foreseen: 45 s, 12 min, 3.2 h."""
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
