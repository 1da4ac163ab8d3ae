"""Whether the terminal's background is dark: asked of the terminal, or else taken from the environment.

The question (OSC 11) is followed by one that every terminal answers (DA1), so that the wait is no longer
than the way there and back, whatever the terminal knows. It is asked before the app reads keys, and keys
that are typed meanwhile are handed on.
"""

import os
import re
import select
import sys
import termios
import time
import tty
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from textual.events import Key
from textual.keys import KEY_NAME_REPLACEMENTS

_QUESTION: Final = b"\x1b]11;?\x1b\\\x1b[c"
_COLOUR: Final = re.compile(
    rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})"
    rb"(?:/[0-9a-fA-F]{1,4})?(?:\x07|\x1b\\)"
)
_LAST: Final = re.compile(rb"\x1b\[\?[\d;]*c")
_WITHIN_S: Final = 0.15
_WITHIN_REMOTE_S: Final = 0.6
"""Over SSH the answer has a way to go; one that comes when nobody waits any more would be taken for keys."""
_REST_WITHIN_S: Final = 0.3
"""For the rest of an answer that has begun."""
_UNASKED: Final = ("", "dumb", "unknown", "linux")
"""Terminals that would show the question instead of answering it."""

_NAMED: Final = {"\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace"}


@dataclass(frozen=True, slots=True)
class Background:
    """What is known of the terminal; `typed` are characters that came while it was asked."""

    is_dark: bool
    typed: str = ""

    def typed_keys(self) -> list[Key]:
        """What was typed, as the app would have read it."""
        return [Key(name, char) for char in self.typed if (name := _key_name(char))]


def ask_background() -> Background:
    """Asks the terminal, and falls back on COLORFGBG, and on dark."""
    environment = os.environ
    otherwise = is_dark_by(environment.get("COLORFGBG", ""))
    if environment.get("TERM", "") in _UNASKED:
        return Background(otherwise)
    try:
        keyboard, screen = sys.stdin.fileno(), sys.stderr.fileno()
        if os.tcgetpgrp(keyboard) != os.getpgrp():
            return Background(otherwise)  # in the background nobody may change the terminal
        answer = _ask(keyboard, screen, _within_s(environment))
    except (OSError, ValueError, termios.error):
        return Background(otherwise)
    found, typed = read_answer(answer)
    return Background(otherwise if found is None else found, typed)


def read_answer(answer: bytes) -> tuple[bool | None, str]:
    """Whether the background is dark, None if the answer doesn't say; and what a person typed in between."""
    colour = _COLOUR.search(answer)
    rest = _LAST.sub(b"", _COLOUR.sub(b"", answer))
    # Keys that are more than a character, and what is left of a cut answer, can't be told apart.
    typed = rest.partition(b"\x1b")[0].decode("utf-8", "ignore")
    if colour is None:
        return None, typed
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in colour.groups())
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5, typed


def is_dark_by(colorfgbg: str) -> bool:
    """What COLORFGBG says, such as `15;0`: colours 7 and 9 to 15 are light. True where it says nothing."""
    last = colorfgbg.rpartition(";")[2]
    return not (last.isascii() and last.isdecimal() and (int(last) == 7 or 9 <= int(last) <= 15))


def _key_name(char: str) -> str:
    """As textual calls the key of a character; empty where it has none."""
    if char.isalnum():
        return char
    if char in _NAMED:
        return _NAMED[char]
    name = unicodedata.name(char, "").casefold().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


def _within_s(environment: Mapping[str, str]) -> float:
    return _WITHIN_REMOTE_S if environment.get("SSH_CONNECTION") else _WITHIN_S


def _ask(keyboard: int, screen: int, within_s: float) -> bytes:
    """What comes back; nothing is asked where keys are waiting already, as they would be read with it."""
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard, termios.TCSANOW)  # the answer isn't echoed, and Ctrl-C still works
        if select.select([keyboard], [], [], 0)[0]:
            return b""
        os.write(screen, _QUESTION)
        return _answer(keyboard, within_s)
    finally:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)


def _answer(keyboard: int, within_s: float) -> bytes:
    answer = b""
    end_s = time.monotonic() + within_s
    while _LAST.search(answer) is None:
        left_s = end_s - time.monotonic()
        if left_s <= 0 or not select.select([keyboard], [], [], left_s)[0]:
            break
        chunk = os.read(keyboard, 1024)
        if not chunk:
            break
        if not answer:
            end_s = max(end_s, time.monotonic() + _REST_WITHIN_S)
        answer += chunk
    return answer
