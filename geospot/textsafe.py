"""Model text is hostile: make it harmless before a terminal, a log or a spreadsheet sees it."""

import errno
import io
import os
import re
import unicodedata
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
_BLANKS = " \u00a0\u3000\ufeff"
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_USER = re.compile(
    r"^([a-z][a-z0-9+.-]*://)?(?:[^/?#]*@|[^/?#\[:]*:(?!\d*(?:[/?#]|$)).*@)",
    re.IGNORECASE | re.DOTALL,
)
"""Up to the @ of an address: either where a host is, or behind a colon that no port follows. That is a
password in which a sign should have been escaped: /, ? or #."""


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


def shown_url(url: str) -> str:
    """An address without user, password, query and fragment: each of them may hold a key."""
    return re.split(r"[?#]", _USER.sub(r"\1", url), maxsplit=1)[0]


def spreadsheet_cell(text: str) -> str:
    """`text` so that no spreadsheet runs it as a formula.

    A leading apostrophe makes a text cell of it (OWASP, "CSV Injection", which counts full-width
    signs as well); plain numbers are left alone, a minus sign in front of one included.
    """
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    dangerous = text.startswith(_FORMULA_STARTS) or text.lstrip(_BLANKS).startswith(_FORMULA_STARTS)
    return f"'{text}" if dangerous else text


def is_utf8(name: str) -> bool:
    """Whether a file's name is text, and can be an id; on Linux a name may be any bytes."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def never_fail_to_print(stream: TextIO) -> None:
    """From now on a character that the stream's encoding lacks is written as `?`.

    A terminal or pipe that isn't UTF-8 would otherwise end the program in the middle of its result.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def outliving(stream: TextIO) -> TextIO:
    """The stream; one to a terminal drops what is written after the terminal has gone.

    What is under way has to be finished and saved all the same, and there is nobody to be told. One that has
    no buffer (PYTHONUNBUFFERED) gets one: Python says nothing there of what a full disk didn't take.
    """
    if not stream.isatty() and not isinstance(getattr(stream, "buffer", None), io.RawIOBase):
        return stream
    kind = _Terminal if stream.isatty() else io.FileIO
    buffer = io.BufferedWriter(kind(stream.fileno(), "wb", closefd=False))
    return io.TextIOWrapper(
        buffer, encoding=stream.encoding, errors=stream.errors, line_buffering=True
    )


class _Terminal(io.FileIO):
    """A terminal that may go: from then on its descriptor leads nowhere."""

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return super().write(data)
