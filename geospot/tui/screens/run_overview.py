"""A run's curves: as many small charts as there is room for, and any one of them as large as the screen."""

from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from geospot.runs.watch import RunState
from geospot.tui.screens.run_figures import Figure, any_figure, curves_of, figures_of
from geospot.tui.screens.run_head import is_over
from geospot.tui.widgets.chart import Chart
from geospot.tui.widgets.plot import whole_step

_LEAST_WIDTH: Final = 36
_USUAL_HEIGHT: Final = 9
_MOST_COLUMNS: Final = 4
_GUTTER: Final = 2
_OTHERS_S: Final = 0.06
_BREATH_S: Final = 0.02
_POINTS_AT_ONCE: Final = 1_000_000
"""How many points are drawn before keys have their turn."""


class Overview(VerticalScroll, can_focus=False):
    """The charts of one run. `show` gives its figures; cursor and zoom are the same in all of them."""

    DEFAULT_CSS = """
    Overview { height: 1fr; layout: grid; grid-gutter: 0 2; padding: 0 1; scrollbar-size-vertical: 1; }
    Overview > Chart { height: 100%; }
    Overview > #overview-nothing {
        display: none; column-span: 4; height: 100%; content-align: center middle; color: $text-muted;
    }
    Overview.-nothing > #overview-nothing { display: block; }
    Overview.-large > Chart { display: none; }
    Overview.-large > Chart.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "enlarge", "Enlarge", tooltip="This chart as large as the screen, and back"
        ),
        Binding(
            "up,k", "row(-1)", "Up", show=False, tooltip="The chart above; enlarged: the one before"
        ),
        Binding(
            "down,j",
            "row(1)",
            "Down",
            show=False,
            tooltip="The chart below; enlarged: the next one",
        ),
        Binding(
            "delete,x", "drop", "Take away", show=False, tooltip="Takes a chart away that was added"
        ),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.added: list[str] = []
        """Keys that the person has picked, in the order in which they came."""
        self._figures: list[Figure] = []
        self._charts: dict[str, Chart] = {}
        self._state: RunState | None = None
        self._drawn: tuple[int, bool, str, int, bool] | None = None
        self._waiting: list[Figure] = []
        """Figures whose charts don't show yet what is known of them."""
        self._draws_on: Timer | None = None
        self._leading: Chart | None = None
        """The chart whose cursor and zoom the others are about to take over."""

    def compose(self) -> "list[Static]":
        """Charts come with their figures."""
        return [Static("", id="overview-nothing", markup=False)]

    @property
    def is_large(self) -> bool:
        """Whether one chart has all the room."""
        return self.has_class("-large")

    @property
    def charts(self) -> list[Chart]:
        """The charts in their order."""
        return [self._charts[figure.name] for figure in self._figures]

    def show(self, state: RunState) -> None:
        """Shows what is known of a run; what is shown already isn't drawn again."""
        self._state = state
        drawn = (state.revision, state.is_behind, state.kind, len(self.added), is_over(state))
        if drawn == self._drawn:
            return
        self._drawn = drawn
        figures = figures_of(state.columns, state.kind)
        known = {key for figure in figures for key, _ in figure.curves}
        figures += [any_figure(key) for key in self.added if key not in known]
        names = [figure.name for figure in figures]
        if names != [figure.name for figure in self._figures]:
            self._figures = figures
            self._mount_charts()
        self._figures = figures
        self.set_class(not figures, "-nothing")
        if not figures:
            self.query_one("#overview-nothing", Static).update(_why_nothing(state))
        # Those that still wait come first: with news coming fast, none would ever have its turn.
        waiting = [one.name for one in self._waiting]
        self._waiting = sorted(figures, key=lambda one: one.name not in waiting)
        if self._draws_on is None:
            self._draw_on()

    def _draw_on(self) -> None:
        """Gives charts what they show; of long runs a few at a time, so that keys come in between."""
        points = 0
        while self._waiting and self._state is not None and points < _POINTS_AT_ONCE:
            figure = self._waiting.pop(0)
            chart = self._charts[figure.name]
            chart.show(
                curves_of(figure, self._state.columns),
                y_label=figure.unit,
                log_y=figure.log,
                title=figure.title,
                x_text=whole_step,
            )
            points += sum(map(len, chart.series))
        self._draws_on = self.set_timer(_BREATH_S, self._draw_on) if self._waiting else None

    def add(self, key: str) -> None:
        """Shows a chart of any key as large as the screen; it stays among the others."""
        figure = next((f for f in self._figures if key in dict(f.curves)), None)
        if figure is None:
            self.added.append(key)
            if self._state is not None:
                self.show(self._state)
        name = key if figure is None else figure.name
        self._charts[name].focus()
        self._enlarge(self._charts[name])

    def _mount_charts(self) -> None:
        """Makes charts that are new, and brings all into their order."""
        for figure in self._figures:
            if figure.name not in self._charts:
                chart = self._charts[figure.name] = Chart(small=True)
                self.mount(chart)
        names = [figure.name for figure in self._figures]
        for name in [name for name in self._charts if name not in names]:
            self._charts.pop(name).remove()
        order: dict[Widget, int] = {self._charts[name]: n for n, name in enumerate(names)}

        def place(widget: Widget) -> int:
            return order.get(widget, -1)

        self.sort_children(key=place)
        self._arrange()

    def on_resize(self) -> None:
        """Another size has room for other charts."""
        self._arrange()

    @property
    def grid(self) -> tuple[int, int]:
        """Charts beside one another, and rows of charts that are seen at once."""
        width, height = self.size.width, max(self.size.height, 3)
        if self.is_large:
            return 1, 1
        columns = min(max((width + _GUTTER) // (_LEAST_WIDTH + _GUTTER), 1), _MOST_COLUMNS)
        columns = min(columns, max(len(self._figures), 1))
        wanted = -(-len(self._figures) // columns) if self._figures else 1
        return columns, max(min(wanted, round(height / _USUAL_HEIGHT)), 1)

    def _arrange(self) -> None:
        columns, rows = self.grid
        height = max(self.size.height, 3)
        heights = [height // rows + (row < height % rows) for row in range(rows)]
        self.styles.grid_size_columns = columns
        self.styles.grid_rows = " ".join(map(str, heights))

    # What the person does

    def action_enlarge(self) -> None:
        """The focused chart gets all the room, or gives it back."""
        chart = self._focused()
        if self.is_large:
            self.show_all()
        elif chart is not None:
            self._enlarge(chart)

    def _enlarge(self, chart: Chart) -> None:
        for other in self._charts.values():
            other.set_class(other is chart, "-shown")
            other.small = other is not chart
        self.add_class("-large")
        self._arrange()

    def show_all(self) -> None:
        """All charts are seen again."""
        for chart in self._charts.values():
            chart.small = True
        self.remove_class("-large")
        self._arrange()
        chart = self._focused()
        if chart is not None:
            self.call_after_refresh(chart.scroll_visible, animate=False)

    def action_row(self, rows: int) -> None:
        """To the chart above or below."""
        charts, chart = self.charts, self._focused()
        if not charts:
            return
        step = rows if self.is_large else rows * self.grid[0]
        place = charts.index(chart) + step if chart is not None else 0
        if self.is_large:
            place %= len(charts)
            self._enlarge(charts[place])
        if 0 <= place < len(charts):
            charts[place].focus()

    def action_drop(self) -> None:
        """Takes a chart away that was added."""
        name = next((n for n, c in self._charts.items() if c is self._focused()), None)
        if name in self.added and self._state is not None:
            self.added.remove(name)
            self.show_all()
            self.show(self._state)

    def focus_first(self) -> None:
        """Gives the keys to a chart, where there is one."""
        charts = self.charts
        if charts and self._focused() is None:
            charts[0].focus()

    def _focused(self) -> Chart | None:
        focused = self.screen.focused
        return focused if isinstance(focused, Chart) and focused in self.charts else None

    def on_chart_cursor_moved(self, event: Chart.CursorMoved) -> None:
        """All charts have the same cursor."""
        event.stop()
        self._spread_soon(event.chart)

    def on_chart_view_changed(self, event: Chart.ViewChanged) -> None:
        """All charts show the same steps, equally smoothed."""
        event.stop()
        self._spread_soon(event.chart)

    def _spread_soon(self, chart: Chart) -> None:
        """The chart with the keys is drawn at once, the others a moment later: keys may repeat."""
        is_waiting, self._leading = self._leading is not None, chart
        if not is_waiting:
            self.set_timer(_OTHERS_S, self._spread)

    def _spread(self) -> None:
        leading, self._leading = self._leading, None
        if leading is not None:
            self._follow(leading, [chart for chart in self.charts if chart is not leading])

    def _follow(self, leading: Chart, waiting: list[Chart]) -> None:
        """Charts take over cursor and zoom; of long runs a few at a time, so that keys come in between."""
        points = 0
        while waiting and points < _POINTS_AT_ONCE:
            chart = waiting.pop(0)
            chart.set_view(leading.window, leading.smoothing)
            chart.set_cursor(leading.cursor)
            points += sum(map(len, chart.series))
        if waiting and self._leading is None:
            self.set_timer(_BREATH_S, lambda: self._follow(leading, waiting))


def _why_nothing(state: RunState) -> str:
    """What stands in the place of the charts."""
    if state.is_behind:
        return "reading …"
    if is_over(state):
        return "It ended before its first step: there are no figures. l shows its log."
    return "No figures yet: they come with the first step."
