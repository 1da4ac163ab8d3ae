"""What stands in the column of one answer: its figures, its text with what was read in it, its tokens."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from geospot.runs.rollouts import RolloutRecord
from geospot.textsafe import printable
from geospot.tui.canvas import blend
from geospot.tui.fields import Kind, find_fields
from geospot.tui.flow import ESCAPED, Flow, Looks, flow
from geospot.tui.inks import Inks
from geospot.tui.rollout_figures import (
    cut,
    kilometres,
    number,
    outcome_name,
    position,
    share,
    size,
)
from geospot.tui.rollout_filter import mean_logprob
from geospot.tui.rollout_groups import Answer

Parts = Literal["both", "text", "tokens"]
PARTS: Final[Sequence[Parts]] = ("both", "text", "tokens")

SHOWN: Final = 5_000
"""Characters of a text, and of its tokens, that are shown at first."""

_CHARACTERS_A_LINE: Final = 15
"""A line break counts as so many characters."""

_KINDS: Final[Sequence[Kind]] = ("latitude", "longitude", "city", "region", "country")
_FOUND: Final = 8
"""Added to the look of what the filter looks for."""
_UNKNOWN: Final = 4
_CURSOR: Final = 8
LIKELY: Final = (0.5, 0.1, 0.01)
"""Probabilities between the looks of tokens: plain, with a ground, and underlined, and bold."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How answers are to be shown: looked-for words, parts, characters at most, token under the cursor."""

    inks: Inks
    words: Sequence[str] = ()
    parts: Parts = "both"
    limit: int = SHOWN
    token: int | None = None


@dataclass(frozen=True, slots=True)
class AnswerLines:
    """The lines of an answer, and where its tokens are among them."""

    _parts: Sequence[Sequence[Strip]]
    _ends: Sequence[int]
    """The first line behind each part."""
    cursor_line: int | None
    first_found: int | None
    """The first line with a word that the filter looks for."""
    _tokens: Sequence["_TokenLines"]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, line: int) -> Strip:
        if not 0 <= line < len(self):
            raise IndexError(line)
        place = bisect_right(self._ends, line)
        part = self._parts[place]
        return part[line - self._ends[place] + len(part)]

    def token_at(self, line: int, x: int) -> int | None:
        """The token that is shown in a cell, counted over all turns; None where there is none."""
        for tokens in self._tokens:
            offset = tokens.flow.offset_at(line - tokens.line, x)
            if offset is not None:
                return tokens.first + int(np.searchsorted(tokens.start_T, offset, side="right")) - 1
        return None


@dataclass(frozen=True, slots=True)
class _TokenLines:
    line: int
    first: int
    start_T: "NDArray[np.int64]"
    flow: Flow


def answer_lines(answer: Answer, width: int, wish: Wish) -> AnswerLines:
    """An answer in lines of `width` cells."""
    writer = _Writer(width, wish)
    several = len(answer.turns) > 1
    first_token = 0
    for place, turn in enumerate(answer.turns):
        if several:
            writer.rule(f"turn {place + 1} of {len(answer.turns)}", _turn_figures(turn))
        writer.figures(turn, answer.right_country[place] if answer.right_country else None)
        if wish.parts != "tokens":
            writer.text(turn)
        if wish.parts != "text":
            writer.tokens(turn, first_token)
        first_token += len(turn.tokens)
    return writer.done()


