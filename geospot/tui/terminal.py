"""What the terminal is asked before the app starts: its background, and whether it shows pixels.

The questions (OSC 11; kitty's query and the size of a cell) are followed by one that every terminal answers
(DA1, which also says whether there are sixels), so that the wait is no longer than the way there and back,
whatever the terminal knows. They are asked before the app reads keys, and keys that are typed meanwhile are
handed on. What a terminal doesn't say of its background is taken from the environment.
"""

import fcntl
import os
import re
import select
import struct
import sys
import termios
import time
import tty
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from textual.events import Key
from textual.keys import KEY_NAME_REPLACEMENTS

Pixels = Literal["sixel", "kitty"]
"""How a terminal shows pictures."""

_BACKGROUND: Final = b"\x1b]11;?\x1b\\"
_KITTY: Final = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_CELL: Final = b"\x1b[16t"
_DEVICE: Final = b"\x1b[c"
_COLOUR: Final = re.compile(
    rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})"
    rb"(?:/[0-9a-fA-F]{1,4})?(?:\x07|\x1b\\)"
)
_IS_KITTY: Final = re.compile(rb"\x1b_Gi=31;([^\x1b]*)\x1b\\")
_CELL_SIZE: Final = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_LAST: Final = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXELS: Final = b"4"
"""Among the numbers of the last answer: the terminal shows sixels."""
_WITHIN_S: Final = 0.15
_WITHIN_REMOTE_S: Final = 0.6
"""Over SSH the answer has a way to go; one that comes when nobody waits any more would be taken for keys."""
_REST_WITHIN_S: Final = 0.3
"""For the rest of an answer that has begun."""
_UNASKED: Final = ("", "dumb", "unknown", "linux")
"""Terminals that would show the question instead of answering it."""

_NAMED: Final = {"\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace"}


@dataclass(frozen=True, slots=True)
class Terminal:
    """What is known of the terminal; `typed` are characters that came while it was asked."""

    is_dark: bool
    typed: str = ""
    pixels: Pixels | None = None
    cell: tuple[int, int] = (0, 0)
    """Width and height of a cell in pixels; zeros where the terminal doesn't say."""

    def typed_keys(self) -> list[Key]:
        """What was typed, as the app would have read it."""
        return [Key(name, char) for char in self.typed if (name := _key_name(char))]


def ask_terminal(*, for_pixels: bool = False) -> Terminal:
    """Asks the terminal, and falls back on COLORFGBG, and on dark.

    Args:
        for_pixels: whether to ask for pictures and the size of a cell as well; without it the answer has
            no pixels, whatever the terminal can.
    """
    environment = os.environ
    otherwise = Terminal(is_dark_by(environment.get("COLORFGBG", "")))
    if environment.get("TERM", "") in _UNASKED:
        return otherwise
    try:
        keyboard, screen = sys.stdin.fileno(), sys.stderr.fileno()
        if os.tcgetpgrp(keyboard) != os.getpgrp():
            return otherwise  # in the background nobody may change the terminal
        cell = _cell_size(screen)
        questions = [_BACKGROUND]
        if for_pixels:
            questions += [_KITTY] if all(cell) else [_KITTY, _CELL]
        question = b"".join([*questions, _DEVICE])
        answer = _ask(keyboard, screen, question, _within_s(environment))
    except (OSError, ValueError, termios.error):
        return otherwise
    said = read_answer(answer, otherwise)
    if not for_pixels:
        said = replace(said, pixels=None)  # the last answer tells of sixels unasked
    return replace(said, cell=cell) if all(cell) else said


def read_answer(answer: bytes, otherwise: Terminal) -> Terminal:
    """What the answer says, and what a person typed in between; `otherwise` where it doesn't say."""
    rest = answer
    for pattern in (_COLOUR, _IS_KITTY, _CELL_SIZE, _LAST):
        rest = pattern.sub(b"", rest)
    # Keys that are more than a character, and what is left of a cut answer, can't be told apart.
    typed = rest.partition(b"\x1b")[0].decode("utf-8", "ignore")
    colour, size = _COLOUR.search(answer), _CELL_SIZE.search(answer)
    return Terminal(
        otherwise.is_dark if colour is None else _is_dark(colour),
        typed,
        _pixels(answer),
        otherwise.cell if size is None else (int(size[2]), int(size[1])),
    )


def _is_dark(colour: "re.Match[bytes]") -> bool:
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in colour.groups())
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5


def _pixels(answer: bytes) -> Pixels | None:
    """Sixels first: some terminals that have both place kitty's pictures elsewhere than text can be."""
    last, kitty = _LAST.search(answer), _IS_KITTY.search(answer)
    if last is not None and _SIXELS in last[1].split(b";"):
        return "sixel"
    return "kitty" if kitty is not None and kitty[1] == b"OK" else None


def _cell_size(screen: int) -> tuple[int, int]:
    """Width and height of a cell in pixels, as far as the system knows them."""
    size = fcntl.ioctl(screen, termios.TIOCGWINSZ, bytes(8))
    rows, columns, width, height = struct.unpack("4H", size)
    return (width // columns, height // rows) if rows and columns else (0, 0)


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


def _ask(keyboard: int, screen: int, question: bytes, within_s: float) -> bytes:
    """What comes back; nothing is asked where keys are waiting already, as they would be read with it."""
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard, termios.TCSANOW)  # the answer isn't echoed, and Ctrl-C still works
        if select.select([keyboard], [], [], 0)[0]:
            return b""
        os.write(screen, question)
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
