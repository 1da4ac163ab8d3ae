"""A rectangle of terminal cells that is drawn on with arrays, and becomes Textual strips.

Everything that would be slow as widgets or markup (curves, heat maps, the map) is drawn here: dots in
braille, two across and four down a cell, text, and coloured cells. Text put here is taken character by
character and never read as markup; what isn't one cell wide is replaced.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

IntArray = NDArray[np.int64]

NONE: Final = -1
"""No colour: the one of the widget below."""

BOLD: Final = 1
DIM: Final = 2
REVERSE: Final = 4
UNDERLINE: Final = 8

_BRAILLE: Final = 0x2800
_BITS_4_2: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)


class Canvas:
    """`height` rows of `width` cells; positions outside are clipped. Colours are 0xRRGGBB, or NONE."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = max(width, 0), max(height, 0)
        shape = (self.height, self.width)
        self._chars_H_W = np.full(shape, " ", dtype="<U1")
        self._dots_H_W = np.zeros(shape, np.uint8)
        self._ink_H_W = np.full(shape, NONE, np.int32)
        self._paper_H_W = np.full(shape, NONE, np.int32)
        self._attributes_H_W = np.zeros(shape, np.uint8)

    def text(
        self, x: int, y: int, text: str, ink: int = NONE, paper: int = NONE, attributes: int = 0
    ) -> None:
        """Writes one line of text; what it covers is gone, its background stays unless `paper` is given."""
        if not 0 <= y < self.height or x >= self.width:
            return
        shown = text[max(0, -x) : self.width - x]
        x = max(x, 0)
        if not shown:
            return
        end = x + len(shown)
        self._chars_H_W[y, x:end] = [_one_cell(character) for character in shown]
        self._dots_H_W[y, x:end] = 0
        self._ink_H_W[y, x:end] = ink
        self._attributes_H_W[y, x:end] = attributes
        if paper != NONE:
            self._paper_H_W[y, x:end] = paper

    def fill(
        self, x: int, y: int, width: int, height: int, paper: int = NONE, character: str = " ",
        ink: int = NONE,
    ) -> None:  # fmt: skip
        """Fills a rectangle of cells with a background and a character."""
        rows, columns = slice(max(y, 0), max(y + height, 0)), slice(max(x, 0), max(x + width, 0))
        self._chars_H_W[rows, columns] = character
        self._dots_H_W[rows, columns] = 0
        self._ink_H_W[rows, columns] = ink
        self._paper_H_W[rows, columns] = paper

    def cells(
        self, x: int, y: int, paper_H_W: "NDArray[Any]", chars_H_W: "NDArray[Any] | None" = None,
        ink_H_W: "NDArray[Any] | None" = None,
    ) -> None:  # fmt: skip
        """Puts a block of cells: a background each, and characters with their colour where given."""
        height, width = paper_H_W.shape
        top, left = max(0, -y), max(0, -x)
        bottom, right = min(height, self.height - y), min(width, self.width - x)
        if top >= bottom or left >= right:
            return
        source = (slice(top, bottom), slice(left, right))
        target = (slice(y + top, y + bottom), slice(x + left, x + right))
        self._paper_H_W[target] = paper_H_W[source]
        if chars_H_W is not None:
            self._chars_H_W[target] = chars_H_W[source]
            self._dots_H_W[target] = 0
        if ink_H_W is not None:
            self._ink_H_W[target] = ink_H_W[source]

    def marks(
        self, x_M: "NDArray[Any]", y_M: "NDArray[Any]", chars_M: "NDArray[Any]",
        ink_M: "NDArray[Any] | int" = NONE, attributes: int = 0,
    ) -> None:  # fmt: skip
        """Puts one character each into M cells, which must be one cell wide; backgrounds stay."""
        x, y = np.asarray(x_M, np.int64), np.asarray(y_M, np.int64)
        inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        at = (y[inside], x[inside])
        self._chars_H_W[at] = np.broadcast_to(chars_M, x.shape)[inside]
        self._dots_H_W[at] = 0
        self._ink_H_W[at] = np.broadcast_to(ink_M, x.shape)[inside]
        self._attributes_H_W[at] = attributes

    def dots(self, x_D: "NDArray[Any]", y_D: "NDArray[Any]", ink: int = NONE) -> None:
        """Sets braille dots: D positions, 2 × `width` across and 4 × `height` down, (0, 0) at top left.

        A cell that holds text keeps it. The last colour put into a cell is that of all its dots.
        """
        x, y = np.asarray(x_D, np.int64), np.asarray(y_D, np.int64)
        inside = (x >= 0) & (x < 2 * self.width) & (y >= 0) & (y < 4 * self.height)
        x, y = x[inside], y[inside]
        row, column = y // 4, x // 2
        free = self._chars_H_W[row, column] == " "
        row, column, x, y = row[free], column[free], x[free], y[free]
        np.bitwise_or.at(self._dots_H_W, (row, column), _BITS_4_2[y % 4, x % 2])
        self._ink_H_W[row, column] = ink

    def spans(
        self, x_D: "NDArray[Any]", top_D: "NDArray[Any]", bottom_D: "NDArray[Any]", ink: int = NONE
    ) -> None:
        """Vertical lines of dots, from `top_D` to `bottom_D` inclusive, in any order of the two."""
        low = np.clip(np.minimum(top_D, bottom_D), -1, 4 * self.height).astype(np.int64)
        high = np.clip(np.maximum(top_D, bottom_D), -1, 4 * self.height).astype(np.int64)
        length = high - low + 1
        x = np.repeat(np.asarray(x_D, np.int64), length)
        start = np.repeat(np.cumsum(length) - length, length)
        self.dots(x, np.repeat(low, length) + np.arange(len(x)) - start, ink)

    def segments(
        self, x0_D: "NDArray[Any]", y0_D: "NDArray[Any]", x1_D: "NDArray[Any]",
        y1_D: "NDArray[Any]", ink: int = NONE,
    ) -> None:  # fmt: skip
        """Straight lines of dots between pairs of positions; what lies outside is clipped."""
        x0, y0, x1, y1 = (np.asarray(v, np.float64) for v in (x0_D, y0_D, x1_D, y1_D))
        seen = (
            (np.maximum(x0, x1) >= 0) & (np.minimum(x0, x1) < 2 * self.width)
            & (np.maximum(y0, y1) >= 0) & (np.minimum(y0, y1) < 4 * self.height)
        )  # fmt: skip
        x0, y0, x1, y1 = x0[seen], y0[seen], x1[seen], y1[seen]
        most = 4 * (self.width + self.height) + 1
        count = np.clip(np.maximum(abs(x1 - x0), abs(y1 - y0)).astype(np.int64), 1, 4 * most) + 1
        line = np.repeat(np.arange(len(count)), count)
        start = np.repeat(np.cumsum(count) - count, count)
        t = (np.arange(len(line)) - start) / (count[line] - 1)
        x, y = x0[line] + t * (x1 - x0)[line], y0[line] + t * (y1 - y0)[line]
        self.dots(np.rint(x), np.rint(y), ink)

    def strips(self, base: Style | None = None) -> list[Strip]:
        """The rows as Textual draws them.

        Args:
            base: style of cells without colours of their own.
        """
        chars_H_W = np.where(
            self._dots_H_W > 0, _braille()[self._dots_H_W], self._chars_H_W
        )  # dots are only set where there is no text
        return [
            Strip(list(self._row(chars_H_W, y, base or Style.null())), self.width)
            for y in range(self.height)
        ]

    def _row(self, chars_H_W: "NDArray[Any]", y: int, base: Style) -> Iterator[Segment]:
        ink, paper, attributes = self._ink_H_W[y], self._paper_H_W[y], self._attributes_H_W[y]
        changes = (
            (ink[1:] != ink[:-1]) | (paper[1:] != paper[:-1]) | (attributes[1:] != attributes[:-1])
        )
        starts = [0, *(np.flatnonzero(changes) + 1).tolist(), self.width]
        text = "".join(chars_H_W[y].tolist())
        for start, end in pairwise(starts):
            if end > start:
                style = _style(int(ink[start]), int(paper[start]), int(attributes[start]))
                yield Segment(text[start:end], base + style)


