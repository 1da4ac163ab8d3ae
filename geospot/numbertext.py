"""Numbers as short as a line has room for: counts, figures, time spans."""

import math
from typing import Final

_UNITS: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def compact(value: float, digits: int = 3) -> str:
    """A number as short as a cell of a table wants it: 0.0123, 12.3, 1,230, 12.3k, 4.56M, 1.2e-05."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 10_000:
        unit, name = next((u, n) for u, n in _UNITS if size >= u)
        if size < 1e16:
            return f"{_significant(value / unit, digits)}{name}"
        return f"{value:.1e}"
    if size and size < 1e-3:
        return f"{value:.{digits - 2}e}"
    return f"{value:,.0f}" if size >= 1000 else _significant(value, digits)


def _significant(value: float, digits: int) -> str:
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    text = f"{value:.{max(digits - whole, 0)}f}"
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
