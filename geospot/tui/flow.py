"""Model text as lines of a given width: line breaks kept, everything else that isn't a glyph escaped.

What `textsafe.printable` does for one line, this does for a paragraph, and it remembers where in the text
each cell comes from: a look (a number, whose meaning the caller knows) can be given to each character, and
a click or a cursor can be brought back to the text.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from geospot.textsafe import printable

ESCAPED: Final = 1 << 7
"""Added to the look of characters that are shown as an escape, so that no text can pretend to be one."""

_MARKS: Final = {"Mn", "Mc", "Me"}
_MARKS_A_GLYPH: Final = 3
_SELECTORS: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
"""They widen the glyph before them, in some terminals and not in others."""

Looks = Callable[[int], Style]
"""The style of a look, with or without ESCAPED."""


@dataclass(slots=True)
class _Line:
    """Glyphs of one line: what is shown, how wide, from where in the text, and whether it is an escape."""

    shown: Sequence[str]
    width_G: "NDArray[np.int64]"
    offset_G: "NDArray[np.int64]"
    escaped_G: "NDArray[np.bool_]"


class Flow(Sequence[Strip]):
    """Lines of text as strips, each made when it is asked for."""

    def __init__(
        self, rows: Sequence[tuple[_Line, int, int]], look_N: "NDArray[Any]", looks: Looks
    ) -> None:
        self._rows, self._look_N, self._looks = rows, look_N, looks
        self._starts = [
            int(line.offset_G[first]) if last > first else -1 for line, first, last in rows
        ]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> Strip: ...
    @overload
    def __getitem__(self, row: slice) -> list[Strip]: ...
    def __getitem__(self, row: int | slice) -> Strip | list[Strip]:
        if isinstance(row, slice):
            return [self[n] for n in range(*row.indices(len(self)))]
        line, first, last = self._rows[row]
        if first == last:
            return Strip([])
        offset = line.offset_G[first:last]
        look = self._look_N[np.minimum(offset, len(self._look_N) - 1)].astype(np.int64)
        look = look | np.where(line.escaped_G[first:last], ESCAPED, 0)
        starts = [0, *(np.flatnonzero(look[1:] != look[:-1]) + 1).tolist(), last - first]
        return Strip(
            [
                Segment(
                    "".join(line.shown[first + start : first + end]), self._looks(int(look[start]))
                )
                for start, end in pairwise(starts)
            ]
        )

    def line_of(self, offset: int) -> int:
        """The line that shows the character at `offset` of the text; the last one where none does."""
        known = [row for row, start in enumerate(self._starts) if 0 <= start <= offset]
        return known[-1] if known else 0

    def offset_at(self, row: int, x: int) -> int | None:
        """Where in the text the character in a cell is; None where there is none."""
        if not 0 <= row < len(self._rows):
            return None
        line, first, last = self._rows[row]
        offsets = np.repeat(line.offset_G[first:last], line.width_G[first:last])
        return int(offsets[x]) if 0 <= x < len(offsets) else None


def flow(
    text: str,
    width: int,
    look_N: "NDArray[Any]",
    looks: Looks,
    *,
    words: bool = True,
    break_mark: str = "",
) -> Flow:
    """Breaks text into lines of at most `width` cells.

    Args:
        look_N: a number below 128 for each character of the text.
        words: whether lines break between words where they can; else every character is shown.
        break_mark: what a line break is shown as, one cell wide; nothing by default.
    """
    width = max(width, 4)
    rows: list[tuple[_Line, int, int]] = []
    for start, end, is_broken in _lines(text):
        line = _glyphs(text, start, end, break_mark if is_broken else "")
        rows += [(line, first, last) for first, last in _rows(line, width, words)]
    return Flow(rows, look_N, looks)


def _lines(text: str) -> list[tuple[int, int, bool]]:
    """Start and end of each line, and whether a line break follows (which stands at its end)."""
    lines: list[tuple[int, int, bool]] = []
    start = 0
    while (end := text.find("\n", start)) >= 0:
        lines.append((start, end, True))
        start = end + 1
    if start < len(text) or not lines:
        lines.append((start, len(text), False))
    return lines


def _glyphs(text: str, start: int, end: int, break_mark: str) -> _Line:
    part = text[start:end].removesuffix("\r")
    if part.isascii() and part.isprintable():
        count = len(part) + len(break_mark)
        offset = np.arange(start, start + count)
        offset[len(part) :] = end
        return _Line(part + break_mark, np.ones(count, np.int64), offset, np.zeros(count, bool))
    shown: list[str] = []
    width: list[int] = []
    offsets: list[int] = []
    escaped: list[bool] = []
    marks = 0
    for offset, character in enumerate(part, start):
        glyph, cells, is_escape = _glyph(character)
        if cells == 0 and width and not escaped[-1] and marks < _MARKS_A_GLYPH:
            shown[-1] += glyph
            marks += 1
            continue
        if cells == 0:
            glyph, is_escape = _escape(character), True
        marks = 0
        # An escape's characters are glyphs of their own, so that a narrow column can break it.
        for one in glyph if is_escape else (glyph,):
            shown.append(one)
            width.append(1 if is_escape else cells)
            offsets.append(offset)
            escaped.append(is_escape)
    if break_mark:
        shown.append(break_mark)
        width.append(1)
        offsets.append(end)
        escaped.append(False)
    return _Line(
        shown, np.array(width, np.int64), np.array(offsets, np.int64), np.array(escaped, bool)
    )


@lru_cache(maxsize=20_000)
def _glyph(character: str) -> tuple[str, int, bool]:
    """What is shown for a character, its cells (0: a mark on the glyph before), and whether escaped."""
    if any(ord(character) in span for span in _SELECTORS):
        return _escape(character), 1, True
    safe = printable(character)
    if safe != character:
        return safe, 1, True
    cells = cell_len(character)
    if cells == 0 and unicodedata.category(character) not in _MARKS:
        return _escape(character), 1, True
    return character, cells, False


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _rows(line: _Line, width: int, words: bool) -> list[tuple[int, int]]:
    """Ranges of glyphs that fit a row each; an empty line is one empty row."""
    count = len(line.shown)
    if not count:
        return [(0, 0)]
    end_G = np.cumsum(line.width_G)
    rows: list[tuple[int, int]] = []
    first = 0
    while first < count:
        before = int(end_G[first - 1]) if first else 0
        last = int(np.searchsorted(end_G, before + width, side="right"))
        last = max(last, first + 1)
        if words and last < count and line.shown[last] != " ":
            space = next((g for g in range(last - 1, first, -1) if line.shown[g] == " "), None)
            last = space + 1 if space is not None else last
        rows.append((first, last))
        first = last
        if words and first < count and line.shown[first] == " ":
            first += 1
    return rows
