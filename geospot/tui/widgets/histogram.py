"""One step's histogram beside the one before: bars, a mark where each ended before, and the difference."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from textual import events
from textual.message import Message
from textual.strip import Strip

from geospot.numbertext import compact
from geospot.runs.histograms import QUANTILES
from geospot.runs.spreads import Spreads, empty
from geospot.tui.canvas import BOLD, NONE, Canvas
from geospot.tui.inks import Inks
from geospot.tui.widgets.bins import BinRow, IntArray, step_counts
from geospot.tui.widgets.drawn import Drawn

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_MARK: Final = "┃"
_NUMBERS: Final = 12
"""Cells at the right for the count and the difference."""
_GUTTER: Final = 9
_MEDIAN: Final = QUANTILES.index(0.5)


class StepHistogram(Drawn):
    """Bars of a step, row by row beside a heat map; `show` says of which step. A click chooses a bar."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    StepHistogram { height: 1fr; background: $background; }
    """

    class Chosen(Message):
        """A bar was clicked: its step, its row, and how many rollouts it counts."""

        def __init__(self, step: int, row: BinRow, count: int) -> None:
            super().__init__()
            self.step, self.row, self.count = step, row, count

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._spreads: Spreads = empty("reward")
        self._rows: Sequence[BinRow] = ()
        self._step: int | None = None
        self._gutter = 0
        self._unit = ""

    def show(
        self,
        spreads: Spreads,
        rows: Sequence[BinRow],
        step: int | None,
        unit: str = "",
        *,
        labelled: bool = False,
    ) -> None:
        """Shows a step, None where there is none, in these rows.

        Args:
            unit: of the values, behind mean and median.
            labelled: whether what stands at the axis is written here; a heat map beside it says it already.
        """
        self._spreads, self._rows, self._step, self._unit = spreads, rows, step, unit
        self._gutter = _GUTTER if labelled else 0
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Chooses the bar in the row that is clicked."""
        offset = event.get_content_offset(self)
        if offset is None or self._step is None or not 0 < offset.y <= len(self._rows):
            return
        counts_R = step_counts(self._spreads, self._rows, self._step)
        if counts_R is not None:
            row = offset.y - 1
            self.post_message(self.Chosen(self._step, self._rows[row], int(counts_R[row])))

    def draw(self, inks: Inks) -> Sequence[Strip]:
        """The two steps' names, bars row by row, mean and median."""
        canvas = Canvas(*self.size)
        place = None if self._step is None else self._spreads.place(self._step)
        if place is None or self._step is None:
            canvas.text(0, 0, "no histogram at this step", inks.muted)
            return canvas.strips(self.rich_style)
        before = int(self._spreads.steps_S[place - 1]) if place else None
        now_R = step_counts(self._spreads, self._rows, self._step)
        before_R = step_counts(self._spreads, self._rows, before) if before is not None else None
        if now_R is None:
            return canvas.strips(self.rich_style)
        self._draw_bars(canvas, now_R, before_R, inks)
        self._draw_words(canvas, place, before, inks)
        return canvas.strips(self.rich_style)

    def _draw_bars(
        self,
        canvas: Canvas,
        now_R: IntArray,
        before_R: IntArray | None,
        inks: Inks,
    ) -> None:
        """Bars on the scale of the larger of the two steps."""
        room = max(canvas.width - self._gutter - _NUMBERS, 4)
        most = max(int(one_R.max()) for one_R in (now_R, before_R, np.ones(1)) if one_R is not None)
        for row, one in enumerate(self._rows):
            y, count = row + 1, int(now_R[row])
            if self._gutter:
                canvas.text(self._gutter - 1 - len(one.label), y, one.label, inks.muted)
            canvas.text(self._gutter, y, _bar(count / most * room), inks.series[0])
            number = f"{count:,}" if count else "·"
            canvas.text(canvas.width - _NUMBERS + 6 - len(number), y, number)
            if before_R is None:
                continue
            was = int(before_R[row])
            if was:
                x = self._gutter + min(round(was / most * room), room - 1)
                canvas.text(x, y, _MARK, inks.accent, NONE, BOLD)
            change = f"{count - was:+,}" if count != was else ""
            canvas.text(canvas.width - len(change), y, change, inks.muted)

    def _draw_words(self, canvas: Canvas, place: int, before: int | None, inks: Inks) -> None:
        head, other = f"█ step {self._step:,}", "" if before is None else f"{_MARK} step {before:,}"
        x = self._left_of(canvas, f"{head}  {other}")
        canvas.text(x, 0, head, inks.series[0], NONE, BOLD)
        canvas.text(x + len(head) + 2, 0, other, inks.accent, NONE, BOLD)
        y = len(self._rows) + 1
        for name, value_S in (
            ("mean", self._spreads.mean_S),
            ("median", self._spreads.quantiles_S_Q[:, _MEDIAN]),
        ):
            now = float(value_S[place])
            text = f"{name:<7}{compact(now, 4)}{self._unit}"
            if place and np.isfinite(was := float(value_S[place - 1])) and np.isfinite(now):
                sign = "+" if now >= was else "−"
                text += f"  ({sign}{compact(abs(now - was))})"
            canvas.text(self._left_of(canvas, text), y, text, inks.foreground)
            y += 1

    def _left_of(self, canvas: Canvas, text: str) -> int:
        """Where a line of words begins: above the bars, further left where it wouldn't fit."""
        return max(min(self._gutter, canvas.width - len(text)), 0)


def _bar(length: float) -> str:
    """A bar of so many cells, to the eighth; anything above nothing shows."""
    eighths = max(round(length * 8), 1 if length > 0 else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
