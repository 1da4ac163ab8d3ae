"""A screen as an SVG picture that needs nothing but itself.

Textual's own pictures load a font from a server, and show dots and blocks as letters, which other fonts
have in other sizes, or not at all. Here they are shapes; only what is read is text, each word in its place.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from rich.cells import cell_len
from rich.style import Style
from textual.screen import Screen

from tests.support.screens import painted

_WIDTH, _HEIGHT, _MARGIN = 9.0, 19.0, 10.0
"""Of a cell, and around all of them, in pixels."""
_FONTS: Final = "ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace"
_BASELINE: Final = 14.0
_DOT: Final = 2.4
_BRAILLE: Final = 0x2800
_BITS: Final = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of the dot that each bit of a braille character stands for."""
_SHADES: Final = {"░": 0.25, "▒": 0.5, "▓": 0.75}
_WORDS: Final = re.compile(r"\S+(?: \S+)*")

Box = tuple[float, float, float, float]
"""Left, top, width and height."""


def _boxes() -> dict[str, Box]:
    """Characters that are a rectangle: its place in a cell of one by one."""
    boxes: dict[str, Box] = {"▀": (0, 0, 1, 0.5), "▐": (0.5, 0, 0.5, 1), "░": (0, 0, 1, 1)}
    boxes |= {"▒": (0, 0, 1, 1), "▓": (0, 0, 1, 1)}
    for eighths in range(1, 9):
        boxes[chr(0x2580 + eighths)] = (0, 1 - eighths / 8, 1, eighths / 8)
        boxes[chr(0x2590 - eighths)] = (0, 0, eighths / 8, 1)
    boxes |= {"─": (0, 0.475, 1, 0.05), "━": (0, 0.44, 1, 0.12)}
    return boxes | {"│": (0.44, 0, 0.12, 1), "┃": (0.36, 0, 0.28, 1)}


_BOXES: Final = _boxes()


class _Drawing:
    """Shapes by colour, and texts, in the order in which they came."""

    def __init__(self) -> None:
        self.papers: list[str] = []
        self.shapes: dict[tuple[str, float], list[str]] = defaultdict(list)
        self.texts: list[str] = []

    def put(self, x: float, y: float, text: str, style: Style) -> None:
        """A piece of a row, with its left upper corner at (x, y)."""
        ink, paper = (_colour(style.color), _colour(style.bgcolor))
        if style.reverse:
            ink, paper = paper, ink
        if paper:
            width = cell_len(text) * _WIDTH
            self.papers.append(f'<path fill="{paper}" d="{_path(x, y, width, _HEIGHT)}"/>')
        words: list[str] = []
        at = x
        for character in text:
            shapes = list(_shapes(at, y, character))
            if shapes:
                self.shapes[ink, _SHADES.get(character, 1.0)] += shapes
            words.append(" " * cell_len(character) if shapes else character)
            at += cell_len(character) * _WIDTH
        self._write(x, y, "".join(words), ink, style)

    def _write(self, x: float, y: float, text: str, ink: str, style: Style) -> None:
        looks = f' fill="{ink}"'
        looks += ' font-weight="bold"' if style.bold else ""
        looks += ' font-style="italic"' if style.italic else ""
        looks += ' text-decoration="underline"' if style.underline else ""
        looks += ' opacity=".6"' if style.dim else ""
        for words in _WORDS.finditer(text):
            left = x + cell_len(text[: words.start()]) * _WIDTH
            long = cell_len(words.group()) * _WIDTH
            self.texts.append(
                f'<text x="{left:g}" y="{y + _BASELINE:g}" textLength="{long:g}"{looks}>'
                f"{escape(words.group(), quote=False)}</text>"
            )


def svg_of(screen: Screen[Any], background: str) -> str:
    """The screen as it is now, on a background such as `#14171c`."""
    drawing = _Drawing()
    for row, strip in enumerate(painted(screen)):
        x, y = _MARGIN, _MARGIN + row * _HEIGHT
        for segment in strip:
            drawing.put(x, y, segment.text, segment.style or Style.null())
            x += segment.cell_length * _WIDTH
    width, height = (
        screen.size.width * _WIDTH + 2 * _MARGIN,
        screen.size.height * _HEIGHT + 2 * _MARGIN,
    )
    shapes = [
        f'<path fill="{ink}" opacity="{share:g}" d="{"".join(paths)}"/>'
        for (ink, share), paths in drawing.shapes.items()
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">',
            f"<style>text{{font-family:{_FONTS};font-size:15px}}</style>",
            f'<rect width="{width:g}" height="{height:g}" rx="6" fill="{background}"/>',
            '<g shape-rendering="crispEdges">', *drawing.papers, "</g>",
            *shapes, *drawing.texts, "</svg>", "",
        ]
    )  # fmt: skip


def _shapes(x: float, y: float, character: str) -> Iterator[str]:
    """What a character consists of where it is a shape; nothing where it is a letter."""
    bits = ord(character) - _BRAILLE
    if 0 <= bits < 256:
        for bit, (column, row) in enumerate(_BITS):
            if bits >> bit & 1:
                left = x + (column + 0.5) * _WIDTH / 2 - _DOT / 2
                yield _path(left, y + (row + 0.5) * _HEIGHT / 4 - _DOT / 2, _DOT, _DOT)
    elif character in _BOXES:
        left, top, width, height = _BOXES[character]
        yield _path(x + left * _WIDTH, y + top * _HEIGHT, width * _WIDTH, height * _HEIGHT)


def _path(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.5g} {y:.5g}h{width:.4g}v{height:.4g}h-{width:.4g}z"


def _colour(colour: Any) -> str:
    return "" if colour is None else str(colour.get_truecolor().hex)
