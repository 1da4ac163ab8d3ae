"""What a screen looks like, as text: its characters, and below them the colours and attributes of each.

A file of looks can be read: what a person sees stands on top. Styles are named by letters in the order in
which they appear, and each row says how many cells have which: `12a 3b` is twelve of a, then three of b.
"""

import time
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from itertools import groupby, islice, zip_longest
from typing import Any, Final

from rich.style import Style
from textual.pilot import Pilot
from textual.screen import Screen

from tests.support.screens import painted

_STYLES, _CELLS = "-- styles", "-- cells"
_MOST_ROWS: Final = 5
_ATTRIBUTES: Final = ("bold", "dim", "italic", "underline", "reverse", "strike")


def look_of(screen: Screen[Any]) -> str:
    """What the screen looks like now."""
    names: dict[str, str] = {}
    rows: list[str] = []
    cells: list[str] = []
    for strip in painted(screen):
        rows.append("".join(segment.text for segment in strip).rstrip())
        styled = [(_words(segment.style), segment.cell_length) for segment in strip]
        runs: list[str] = []
        for words, parts in groupby(styled, key=lambda part: part[0]):
            name = names.setdefault(words, _name(len(names)))
            runs.append(f"{sum(length for _, length in parts)}{name}")
        cells.append(" ".join(runs))
    styles = [f"{name} {words}".rstrip() for words, name in names.items()]
    return "\n".join([*rows, _STYLES, *styles, _CELLS, *cells, ""])


async def settled(pilot: Pilot[None], quiet_s: float = 2.0, limit_s: float = 30.0) -> str:
    """What the screen looks like when nothing has changed for a while.

    Raises:
        AssertionError: it changes on and on.
    """
    shown, since_s = "", time.monotonic()
    end_s = since_s + limit_s
    while time.monotonic() - since_s < quiet_s:
        if (now := look_of(pilot.app.screen)) != shown:
            assert time.monotonic() < end_s, difference(shown, now)
            shown, since_s = now, time.monotonic()
        await pilot.pause(0.1)
    return shown


def difference(known: str, shown: str) -> str:
    """How two looks differ, for a person: the characters, or where those agree the styles."""
    if known == shown:
        return ""
    texts = [look.partition(_STYLES)[0].splitlines() for look in (known, shown)]
    if texts[0] != texts[1]:
        return "\n".join(unified_diff(texts[0], texts[1], "as kept", "as shown", "", "", 0, ""))
    rows = list(islice(_styles_apart(known, shown), _MOST_ROWS))
    return "\n".join(["The characters agree, the styles don't:", *rows])


def _styles_apart(known: str, shown: str) -> Iterator[str]:
    """Where rows first differ; a file that was kept by hand may have too few of them."""
    for row, (before, now) in enumerate(zip_longest(_styled(known), _styled(shown), fillvalue=())):
        pairs = zip_longest(before, now, fillvalue="nothing")
        for part in (f"{was}, and now {is_}" for was, is_ in pairs if was != is_):
            yield f"row {row}: {part}"
            break


def _styled(look: str) -> Sequence[Sequence[str]]:
    """The rows' runs of cells, with their styles in words."""
    styles, _, cells = look.partition(_STYLES)[2].partition(_CELLS)
    named = (line.partition(" ") for line in styles.splitlines())
    words = {name: rest for name, _, rest in named}
    rows: list[list[str]] = []
    for line in cells.strip("\n").splitlines():
        parts = [
            (run.rstrip("abcdefghijklmnopqrstuvwxyz"), run.lstrip("0123456789"))
            for run in line.split()
        ]
        rows.append([f"{count} {words[name]}" for count, name in parts])
    return rows


def _words(style: Style | None) -> str:
    """A style without what isn't seen, such as what a click would do."""
    if style is None:
        return ""
    on = [name for name in _ATTRIBUTES if getattr(style, name)]
    ink = style.color.name if style.color is not None else ""
    paper = f"on {style.bgcolor.name}" if style.bgcolor is not None else ""
    return " ".join(part for part in (ink, paper, *on) if part)


def _name(number: int) -> str:
    """a, b, …, z, aa, ab, …"""
    name = ""
    while number >= 0:
        number, letter = divmod(number, 26)
        name = chr(ord("a") + letter) + name
        number -= 1
    return name
