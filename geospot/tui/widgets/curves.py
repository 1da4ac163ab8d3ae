"""Curves of one quantity over steps, tokens or time, with their axes and a cursor, drawn.

However many points there are, what is drawn is their lowest and highest value in each column of dots.
Curves differ by colour, by the pattern of their line and by a letter.
"""

from collections.abc import Callable, Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from geospot.tui.inks import Inks, inks_for
from geospot.tui.scales import moved_within
from geospot.tui.widgets.legend import draw_legend, legend_rows
from geospot.tui.widgets.picture import Body, Picture, crossed, cursor_cell, draw_body, plain_number
from geospot.tui.widgets.series import Series


class Curves(Widget):
    """Curves over a common x. `show` gives them; what is set beside them (window, log axis, …) stays.

    Args:
        title: what they are about, in the first line.
    """

    DEFAULT_CSS = """
    Curves { height: 1fr; background: $background; }
    """

    def __init__(self, title: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.series: tuple[Series, ...] = ()
        self.cursor: float | None = None
        self.window: tuple[float, float] | None = None
        """From which x to which x is shown; None shows all."""
        self.smoothing = 0.0
        self.log_y = False
        self.without_outliers = False
        self._title = title
        self._log_chosen = False
        self._x_label = "step"
        self._y_label = ""
        self._x_text: Callable[[float], str] = plain_number
        self._follows = False
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
