"""Several runs over one another, live: one metric on one chart, their figures, what was set differently."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from numpy.typing import NDArray
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widgets import Static

from geospot.numbertext import compact, duration
from geospot.runs.columns import Columns
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot.tui.overlay import (
    AXES,
    AXIS_WORDS,
    RUN_COLUMNS,
    Axis,
    Difference,
    difference_columns,
    differences,
    first_metric,
    metrics_of,
    run_cells,
    series_of,
    standing_of,
    warning,
    x_of,
)
from geospot.tui.screen import GeoScreen
from geospot.tui.screens.metric_picker import MetricPicker
from geospot.tui.widgets.chart import Chart
from geospot.tui.widgets.panes import Panes
from geospot.tui.widgets.table import Table

MOST: Final = 8
"""Curves that one chart can still tell apart."""

_TICK_S: Final = 1.0
_REDRAW_S: Final = 0.15
"""News that come closer together are drawn once."""

_WIDE: Final = 150
_MOST_LINES: Final = 12

FIGURES: Final = "Figures"
_BESIDE: Final = 90


class CompareRunsScreen(GeoScreen):
    """Runs by step, by tokens or by the time they trained."""

    DEFAULT_CSS = """
    CompareRunsScreen Chart { height: 3fr; min-height: 8; }
    CompareRunsScreen #overlay-warning { height: auto; padding: 0 1; color: $text-warning; display: none; }
    CompareRunsScreen #overlay-warning.-shown { display: block; }
    CompareRunsScreen Panes { height: 2fr; min-height: 4; max-height: 45%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "metric", "Metric", tooltip="Choose from all metrics of the runs"),
        Binding(
            "n", "next_metric(1)", "Next metric", tooltip="The next metric that most runs have"
        ),
        Binding("p", "next_metric(-1)", "Metric before", show=False, tooltip="The metric before"),
        Binding("x", "axis", "By step, tokens, time", tooltip="What the curves are drawn over"),
        Binding("d", "view", "Differences", tooltip="Figures, or what was set differently"),
        Binding("o", "open", "Open run", show=False, tooltip="The run under the cursor"),
    ]

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__()
        self.folders = tuple(folders)[:MOST]
        self._left_out = len(folders) - len(self.folders)
        self.states: list[RunState] = [RunState(folder) for folder in self.folders]
        self.metric: str | None = None
        self.axis: Axis = "step"
        self.differences: Sequence[Difference] = ()
        self._chosen = False
        self._has_looked: set[int] = set()
        self._ends: list[Callable[[], None]] = []
        self._timer: Timer | None = None
        self._names = _names(self.folders)
        self._standings: Sequence[str] = ()
        self._places: dict[int, tuple[Columns, Axis, NDArray[Any] | None]] = {}

    def compose_body(self) -> ComposeResult:
        """Chart, what stands in the way of a conclusion, tables."""
        yield Chart(id="overlay")
        yield Static("", id="overlay-warning", markup=False)
        runs, unlike = Table(RUN_COLUMNS, id="overlay-runs"), Table((), id="overlay-unlike")
        yield Panes({FIGURES: runs, "Set differently": unlike}, beside=_BESIDE, wide=_WIDE)

    def on_mount(self) -> None:
        """Watches all runs."""
        self.say_title("runs", "compare", *([] if self.folders else ["nothing"]))
        if not self.folders:
            self.say_status("Nothing to compare: mark runs with space in the list of runs, then c.")
        else:
            self.say_status("reading the runs…")
        for place, folder in enumerate(self.folders):
            told = self._teller(place)
            self._ends.append(self.geospot.watchings.of(folder).subscribe(told))
        self.query_one(Chart).focus()
        self.set_interval(_TICK_S, self._tick)

    def on_unmount(self) -> None:
        """Watches no longer."""
        for end in self._ends:
            end()

    def _teller(self, place: int) -> Callable[[RunState], None]:
        def told(state: RunState) -> None:
            self.states[place] = state
            self._has_looked.add(place)
            if self._timer is None:
                self._timer = self.set_timer(_REDRAW_S, self._redraw)

        return told

    def _tick(self) -> None:
        """A process that is killed writes nothing any more."""
        if self.is_current and self._standings and self._standings != self._standing_now():
            self._draw()

    def _standing_now(self) -> Sequence[str]:
        return [standing_of(state) for state in self.states]

    def _redraw(self) -> None:
        self._timer = None
        if not self._chosen or self.metric is None:
            self.metric = first_metric(self.states)
        self.differences = differences(self.states)
        self._draw()

    def _draw(self) -> None:
        metric = self.metric or ""
        self._standings = self._standing_now()
        curves = [
            series_of(state.columns, printable(name, limit=60), metric, self._x(place))
            for place, (state, name) in enumerate(zip(self.states, self._names, strict=True))
        ]
        is_log = "km" in metric.casefold().replace("/", "_").split("_") and "acc" not in metric
        self.query_one(Chart).show(
            curves,
            x_label=AXIS_WORDS[self.axis],
            y_label=_unit(metric),
            log_y=is_log,
            title=printable(metric, limit=80),
            x_text=duration if self.axis == "time" else compact if self.axis == "tokens" else None,
        )
        said = warning(self.states, metric)
        line = self.query_one("#overlay-warning", Static)
        line.update(Text(printable(said)))
        line.set_class(bool(said), "-shown")
        self._fit()
        self._show_tables(metric)
        self._say(metric)

    def _x(self, place: int) -> "NDArray[Any] | None":
        """Where a run's steps stand; of long runs that takes a while, so it is kept for other metrics."""
        columns, known = self.states[place].columns, self._places.get(place)
        if known is None or known[0] is not columns or known[1] != self.axis:
            known = self._places[place] = (columns, self.axis, x_of(columns, self.axis))
        return known[2]

    def _show_tables(self, metric: str) -> None:
        states, names, unlike = self.states, self._names, self.differences
        self.query_one("#overlay-runs", Table).show(
            len(states), lambda row: run_cells(states[row], row, names[row], metric)
        )
        table = self.query_one("#overlay-unlike", Table)
        columns = difference_columns(len(states), table.scrollable_content_region.width)
        if tuple(columns) != table.columns:
            table.set_columns(columns)
        table.show(len(unlike), lambda row: [unlike[row].name, *unlike[row].values])

    def _fit(self) -> None:
        """The tables take as many lines as they have; the rest is the chart's."""
        panes = self.query_one(Panes)
        is_unlike = panes.shown != FIGURES
        rows = len(self.differences) if is_unlike or panes.is_wide else 0
        panes.styles.height = 2 + min(max(len(self.states), rows, 2), _MOST_LINES)

    def _say(self, metric: str) -> None:
        lacking = [
            name
            for state, name in zip(self.states, self._names, strict=True)
            if metric not in state.columns.values_N
        ]
        behind = sum(state.is_behind for state in self.states)
        waiting = len(self.folders) - len(self._has_looked)
        gone = sum(state.is_gone for state in self.states)
        self.say_title("runs", "compare", *self._names)
        self.say_status(
            f"reading {behind + waiting} of {len(self.folders)} runs" if behind + waiting else "",
            f"by {AXIS_WORDS[self.axis]}",
            f"without {metric}: {', '.join(lacking)}" if lacking and metric else "",
            f"{gone} gone" if gone else "",
            f"{len(self.differences)} settings differ",
            f"{self._left_out} more left out: {MOST} at most" if self._left_out else "",
        )

    def on_resize(self, event: events.Resize) -> None:
        """Columns follow the width."""
        if self._has_looked:
            self.call_after_refresh(self._draw)

    # What the person does

    def action_metric(self) -> None:
        """Chooses from all metrics."""
        shown = self.metric or first_metric(self.states)  # nothing is drawn in the first moments
        picker = MetricPicker(metrics_of(self.states), shown, len(self.states))
        self.geospot.push_screen(picker, self._pick)

    def _pick(self, metric: str | None) -> None:
        if metric is not None:
            self.metric, self._chosen = metric, True
            self._draw()

    def action_next_metric(self, by: int) -> None:
        """The next metric."""
        names = [name for name, _ in metrics_of(self.states)]
        if names:
            place = names.index(self.metric) if self.metric in names else -1
            self._pick(names[(place + by) % len(names)])

    def action_axis(self) -> None:
        """By step, by tokens, by time."""
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        self.query_one(Chart).action_whole()
        self._draw()

    def action_view(self) -> None:
        """Figures, or what was set differently."""
        self.query_one(Panes).next(1)

    def on_panes_shown(self, _event: Panes.Shown) -> None:
        """Columns follow the width, which a hidden table hasn't."""
        self.call_after_refresh(self._draw)

    def action_open(self) -> None:
        """Opens the run under the cursor."""
        row = self.query_one("#overlay-runs", Table).cursor
        if row < len(self.folders):
            self.geospot.open_run(self.folders[row])

    def on_table_selected(self, event: Table.Selected) -> None:
        """Opens the run."""
        if event.table.id == "overlay-runs":
            self.action_open()


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' names, with as much of the way to them as it takes to tell them apart."""
    names = [folder.name or str(folder) for folder in folders]
    for depth in range(2, 6):
        if len(set(names)) == len(names):
            break
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
    return names


def _unit(metric: str) -> str:
    if metric.endswith("_km"):
        return "km"
    if "geoscore" in metric:
        return "0–5000"
    if metric.startswith("time/"):
        return "s"
    return "share" if "acc_" in metric or "frac_" in metric else ""
