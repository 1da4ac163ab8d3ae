"""A chart of one quantity over steps, tokens or time: curves that are read with a cursor, zoomed, smoothed.

However many points there are, what is drawn is their lowest and highest value in each column of dots.
Curves differ by colour, by the pattern of their line and by a letter.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import numpy as np
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from geospot.tui.inks import Inks, inks_for
from geospot.tui.scales import moved_within
from geospot.tui.widgets.legend import draw_legend, legend_rows
from geospot.tui.widgets.picture import Body, Picture, crossed, cursor_cell, draw_body, plain_number
from geospot.tui.widgets.series import Reading, Series

SMOOTHING: Final = (0.0, 0.6, 0.9, 0.97, 0.99)
"""Weights of exponential smoothing, in the order in which the key goes through them."""

_ZOOM: Final = 2.0
_PAN: Final = 0.25


class Chart(Widget, can_focus=True):
    """Curves over a common x. `show` gives them; what the person has set (zoom, log axis, …) stays.

    Args:
        title: what the chart is about, in its first line.
        small: leaves the mouse wheel to whatever scrolls the chart, unless the chart has the focus.
    """

    DEFAULT_CSS = """
    Chart { height: 1fr; background: $background; }
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
        super().__init__(id=id)
        self.series: tuple[Series, ...] = ()
        self.cursor: float | None = None
        self.window: tuple[float, float] | None = None
        """From which x to which x is shown; None shows all."""
        self.smoothing = 0.0
        self.log_y = False
        self.without_outliers = False
        self.small = small
        self._title = title
        self._log_chosen = False
        self._x_label = "step"
        self._y_label = ""
        self._x_text: Callable[[float], str] = plain_number
        self._follows = False
        self._hovering = False
        self._head: list[Strip] | None = None
        self._body: Body | None = None
        self._inks: Inks

    def show(
        self,
        series: Sequence[Series],
        *,
        x_label: str = "step",
        y_label: str = "",
        log_y: bool = False,
        title: str | None = None,
        x_text: Callable[[float], str] | None = None,
    ) -> None:
        """Shows these curves; zoom, cursor, smoothing and a log axis that was chosen stay.

        Args:
            x_label: what x is: step, tokens, time.
            y_label: unit of the values, in the first line.
            log_y: whether the axis is logarithmic as long as the person hasn't chosen.
            title: what the chart is about; as before by default.
            x_text: writes a value of x; numbers in full by default.
        """
        self.series = tuple(series)
        self._x_label, self._y_label = x_label, y_label
        self._x_text = x_text or plain_number
        if title is not None:
            self._title = title
        if not self._log_chosen:
            self.log_y = log_y
        if self._follows and self.window is not None:
            self._look_at(self.extent[1] - (self.window[1] - self.window[0]), self.extent[1])
        self._redraw()

    # What is seen

    @property
    def extent(self) -> tuple[float, float]:
        """Smallest and largest x of all curves; (0, 1) without points."""
        ends = [(float(one.x_N[0]), float(one.x_N[-1])) for one in self.series if len(one)]
        if not ends:
            return 0.0, 1.0
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def seen(self) -> tuple[float, float]:
        """Smallest and largest x in sight."""
        low, high = self.window or self.extent
        return (low, high) if high > low else (low - 0.5, high + 0.5)

    def values_at(self, x: float) -> list[tuple[str, Reading | None]]:
        """Name of each curve and what it says at x, or next to it; None where it has nothing there."""
        return [(one.name, one.read(x)) for one in self.series]

    def set_cursor(self, x: float | None) -> None:
        """Puts the cursor at x, or away; tells nobody."""
        if x == self.cursor:
            return
        before = self._cursor_column()
        self.cursor, self._head = x, None
        if self._body is None:
            self.refresh()
            return
        # Only what looks otherwise now is painted: screens have many charts with the same cursor.
        columns = {column for column in (before, self._cursor_column()) if column is not None}
        height, head = self.size.height, self._body.box.top
        regions = [Region(column, head, 1, height - head) for column in columns]
        self.refresh(Region(0, 0, self.size.width, head), *regions)

    def set_view(self, window: tuple[float, float] | None, smoothing: float) -> None:
        """Shows from x to x, smoothed; tells nobody."""
        if (window, smoothing) != (self.window, self.smoothing):
            self.smoothing = smoothing
            if window is None:
                self.window, self._follows = None, False
            else:
                self._look_at(*window)
            self._redraw()

    def _redraw(self) -> None:
        self._head = self._body = None
        self.refresh()

    def _cursor_column(self) -> int | None:
        return None if self._body is None else cursor_cell(self._picture(), self._body.box)

    def _look_at(self, low: float, high: float) -> None:
        """Sets the window, within what there is; one that holds all is none."""
        self.window = moved_within(low, high, *self.extent)
        self._follows = self.window is not None and self.window[1] >= self.extent[1]

    # What the person does

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

    # Drawing

    def on_resize(self) -> None:
        """Draws anew."""
        self._redraw()

    def on_focus(self) -> None:
        """Shows that keys go here."""
        self._redraw_head()

    def on_blur(self) -> None:
        """Shows that they don't any more."""
        self._redraw_head()

    def _redraw_head(self) -> None:
        self._head = None
        self.refresh(Region(0, 0, self.size.width, 1))

    def notify_style_update(self) -> None:
        """Another theme has other colours."""
        super().notify_style_update()
        self._head = self._body = None

    def _drawn(self) -> Body:
        """The curves, drawn anew only where they or the size have changed."""
        if self._body is None:
            picture, (width, height) = self._picture(), self.size
            head, self._inks = legend_rows(picture, width, height), inks_for(self)
            self._body = draw_body(picture, width, height, head, self._inks, self.rich_style)
        return self._body

    def render_line(self, y: int) -> Strip:
        """One row: of the head, or of the curves with the cursor over them."""
        body = self._drawn()
        if y < body.box.top:
            if self._head is None:
                self._head = draw_legend(self._picture(), *self.size, self._inks, self.rich_style)
            return self._head[y] if y < len(self._head) else Strip.blank(self.size.width)
        row = y - body.box.top
        if row >= len(body.strips):
            return Strip.blank(self.size.width, self.rich_style)
        column = self._cursor_column()
        if column is None:
            return body.strips[row]
        return crossed(body, y, column, self.size.width, self._inks, self.rich_style)

    def _picture(self) -> Picture:
        return Picture(
            series=self.series,
            title=self._title,
            x_label=self._x_label,
            y_label=self._y_label,
            x_text=self._x_text,
            seen=self.seen,
            is_zoomed=self.window is not None,
            log_y=self.log_y,
            smoothing=self.smoothing,
            without_outliers=self.without_outliers,
            cursor=self.cursor,
            has_focus=self.has_focus,
        )
