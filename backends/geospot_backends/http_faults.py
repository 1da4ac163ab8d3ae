"""What an HTTP failure means for a run: slow down, try again, give up on this sample, or stop."""

import email.utils
import time
from collections.abc import Mapping
from typing import Any, Final

from geospot.evaluation.backend import BackendFault, FaultKind

RATE_LIMIT_STATUSES: Final = frozenset([429, 503, 529])
"""Too many requests, unavailable, overloaded: the server asks for less, not for another try."""

_TRANSIENT_CLIENT_STATUSES: Final = frozenset([408, 409, 425])
_FILTER_CODES: Final = (
    "content_filter",
    "content_policy",
    "moderation",
    "safety",
    "responsibleai",
)
_IMAGE_CODES: Final = (
    "invalid_image",
    "image_parse",
    "image_too",
    "invalid_base64",
    "unsupported_image",
    "image_content",
)
_QUOTA_CODES: Final = ("insufficient_quota", "billing", "credit")


def retry_after_s(headers: Mapping[str, str], *, now_s: float | None = None) -> float | None:
    """Seconds to wait as the server says it, None if it doesn't (RFC 9110, section 10.2.3).

    Understands `retry-after-ms`, and `Retry-After` in seconds or as an HTTP date; a date in the past
    is 0.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000.0)
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - (time.time() if now_s is None else now_s))


def status_fault(status: int, headers: Mapping[str, str], message: str) -> BackendFault:
    """The fault of a request that was answered with an HTTP error."""
    kind: FaultKind
    if status in RATE_LIMIT_STATUSES:
        kind = "rate_limit"
    elif status >= 500 or status in _TRANSIENT_CLIENT_STATUSES:
        kind = "transient"
    else:
        kind = "permanent"
    return BackendFault(
        kind, f"HTTP {status}: {message}", retry_after_s=retry_after_s(headers), label=str(status)
    )


def is_content_filter(status: int, body: Any) -> bool:
    """Whether an error says that a filter declined the request: that is a refusal, not a fault."""
    return status in (400, 403, 451) and _says(body, _FILTER_CODES)


def is_image_problem(status: int, body: Any) -> bool:
    """Whether the server says that it can't use this image."""
    return status == 413 or (status in (400, 415, 422) and _says(body, _IMAGE_CODES))


def is_out_of_credit(status: int, body: Any) -> bool:
    """Whether no request will work until somebody pays: waiting for it would stall the run."""
    return status == 402 or (status == 429 and _says(body, _QUOTA_CODES))


def _says(body: Any, needles: tuple[str, ...]) -> bool:
    """Whether code, type or message of an error body holds one of the words."""
    if not isinstance(body, Mapping):
        return False
    error: Any = body.get("error", body)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(error, Mapping):
        return False
    said = " ".join(str(error.get(key, "")) for key in ("code", "type", "message")).lower()  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    said = said.replace(" ", "_").replace("-", "_")
    return any(needle in said for needle in needles)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
