"""Two lines above the rollouts: where in the run the step stands, and how the groups of the step did."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from textual import events
from textual.message import Message
from textual.strip import Strip

from geospot.tui.canvas import BOLD, UNDERLINE, Canvas
from geospot.tui.inks import Inks
from geospot.tui.rollout_groups import Group
from geospot.tui.widgets.drawn import Drawn

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_LABEL: Final = 14


class _Line(Drawn):
    """One line: a name at the left, a picture that can be clicked, a remark at the right."""

    DEFAULT_CSS = """
    _Line { height: 1; padding: 0 1; }
    """

    def draw(self, inks: Inks) -> Sequence[Strip]:
        """The line."""
        canvas = Canvas(self.size.width, 1)
        self.draw_line(canvas, inks)
        return canvas.strips(self.rich_style)

    def draw_line(self, canvas: Canvas, inks: Inks) -> None:
        """Draws what is on it."""
        raise NotImplementedError


class Scrubber(_Line):
    """The run from its first step with rollouts to its last: ━ has rollouts, ─ has none, ● is shown."""

    class Sought(Message):
        """A step was clicked, or the nearest one with rollouts."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.steps: Sequence[int] = ()
        self.step: int | None = None
        self.remark = ""

    def show(self, steps: Sequence[int], step: int | None, remark: str) -> None:
        """Shows where `step` is among the steps that have rollouts."""
        if (steps, step, remark) != (self.steps, self.step, self.remark):
            self.steps, self.step, self.remark = steps, step, remark
            self.redraw()

    def draw_line(self, canvas: Canvas, inks: Inks) -> None:
        """A line of steps with the shown one on it."""
        left, width = self._room
        name = "step –" if self.step is None else f"step {self.step}"
        canvas.text(0, 0, name, inks.foreground, attributes=BOLD)
        canvas.text(left + width + 1, 0, self.remark, inks.muted)
        if not self.steps or width < 3:
            return
        first, last = self.steps[0], self.steps[-1]
        span = max(last - first, 1)
        has = _cells_with_steps(np.asarray(self.steps, np.int64), width)
        canvas.text(left, 0, "".join(np.where(has, "━", "─").tolist()), inks.muted)
        if self.step is not None:
            at = min(max((self.step - first) * (width - 1) // span, 0), width - 1)
            canvas.text(left + at, 0, "●", inks.accent, attributes=BOLD)

    def on_click(self, event: events.Click) -> None:
        """Goes to the step at this place."""
        offset = event.get_content_offset(self)
        left, width = self._room
        if offset is None or not self.steps or not left <= offset.x < left + width:
            return
        first, last = self.steps[0], self.steps[-1]
        wanted = first + (offset.x - left) / max(width - 1, 1) * (last - first)
        after = min(bisect_left(self.steps, wanted), len(self.steps) - 1)
        near = min(self.steps[max(after - 1, 0) : after + 1], key=lambda step: abs(step - wanted))
        self.post_message(self.Sought(near))

    @property
    def _room(self) -> tuple[int, int]:
        """Where the line begins, and its length."""
        return _LABEL, max(self.size.width - _LABEL - len(self.remark) - 1, 0)


def _cells_with_steps(steps_S: NDArray[np.int64], width: int) -> NDArray[np.bool_]:
    """Which of the cells from the first step to the last one stand for steps that have rollouts.

    Where there are more cells than steps, a cell between two stands for the nearer one.
    """
    first, span = int(steps_S[0]), max(int(steps_S[-1] - steps_S[0]), 1)
    has_W = np.zeros(width, bool)
    has_W[(steps_S - first) * (width - 1) // span] = True
    near_W = first + np.rint(np.arange(width) * span / max(width - 1, 1)).astype(np.int64)
    return has_W | np.isin(near_W, steps_S)


class GroupStrip(_Line):
    """The groups of a step in the order in which they are gone through: a bar each, as high as its reward."""

    class Sought(Message):
        """A group was clicked; `place` is its place in the order."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.groups: Sequence[Group] = ()
        self.place = 0
        self.remark = ""

    def show(self, groups: Sequence[Group], place: int, remark: str) -> None:
        """Shows which of the groups is looked at."""
        if groups is not self.groups or (place, remark) != (self.place, self.remark):
            self.groups, self.place, self.remark = groups, place, remark
            self.redraw()

    def draw_line(self, canvas: Canvas, inks: Inks) -> None:
        """Bars of the groups that fit, the shown one underlined."""
        name = f"group {self.place + 1}/{len(self.groups)}" if self.groups else "no group"
        canvas.text(0, 0, name, inks.foreground, attributes=BOLD)
        first, count = self._range
        for cell in range(count):
            group = self.groups[first + cell]
            is_shown = first + cell == self.place
            colour = inks.accent if is_shown else inks.muted
            attributes = BOLD | UNDERLINE if is_shown else 0
            canvas.text(_LABEL + cell, 0, _block(group.mean_reward), colour, attributes=attributes)
        canvas.text(_LABEL + count + 1, 0, self.remark, inks.muted)

    def on_click(self, event: events.Click) -> None:
        """Goes to the group at this place."""
        offset = event.get_content_offset(self)
        first, count = self._range
        if offset is not None and 0 <= offset.x - _LABEL < count:
            self.post_message(self.Sought(first + offset.x - _LABEL))

    @property
    def _range(self) -> tuple[int, int]:
        """The first group that is drawn, and how many are: those around the shown one where not all fit."""
        room = max(self.size.width - _LABEL - min(len(self.remark) + 1, self.size.width // 2), 1)
        count = min(room, len(self.groups))
        first = min(max(self.place - count // 2, 0), len(self.groups) - count)
        return first, count


def _block(reward: float) -> str:
    """A bar for a mean reward from 0 to 1; rewards on other scales are cut off at these."""
    if np.isnan(reward):
        return "?"
    return _BLOCKS[1 + min(max(int(reward * 8), 0), 7)]
