"""How long a server asks to be left alone, as its answer's headers say it."""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, None if the server doesn't say (RFC 9110, section 10.2.3).

    Understands `retry-after-ms`, and `retry-after` in seconds or as an HTTP date; a date in the past
    is 0. A date is held against the server's own clock where it tells it: ours may be wrong.

    Args:
        headers: by their names in lower case, or a mapping that heeds no case.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000.0)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return max(0.0, seconds)
    moment_s, now_s = _date_s(text), _date_s(headers.get("date"))
    if moment_s is None:
        return None
    return max(0.0, moment_s - (time.time() if now_s is None else now_s))


def _number(text: str | None) -> float | None:
    """A finite number, None for anything else."""
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date_s(text: str | None) -> float | None:
    """An HTTP date in seconds since 1970, None for anything else."""
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