class _Writer:
    """Collects the lines of an answer from top to bottom."""

    def __init__(self, width: int, wish: Wish) -> None:
        self._width, self._wish, self._inks = max(width, 8), wish, wish.inks
        self._parts: list[Sequence[Strip]] = []
        self._ends: list[int] = []
        self._tokens: list[_TokenLines] = []
        self._cursor_line: int | None = None
        self._first_found: int | None = None

    def done(self) -> AnswerLines:
        """All lines."""
        return AnswerLines(
            self._parts, self._ends, self._cursor_line, self._first_found, self._tokens
        )

    @property
    def _line(self) -> int:
        """How many lines there are so far."""
        return self._ends[-1] if self._ends else 0

    def _add(self, strips: Sequence[Strip]) -> None:
        if strips:
            self._ends.append(self._line + len(strips))
            self._parts.append(strips)

    def rule(self, name: str, beside: str = "") -> None:
        """A line that begins a part."""
        faint, muted = ink(self._inks.faint), ink(self._inks.muted)
        name = printable(name, limit=self._width - 3)
        beside = printable(beside, limit=max(self._width - len(name) - 5, 1)) if beside else ""
        dashes = max(self._width - len(name) - len(beside) - 3 - bool(beside), 0)
        segments = [
            Segment(f"─ {name} ", muted),
            Segment(f"{beside} " if beside else "", ink(self._inks.foreground)),
            Segment("─" * dashes, faint),
        ]
        self._add([Strip(segments)])

    def note(self, text: str, style: Style | None = None) -> None:
        """A sentence of ours, over as many lines as it takes."""
        shown = style or ink(self._inks.muted)
        look_N = np.zeros(max(len(text), 1), np.uint8)
        self._add(flow(text, self._width, look_N, lambda _look: shown))

    def line(self, text: str, style: Style | None = None) -> None:
        """One line, cut where it is too long: the same figures stand side by side in all columns."""
        shown = style or ink(self._inks.muted)
        self._add([Strip([Segment(cut(text, self._width), shown)])])

    def figures(self, turn: RolloutRecord, is_right: bool | None) -> None:
        """What was read, and what it earned."""
        strong = ink(self._inks.warning) + _BOLD
        if turn.latitude is not None and turn.longitude is not None:
            self.line(f"read {position(turn.latitude, turn.longitude)}", ink(self._inks.accent))
        else:
            why = f"{outcome_name(turn)}: {turn.note}" if turn.note else outcome_name(turn)
            self.line(f"no position read ({why})", strong)
        said = ", ".join(turn.place[k] for k in reversed(_KINDS) if turn.place.get(k))
        verdict = {True: "✓ ", False: "✗ ", None: ""}[is_right]
        self.line(f"{verdict}{said}" if said else "no place named")
        terms = " · ".join(f"{name} {number(value)}" for name, value in turn.terms.items())
        self.line(terms or "reward without parts")
        self.line(_counts(turn))
        if turn.sampler_step is not None and turn.sampler_step != turn.step:
            self.line(f"sampled with the weights of step {turn.sampler_step}")
        if turn.truncated:
            self.line("cut off at the token limit", strong)

    def text(self, turn: RolloutRecord) -> None:
        """The answer's text, with what was read in it."""
        self.rule("text")
        if not turn.text:
            self.note("empty")
            return
        shown = turn.text[: _end_of(turn.text, self._wish.limit)]
        look_N = np.zeros(len(shown), np.uint8)
        for found in find_fields(turn, len(shown)):
            look_N[found.start : found.end] = 1 + _KINDS.index(found.kind)
        start = self._line
        first = self._mark_words(shown, look_N)
        lines = flow(shown, self._width, look_N, text_looks(self._inks))
        self._add(lines)
        if first is not None and self._first_found is None:
            self._first_found = start + lines.line_of(first)
        if len(turn.text) > len(shown):
            self.note(f"… {size(len(turn.text) - len(shown))} more: e shows more")

    def _mark_words(self, shown: str, look_N: "NDArray[np.uint8]") -> int | None:
        """Marks what the filter looks for; where the first of it is."""
        folded = shown.casefold()
        if len(folded) != len(
            shown
        ):  # a few letters fold to two; then only their plain lower case fits
            folded = "".join(c if len(c.lower()) != 1 else c.lower() for c in shown)
        first: int | None = None
        for word in self._wish.words:
            at = folded.find(word)
            while at >= 0:
                look_N[at : at + len(word)] |= _FOUND
                first = at if first is None else min(first, at)
                at = folded.find(word, at + len(word))
        return first

    def tokens(self, turn: RolloutRecord, first: int) -> None:
        """The answer's tokens by their probability, and the one under the cursor."""
        count = len(turn.tokens)
        if not count:
            if self._wish.parts == "tokens":
                self.rule("tokens")
                self.note("The record has no tokens.")
            return
        pieces = _pieces(turn)
        token = self._wish.token
        at = None if token is None or not first <= token < first + count else token - first
        self.rule("tokens", "" if at is None else _token_figures(turn, pieces, at))
        length_T = np.array([len(piece) for piece in pieces], np.int64)
        end_T = np.cumsum(length_T)
        kept = int(np.searchsorted(end_T, self._wish.limit, side="right"))
        kept = min(max(kept, 1), count)
        look_T = _token_looks(turn, kept)
        if at is not None and at < kept:
            look_T[at] |= _CURSOR
        look_N = np.repeat(look_T, length_T[:kept])
        start_T = end_T[:kept] - length_T[:kept]
        lines = flow(
            "".join(pieces[:kept]), self._width, look_N, token_looks(self._inks), words=False,
            break_mark="↵",
        )  # fmt: skip
        line = self._line
        self._tokens.append(_TokenLines(line, first, start_T, lines))
        self._add(lines)
        if at is not None and at < kept:
            self._cursor_line = line + lines.line_of(int(start_T[at]))
        if kept < count:
            self.note(f"… {count - kept:,} more tokens: e shows more")


_BOLD: Final = Style(bold=True)


