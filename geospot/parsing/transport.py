"""Texts of servers, proxies and client libraries that were stored as if a model had written them."""

import re
from typing import Final

_FAULT = (
    r"(?:time[d ]?-?out|connection|connect|rate.?limit|quota|overload|unavailable"
    r"|unauthori[sz]ed|forbidden"
    r"|invalid|api|server|gateway|http|status|network|socket|ssl|certificate|exception|failed|denied"
    r"|context length|too many|[45]\d\d\b(?!\s*(?:k?m|mi|miles)\b))"
)
_STATUS = (
    r"(?:bad request|unauthorized|payment required|forbidden|not found|request time-?out"
    r"|payload too large"
    r"|request entity too large|unprocessable (?:entity|content)|too many requests"
    r"|internal server error"
    r"|bad gateway|service (?:temporarily )?unavailable|gateway time-?out|client error|server error)"
)
_VERBOSE_FAULT = _FAULT.replace(" ", r"\ ")
_VERBOSE_STATUS = _STATUS.replace(" ", r"\ ")
_TRANSPORT: Final = re.compile(
    rf"""
    \s*+(?:```\w*\s*+)?["']?(?:
      <!doctype\s+html | <html\b | <\?xml\b[^>]{{0,80}}>\s*<error | <head\b
    | error\ code:\s*\d{{3}} | (?:http\s*)?error\s*[:#]?\s*[45]\d\d\b(?!\s*(?:k?m|mi|miles)\b)
    | http/\d(?:\.\d)?\s+\d{{3}} | http\ (?:status\ )?[45]\d\d\b
    | (?:status(?:\ code)?:?\s*)?[45]\d\d\s*(?:[:,-]\s*)?{_VERBOSE_STATUS}
    | {_VERBOSE_STATUS}\s*[.:]?\s*\Z
    | (?:(?:the|api|upstream)\s)?(?:request|read|connection|gateway|operation)\s
      (?:has\s)?time(?:d\s)?-?out
    | connection\ (?:error|refused|reset|aborted|closed) | upstream\ connect\ error | no\ healthy\ upstream
    | traceback\ \(most\ recent\ call\ last\)
    | (?:\w{{1,40}}\.){{1,6}}\w{{0,60}}?(?-i:Error|Exception|Timeout)[:(]
    | (?-i:[A-Z]\w{{1,60}}?(?:Error|Exception|Timeout))[:(] | timeout(?:error)?\s*:
    | (?:error|fatal|exception)\s*[:(][^\n]{{0,60}}?{_VERBOSE_FAULT}
    | failed\ to\ (?:connect|fetch|send|reach|load|get|parse)\b
    | (?:the\ )?request\b[^\n]{{0,40}}\ failed\b
    | \[errno\ -?\d+\] | curl:\ \(\d+\) | max\ retries\ exceeded | https?connectionpool
    | (?:the\ )?(?:server|model|service)\ (?:is\ (?:currently\ )?)?(?:overloaded|unavailable|had\ an\ error)
    | rate\ limit\ (?:exceeded|reached) | you\ exceeded\ your\ current\ quota
    | incorrect\ api\ key | invalid\ api\ key
    | data:\s*\{{\s*"error"
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ERROR_OBJECT: Final = re.compile(r"\s*+(?:```\w*\s*+)?\{\s*[\"']?errors?[\"']?\s*:")
_TRACEBACK: Final = re.compile(r"^Traceback \(most recent call last\):\n +File ", re.MULTILINE)


def is_transport_text(text: str) -> bool:
    """Whether `text` begins like a fault of the way to the model rather than like its answer."""
    return _TRANSPORT.match(text) is not None or (
        "Traceback (" in text and _TRACEBACK.search(text) is not None
    )


def begins_error_object(text: str) -> bool:
    """Whether `text` begins like a JSON error, for one that is too broken to be read."""
    return _ERROR_OBJECT.match(text) is not None
