"""A chart that a person reads: curves with a cursor, zoomed, moved and smoothed by keys and mouse."""

from typing import ClassVar, Final

import numpy as np
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from geospot.tui.widgets.curves import Curves

SMOOTHING: Final = (0.0, 0.6, 0.9, 0.97, 0.99)
"""Weights of exponential smoothing, in the order in which the key goes through them."""

_ZOOM: Final = 2.0
_PAN: Final = 0.25


class Chart(Curves, can_focus=True):
    """Curves with the keys and the mouse that read them; what the person has set (zoom, …) stays.

    Args:
        title: what the chart is about, in its first line.
        small: leaves the mouse wheel to whatever scrolls the chart, unless the chart has the focus.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Cursor left", show=False, tooltip="To the point before"),
        Binding("right", "move(1)", "Cursor right", show=False, tooltip="To the next point"),
        Binding("shift+left", "leap(-1)", "Far left", show=False, tooltip="Many points back"),
        Binding("shift+right", "leap(1)", "Far right", show=False, tooltip="Many points on"),
        Binding("home", "end(-1)", "First", show=False, tooltip="To the first point"),
        Binding("end", "end(1)", "Newest", show=False, tooltip="To the newest point"),
        Binding(
            "plus,equals_sign", "zoom(1)", "Zoom in", key_display="+", tooltip="Around the cursor"
        ),
        Binding(
            "minus",
            "zoom(-1)",
            "Zoom out",
            key_display="-",
            show=False,
            tooltip="Around the cursor",
        ),
        Binding("left_square_bracket", "pan(-1)", "Pan left", key_display="[", show=False),
        Binding("right_square_bracket", "pan(1)", "Pan right", key_display="]", show=False),
        Binding("0", "whole", "Whole", show=False, tooltip="All of it, without a cursor"),
        Binding(
            "a", "smooth", "Smooth", tooltip="Stronger smoothing, then none; the raw line stays"
        ),
        Binding("y", "log", "Log axis", tooltip="Logarithmic or linear values"),
        Binding(
            "v",
            "outliers",
            "Outliers",
            show=False,
            tooltip="The axis without the few values far from all others, and with them again",
        ),
    ]

    class CursorMoved(Message):
        """The cursor is at another x, None where it is gone."""

        def __init__(self, chart: "Chart", x: float | None) -> None:
            super().__init__()
            self.chart, self.x = chart, x

        @property
        def control(self) -> "Chart":
            """The chart."""
            return self.chart

    class ViewChanged(Message):
        """The person has zoomed, panned or smoothed; see `window` and `smoothing`."""

        def __init__(self, chart: "Chart") -> None:
            super().__init__()
            self.chart = chart

        @property
        def control(self) -> "Chart":
            """The chart."""
            return self.chart

    def __init__(self, title: str = "", *, small: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(title, id=id)
        self.small = small
        self._hovering = False

    def action_move(self, points: int) -> None:
        """Moves the cursor by points."""
        dense = max(self.series, key=len, default=None)
        if dense is None or not len(dense):
            return
        if self.cursor is None:
            within = min(self.seen[1], float(dense.x_N[-1]))
            place = int(np.searchsorted(dense.x_N, within, side="right")) - 1
        elif abs(points) == 1:
            self._go(self._neighbour(self.cursor, points))
            return
        else:
            place = int(np.searchsorted(dense.x_N, self.cursor)) + points
        self._go(float(dense.x_N[min(max(place, 0), len(dense) - 1)]))

    def _neighbour(self, x: float, direction: int) -> float:
        """The next x at which some curve has a point."""
        found: list[float] = []
        for one in self.series:
            side = "right" if direction > 0 else "left"
            place = int(np.searchsorted(one.x_N, x, side=side)) - (direction < 0)
            if 0 <= place < len(one):
                found.append(float(one.x_N[place]))
        return min(found, key=lambda other: abs(other - x), default=x)

    def action_leap(self, direction: int) -> None:
        """Moves the cursor by a twentieth of the points in sight."""
        dense = max(self.series, key=len, default=None)
        if dense is not None:
            low, high = self.seen
            first = int(np.searchsorted(dense.x_N, low))
            points = int(np.searchsorted(dense.x_N, high, side="right")) - first
            self.action_move(direction * max(points // 20, 2))

    def action_end(self, direction: int) -> None:
        """Moves the cursor to the first or the last point."""
        self._go(self.extent[direction > 0])

    def _go(self, x: float) -> None:
        """Puts the cursor at x, brings it into sight, and tells."""
        low, high = self.seen
        if self.window is not None and not low <= x <= high:
            shift = x - low if x < low else x - high
            self._look_at(low + shift, high + shift)
            self.post_message(self.ViewChanged(self))
        self._hovering = False
        self._tell_cursor(x)

    def _tell_cursor(self, x: float | None) -> None:
        if x != self.cursor:
            self.set_cursor(x)
            self.post_message(self.CursorMoved(self, x))

    def action_zoom(self, direction: int, around: float | None = None) -> None:
        """Shows half as much, or twice as much, around the cursor (without one, up to the newest)."""
        low, high = self.seen
        middle = around if around is not None else self.cursor
        middle = high if middle is None or not low <= middle <= high else middle
        factor = _ZOOM**-direction
        if direction > 0 and (high - low) * factor < self._least_width():
            return
        self._look_at(middle - (middle - low) * factor, middle + (high - middle) * factor)
        self._changed()

    def _least_width(self) -> float:
        """No zoom goes below two points."""
        dense = max(self.series, key=len, default=None)
        if dense is None or len(dense) < 2:
            return np.inf
        first, last = self.extent
        return min((last - first) / (len(dense) - 1), last - first)

    def action_pan(self, direction: int) -> None:
        """Shows what is further left or right."""
        low, high = self.seen
        shift = direction * _PAN * (high - low)
        if self.window is not None:
            self._look_at(low + shift, high + shift)
            self._changed()

    def action_whole(self) -> None:
        """Shows all of it, without a cursor."""
        self.window, self._follows = None, False
        self._tell_cursor(None)
        self._changed()

    def action_smooth(self) -> None:
        """The next strength of smoothing."""
        place = SMOOTHING.index(self.smoothing) if self.smoothing in SMOOTHING else 0
        self.smoothing = SMOOTHING[(place + 1) % len(SMOOTHING)]
        self._changed()

    def action_log(self) -> None:
        """Turns the logarithmic axis on or off."""
        self.log_y, self._log_chosen = not self.log_y, True
        self._redraw()

    def action_outliers(self) -> None:
        """Leaves the few values out of the axis that lie far from all others, or has them in it again."""
        self.without_outliers = not self.without_outliers
        self._redraw()

    def _changed(self) -> None:
        self._redraw()
        self.post_message(self.ViewChanged(self))

    # The mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The cursor goes to the point below the mouse."""
        self._point_at(event)

    def on_click(self, event: events.Click) -> None:
        """The cursor stays where it was clicked."""
        self._point_at(event)
        self._hovering = False

    def on_leave(self) -> None:
        """The mouse takes its cursor along."""
        if self._hovering:
            self._hovering = False
            self._tell_cursor(None)

    def _point_at(self, event: events.MouseEvent) -> None:
        x = self._x_at(event)
        near = [
            float(one.x_N[place])
            for one in self.series
            if x is not None and (place := one.nearest(x)) is not None
        ]
        if x is not None and near:
            self._hovering = self._hovering or self.cursor is None
            self._tell_cursor(min(near, key=lambda other: abs(other - x)))

    def _x_at(self, event: events.MouseEvent) -> float | None:
        offset = event.get_content_offset(self)
        box = self._drawn().box
        if offset is None or not box.left <= offset.x < box.left + box.width:
            return None
        low, high = self.seen
        return low + (offset.x - box.left + 0.5) / box.width * (high - low)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zooms in around the mouse."""
        self._wheel(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zooms out around the mouse."""
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, direction: int) -> None:
        if not self.small or self.has_focus:
            event.stop()
            self.action_zoom(direction, self._x_at(event))