def lines_needed(answer: Answer, width: int, parts: Parts) -> int:
    """About how many lines an answer takes, for sharing out the room."""
    needed = 0
    for turn in answer.turns:
        text = turn.text.count("\n") + 2 + len(turn.text) // max(width, 1)
        needed += 6 + (2 * text if parts == "both" else text)
    return needed


def _end_of(text: str, limit: int) -> int:
    """Where the shown part of a text ends: lines are dear, so that an answer of nothing else ends earlier."""
    end = -1
    for _ in range(limit // _CHARACTERS_A_LINE):
        end = text.find("\n", end + 1)
        if end < 0 or end >= limit:
            return min(limit, len(text))
    return end


@lru_cache(maxsize=256)
def ink(colour: int) -> Style:
    """A style of one colour."""
    return Style(color=f"#{colour:06x}")


@lru_cache(maxsize=8)
def text_looks(inks: Inks) -> Looks:
    """Styles of an answer's text: fields underlined, looked-for words reversed, escapes dim."""
    colours = {1: inks.accent, 2: inks.accent, 3: inks.series[0], 4: inks.series[2], 5: inks.good}

    def style(look: int) -> Style:
        base = ink(inks.foreground)
        if field := colours.get(look & 7):
            base = ink(field) + Style(underline=True, bold=True)
        if look & _FOUND:
            base += Style(reverse=True)
        return base + Style(dim=True, italic=True) if look & ESCAPED else base

    return _remembered(style)


@lru_cache(maxsize=8)
def token_looks(inks: Inks) -> Looks:
    """Styles of tokens by probability: the unlikelier, the stronger the ground; the least are underlined."""
    marks = (inks.background, inks.warning, inks.warning, inks.bad)
    grounds = [
        int(blend(inks.background, mark, np.array([share_]))[0])
        for mark, share_ in zip(marks, (0, 0.2, 0.4, 0.55), strict=True)
    ]
    lines = [Style.null(), Style.null(), Style(underline=True), Style(underline=True, bold=True)]

    def style(look: int) -> Style:
        level = look & 7
        base = ink(inks.muted if level == _UNKNOWN else inks.foreground)
        if level and level < _UNKNOWN:
            base += Style(bgcolor=f"#{grounds[level]:06x}") + lines[level]
        if look & _CURSOR:
            base += Style(reverse=True)
        return base + Style(dim=True, italic=True) if look & ESCAPED else base

    return _remembered(style)


def _remembered(style: Callable[[int], Style]) -> Looks:
    return lru_cache(maxsize=None)(style)


def _token_looks(turn: RolloutRecord, kept: int) -> "NDArray[np.uint8]":
    """0 for a likely token, up to 3 for the least likely; `_UNKNOWN` without a log-probability."""
    logprob_T = np.full(kept, np.nan)
    known = np.asarray(turn.logprobs[:kept], np.float64)
    logprob_T[: len(known)] = known
    level_T = np.zeros(kept, np.uint8)
    for edge in LIKELY:
        level_T += (logprob_T < math.log(edge)).astype(np.uint8)
    level_T[np.isnan(logprob_T)] = _UNKNOWN
    return level_T


def unlikely(turns: Sequence[RolloutRecord]) -> list[int]:
    """Tokens less likely than one in ten, counted over all turns."""
    levels = [_token_looks(turn, len(turn.tokens)) for turn in turns]
    level_T = np.concatenate(levels)
    return [int(at) for at in np.flatnonzero((level_T >= 2) & (level_T < _UNKNOWN))]


def _pieces(turn: RolloutRecord) -> list[str]:
    """The text of each token; its id where the record has no texts."""
    if len(turn.pieces) == len(turn.tokens):
        return [str(piece) or "∅" for piece in turn.pieces]
    return [f"⟨{token}⟩" for token in turn.tokens]


def _token_figures(turn: RolloutRecord, pieces: Sequence[str], at: int) -> str:
    place = f"{at + 1}/{len(turn.tokens)} {pieces[at][:12]!r}"
    if at >= len(turn.logprobs) or math.isnan(turn.logprobs[at]):
        return f"{place} no log-probability"
    logprob = turn.logprobs[at]
    return f"{place} {logprob:.2f} = {share(math.exp(min(logprob, 0)))}"


def _turn_figures(turn: RolloutRecord) -> str:
    return f"{number(turn.reward)} · {kilometres(turn.distance_km)} · {outcome_name(turn)}"


def _counts(turn: RolloutRecord) -> str:
    """Tokens, and their log-probability."""
    if not turn.tokens:
        return "no tokens recorded"
    mean = mean_logprob(turn)
    counted = f"{len(turn.tokens):,} tokens"
    if mean is None:
        return counted
    total = sum(turn.logprobs)
    return f"{counted} · log p {total:.1f} · mean {mean:.2f}"
