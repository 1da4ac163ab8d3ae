"""What an HTTP failure means for a run: slow down, try again, give up on this sample, or stop."""

from collections.abc import Mapping
from typing import Any, Final, cast

from geospot.evaluation.backend import BackendFault, FaultKind
from geospot.retry_after import retry_after_s

RATE_LIMIT_STATUSES: Final = frozenset([429, 503, 529])
"""Too many requests, unavailable, overloaded: the server asks for less, not for another try."""

_TRANSIENT_CLIENT_STATUSES: Final = frozenset([408, 409, 425])
_FILTER_CODES: Final = ("content_filter", "content_policy", "moderation", "responsibleai")
_IMAGE_CODES: Final = (
    *("invalid_image", "image_parse", "image_too", "invalid_base64", "unsupported_image"),
    "image_content",
)
_IMAGE_MESSAGES: Final = ("cannot identify image file", "image file is truncated")
"""What vLLM and its kind say, through Pillow, without a code of their own."""
_QUOTA_CODES: Final = ("insufficient_quota", "billing_hard_limit", "billing_not_active")


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
    return status in (400, 403, 451) and (
        _code_has(body, _FILTER_CODES) or _was_flagged(_error(body))
    )


def is_image_problem(status: int, body: Any) -> bool:
    """Whether the server says that it can't use this image."""
    if status not in (400, 415, 422):
        return status == 413
    message = str(_error(body).get("message", "")).lower()
    return _code_has(body, _IMAGE_CODES) or any(text in message for text in _IMAGE_MESSAGES)


def is_out_of_credit(status: int, headers: Mapping[str, str], body: Any) -> bool:
    """Whether no request will work until somebody pays: waiting for it would stall the run.

    A server that says when to come back means a rate limit, whatever words it uses.
    """
    if status == 429:
        return retry_after_s(headers) is None and _code_has(body, _QUOTA_CODES)
    return status == 402


def _error(body: Any) -> Mapping[str, Any]:
    """The error object of a body; servers wrap it in `error` or don't."""
    outer = _mapping(body)
    return _mapping(outer.get("error", outer))


def _mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else dict[str, Any]()


def _code_has(body: Any, needles: tuple[str, ...]) -> bool:
    """Whether a code or type of the error holds one of the words.

    Only these fields: a message is prose, and may name a parameter `safety_settings` or a link to
    the billing page without meaning what the words mean.
    """
    error = _error(body)
    codes = (error.get("code"), error.get("type"), _mapping(error.get("innererror")).get("code"))
    said = " ".join(map(str, codes))
    said = said.lower().replace(" ", "_").replace("-", "_")
    return any(needle in said for needle in needles)


def _was_flagged(error: Mapping[str, Any]) -> bool:
    """OpenRouter's moderation: the reasons stand in the metadata."""
    return "flagged_input" in _mapping(error.get("metadata"))
