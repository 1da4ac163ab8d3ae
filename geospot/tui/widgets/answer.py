"""The answers of a group side by side: as many columns as fit, each with its figures, text and tokens."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from geospot.outcomes import Outcome
from geospot.textsafe import printable
from geospot.tui.canvas import blend
from geospot.tui.inks import Inks
from geospot.tui.rollout_figures import kilometres, number, outcome_name, signed, signed_bar
from geospot.tui.rollout_groups import Answer
from geospot.tui.widgets.answer_text import AnswerLines, Wish, answer_lines, ink, lines_needed

_NARROWEST: Final = 36
"""Cells of a column below which there is one column less."""
_SHORTEST: Final = 16
"""Lines below which there is one row of columns less."""
_FIRST: Final = 4
_MOST: Final = 24
_HEAD: Final = 2
"""Lines above that stay when the column is scrolled."""


class AnswerColumn(ScrollView, can_focus=False):
    """One answer. Its first two lines stay, the rest can be scrolled."""

    DEFAULT_CSS = """
    AnswerColumn {
        width: 1fr; height: 1fr; display: none;
        overflow-x: hidden; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    AnswerColumn.-shown { display: block; }
    """

    class Chosen(Message):
        """The column was clicked; perhaps on a token."""

        def __init__(self, column: "AnswerColumn", token: int | None) -> None:
            super().__init__()
            self.column, self.token = column, token

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answer | None = None
        self.is_chosen = False
        self._wish: Wish | None = None
        self._most_advantage = 1.0
        self._lines: AnswerLines | None = None
        self._painted: dict[int, Strip] = {}
        self._head: list[Strip] = []
        self._lines_of: object = None
        self._head_of: object = None
        self._is_fresh = True
        self._base = Style.null()
        self._blank = Strip.blank(0, self._base)

    def show(self, answer: Answer, wish: Wish, *, is_chosen: bool, most_advantage: float) -> None:
        """Shows an answer; another one from its beginning, or from what is looked for."""
        self._is_fresh |= answer is not self.answer
        self.answer, self._wish, self.is_chosen = answer, wish, is_chosen
        self._most_advantage = most_advantage
        self._make()

    @property
    def text(self) -> str:
        """All lines as plain text, for tests and for copying what is seen."""
        lines = [*self._head, *(self._lines or ())]
        return "\n".join(strip.text for strip in lines)

    def on_resize(self) -> None:
        """Lines follow the width."""
        self._make()

    def render_line(self, y: int) -> Strip:
        """The head, or what is scrolled to below it."""
        if y < len(self._head):
            return self._head[y]
        line = self.scroll_offset.y + y - _HEAD
        lines = self._lines
        if lines is None or not 0 <= line < len(lines):
            return self._blank
        strip = self._painted.get(line)
        if strip is None:
            strip = self._painted[line] = self._finished(lines[line])
        return strip

    def on_click(self, event: events.Click) -> None:
        """Chooses the answer, and the token under the mouse."""
        offset = event.get_content_offset(self)
        token = None
        if offset is not None and offset.y >= _HEAD and self._lines is not None:
            token = self._lines.token_at(self.scroll_offset.y + offset.y - _HEAD, offset.x)
        self.post_message(self.Chosen(self, token))

    @property
    def _room(self) -> int:
        return max(self.scrollable_content_region.height - _HEAD, 1)

    def _make(self) -> None:
        width, answer, wish = self.scrollable_content_region.width, self.answer, self._wish
        if answer is None or wish is None or width < 1:
            return
        self._base, self._blank = self.rich_style, Strip.blank(width, self.rich_style)
        lines_of = (width, answer, wish)
        head_of = (width, answer, wish.inks, self.is_chosen, self._most_advantage)
        if head_of != self._head_of:
            self._head_of = head_of
            self._head = [self._finished(strip) for strip in self._heading(answer, wish, width)]
            self.refresh(Region(0, 0, width, _HEAD))
        if lines_of != self._lines_of:
            self._lines_of = lines_of
            self._make_lines(answer, wish, width)

    def _make_lines(self, answer: Answer, wish: Wish, width: int) -> None:
        self._lines = lines = answer_lines(answer, width, wish)
        self._painted.clear()
        size = Size(width, len(lines) + _HEAD)
        if size != self.virtual_size:
            self.virtual_size = size
        if self._is_fresh:
            found = lines.first_found
            self._go_to(0 if found is None or found < self._room else found - 2)
            self._is_fresh = False
        if lines.cursor_line is not None:
            self._reveal(lines.cursor_line)
        self.refresh()

    def _finished(self, strip: Strip) -> Strip:
        """A strip as it is painted: as wide as the column, on its ground."""
        return strip.adjust_cell_length(self._blank.cell_length).apply_style(self._base)

    def _heading(self, answer: Answer, wish: Wish, width: int) -> list[Strip]:
        """Which answer it is, how far off and what it earned; the chosen one is marked."""
        inks, last = wish.inks, answer.last
        is_ok = last.outcome is Outcome.OK
        ground = _ground(inks, is_chosen=self.is_chosen)
        name = f"#{answer.first.index} {'✓' if is_ok else '✗'} {outcome_name(last)}"
        if not answer.is_hit:
            name += " (filtered out)"
        distance = kilometres(answer.distance_km)
        room = max(width - 2 - len(distance), 0)
        colour = _error_colour(inks, answer) if is_ok else inks.bad
        strong = Style(bold=True, reverse=self.is_chosen and not inks.has_colour)
        top = [
            Segment("▌" if self.is_chosen else " ", ink(inks.accent) + ground),
            Segment(printable(name, limit=max(room, 1)).ljust(room), ink(inks.foreground) + ground + strong),
            Segment(f" {distance}", ink(colour) + ground + Style(bold=True)),
        ]  # fmt: skip
        advantage = answer.advantage
        half = min(max((width - 32) // 2, 2), 8)
        bar = signed_bar(advantage, self._most_advantage, half)
        is_low = advantage is not None and advantage < 0
        reward = f"reward {number(answer.reward)}"
        below = [
            Segment(" ", ground),
            Segment(reward, ink(inks.foreground) + ground),
            Segment(f"  adv {signed(advantage)} ".rjust(max(width - 2 - len(reward) - len(bar), 1)),
                    ink(inks.muted) + ground),
            Segment(bar, ink(inks.bad if is_low else inks.good) + ground),
        ]  # fmt: skip
        return [Strip(line).adjust_cell_length(width, ground) for line in (top, below)]

    def _go_to(self, line: int) -> None:
        self.scroll_to(y=max(line, 0), animate=False, force=True)

    def _reveal(self, line: int) -> None:
        top = self.scroll_offset.y
        if line < top:
            self._go_to(line - 1)
        elif line >= top + self._room:
            self._go_to(line - self._room + 2)


def _error_colour(inks: Inks, answer: Answer) -> int:
    if math.isnan(answer.distance_km):
        return inks.muted
    return int(inks.error_km(np.array([answer.distance_km]))[0])


def _ground(inks: Inks, *, is_chosen: bool) -> Style:
    """The ground of a column's head; that of the chosen one stands out."""
    share = 0.35 if is_chosen else 0.0
    colour = int(blend(inks.surface, inks.series[0], np.array([share]))[0])
    return Style(bgcolor=f"#{colour:06x}")


class AnswerColumns(Container):
    """The answers of a group from some answer on. The chosen one is always among those shown.

    Where answers are short there are several rows of columns.
    """

    DEFAULT_CSS = """
    AnswerColumns { layout: grid; grid-gutter: 1 1; width: 1fr; height: 1fr; margin-left: 1; }
    """

    class Chosen(Message):
        """An answer was clicked, or one of its tokens; `place` is its place among those given."""

        def __init__(self, place: int, token: int | None) -> None:
            super().__init__()
            self.place, self.token = place, token

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._answers: Sequence[Answer] = ()
        self._chosen = 0
        self._first = 0
        self._wish: Wish | None = None
        self._most_advantage = 1.0
        self._is_single = False

    def compose(self) -> ComposeResult:
        """The first columns; more come when there is room for them."""
        for _ in range(_FIRST):
            yield AnswerColumn()

    def show(
        self,
        answers: Sequence[Answer],
        chosen: int,
        wish: Wish,
        *,
        most_advantage: float,
        is_single: bool = False,
    ) -> None:
        """Shows answers around the chosen one.

        Args:
            most_advantage: the advantage that fills the bar.
            is_single: whether the chosen one gets all the room.
        """
        self._answers, self._chosen, self._wish = answers, chosen, wish
        self._most_advantage, self._is_single = most_advantage, is_single
        self._lay_out()

    def on_resize(self) -> None:
        """As many columns as fit."""
        self._lay_out()

    def scroll_by_lines(self, lines: int) -> None:
        """Scrolls all columns together, so that they can be compared."""
        for column in self.query(AnswerColumn):
            if column.has_class("-shown"):
                column.scroll_to(y=column.scroll_offset.y + lines, animate=False, force=True)

    @property
    def page(self) -> int:
        """Lines of a column that are in sight."""
        return max(self.size.height - _HEAD - 2, 1)

    def on_answer_column_chosen(self, event: AnswerColumn.Chosen) -> None:
        """Tells which of the answers it was."""
        event.stop()
        for place, answer in enumerate(self._answers):
            if answer is event.column.answer:
                self.post_message(self.Chosen(place, event.token))

    def _lay_out(self) -> None:
        wish = self._wish
        if wish is None or not self.is_mounted or not self._answers:
            return
        across, count = self._grid(wish)
        # Whole pages: an answer keeps its place while others of its page are chosen.
        self._first = min(self._chosen // count * count, len(self._answers) - count)
        columns = list(self.query(AnswerColumn))
        if len(columns) < count:
            more = [AnswerColumn() for _ in range(count - len(columns))]
            self.mount_all(more)
            columns += more
        self.styles.grid_size_columns = across
        others = replace(wish, token=None)
        for place, column in enumerate(columns, self._first):
            column.set_class(place < self._first + count, "-shown")
            if place < self._first + count:
                is_chosen = place == self._chosen
                column.show(
                    self._answers[place], wish if is_chosen else others,
                    is_chosen=is_chosen, most_advantage=self._most_advantage,
                )  # fmt: skip

    def _grid(self, wish: Wish) -> tuple[int, int]:
        """How many columns stand side by side, and how many there are in all rows."""
        width, height = self.size
        if self._is_single:
            return 1, 1
        across = min(max((width + 1) // (_NARROWEST + 1), 1), len(self._answers))
        each = width // across
        # The longest quarter is scrolled, rather than giving all of them its room.
        needs = sorted(lines_needed(answer, each, wish.parts) for answer in self._answers)
        needed = max(needs[len(needs) * 3 // 4] + _HEAD, _SHORTEST)
        rows = max((height + 1) // (needed + 1), 1)
        return across, min(across * rows, len(self._answers), _MOST)