def rgb(red: int, green: int, blue: int) -> int:
    """A colour as one number."""
    return red << 16 | green << 8 | blue


def blend(low: int, high: int, share_N: "NDArray[Any]") -> IntArray:
    """Colours between two: 0 is `low`, 1 is `high`."""
    share = np.clip(np.asarray(share_N, np.float64), 0, 1)
    parts = [
        np.rint((low >> shift & 255) * (1 - share) + (high >> shift & 255) * share).astype(np.int64)
        << shift
        for shift in (16, 8, 0)
    ]
    return parts[0] | parts[1] | parts[2]


@lru_cache(maxsize=4096)
def _style(ink: int, paper: int, attributes: int) -> Style:
    return Style(
        color=None if ink == NONE else f"#{ink:06x}",
        bgcolor=None if paper == NONE else f"#{paper:06x}",
        bold=True if attributes & BOLD else None,
        dim=True if attributes & DIM else None,
        reverse=True if attributes & REVERSE else None,
        underline=True if attributes & UNDERLINE else None,
    )


@lru_cache(maxsize=1)
def _braille() -> "NDArray[np.str_]":
    return np.array([chr(_BRAILLE + bits) for bits in range(256)], dtype="<U1")


@lru_cache(maxsize=4096)
def _one_cell(character: str) -> str:
    """The character, or a placeholder where it isn't exactly one cell wide and printable."""
    return character if character.isprintable() and cell_len(character) == 1 else "·"
