"""Model text is hostile: make it harmless before a terminal, a log or a spreadsheet sees it."""

import io
import re
import unicodedata
from typing import TextIO

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
_BLANKS = " \u00a0\u3000\ufeff"
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def printable(text: str, *, limit: int | None = None) -> str:
    """`text` on one line, with control, format and bidirectional characters shown as escapes.

    Nothing in the result can move a cursor, change a colour or reorder what stands around it.
    `limit` cuts after so many characters and says so with an ellipsis.
    """
    shown = text if limit is None else text[: limit + 1]
    escaped = "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _INVISIBLE
        else char
        for char in shown
    )
    if limit is not None and len(escaped) > limit:
        return escaped[: max(limit - 1, 0)] + "…"
    return escaped


def spreadsheet_cell(text: str) -> str:
    """`text` so that no spreadsheet runs it as a formula.

    A leading apostrophe makes a text cell of it (OWASP, "CSV Injection", which counts full-width
    signs as well); plain numbers are left alone, a minus sign in front of one included.
    """
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    dangerous = text.startswith(_FORMULA_STARTS) or text.lstrip(_BLANKS).startswith(_FORMULA_STARTS)
    return f"'{text}" if dangerous else text


def never_fail_to_print(stream: TextIO) -> None:
    """From now on a character that the stream's encoding lacks is written as `?`.

    A terminal or pipe that isn't UTF-8 would otherwise end the program in the middle of its result.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
