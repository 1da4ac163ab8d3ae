"""One widget in an app of its own that is drawn again and again: `python -m … NAME POINTS`.

It draws when it is told to (`benchmarks.turns`). A redraw is: new data, and everything that follows until
the screen has been painted; bytes for a terminal aren't made, for anybody.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, Final

import numpy as np
from textual.app import App
from textual.screen import Screen
from textual.widget import Widget

from benchmarks.turns import Turns

SIZE: Final = (120, 40)
OURS: Final = ("chart", "heatmap", "histogram", "map", "table")
_TEXTS: Final = ("some/model-4B", "running", "0.4375", "812", "1h02m", "63.5M", "$1.20", "rl")

Redraw = Callable[[], Awaitable[None] | None]


class One(Screen[None]):
    """A screen with one widget."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> Any:
        """The widget."""
        yield self.widget


def main(name: str, points: int) -> None:
    """Draws in turns until nobody asks any more."""
    widget, redraw = MAKERS[name](points)
    app = _app(One(widget), is_ours=name in OURS)

    async def run() -> None:
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause(0.3)
            turns = Turns()
            turns.say({"ready": name})
            while turns.next():
                again = redraw()
                if again is not None:
                    await again
                await _painted(widget)

    asyncio.run(run())


def _app(screen: Screen[None], *, is_ours: bool) -> App[None]:
    if is_ours:
        from geospot.tui.app import GeospotApp

        def first(app: GeospotApp) -> None:
            app.push_screen(screen)

        return GeospotApp([], first=first)

    class Plain(App[None]):
        def on_mount(self) -> None:
            self.push_screen(screen)

    return Plain()


async def _painted(widget: Widget) -> None:
    """Twice, since some widgets draw their parts in the next round."""
    for _ in range(2):
        done = asyncio.Event()
        widget.call_after_refresh(done.set)
        widget.refresh()
        await done.wait()


def _curve(points: int) -> tuple[Any, Callable[[], Any]]:
    """Steps, and a noisy curve that is another one each time."""
    rng = np.random.default_rng(0)
    x_N = np.arange(points)
    noise_N = rng.normal(0, 0.1, points)
    return x_N, lambda: np.tanh(3 * x_N / points) + noise_N * rng.uniform(0.9, 1.1)


def _chart(points: int) -> tuple[Widget, Redraw]:
    from geospot.tui.widgets.chart import Chart
    from geospot.tui.widgets.series import Series

    chart, (x_N, curve) = Chart("curve"), _curve(points)
    return chart, lambda: chart.show([Series("a", x_N, curve().astype(np.float32))])


def _plotext(points: int) -> tuple[Widget, Redraw]:
    module: Any = import_module("textual_plotext")
    plot, (x_N, curve) = module.PlotextPlot(), _curve(points)
    x = x_N.tolist()

    def redraw() -> None:
        plot.plt.clear_data()
        plot.plt.plot(x, curve().tolist(), marker="braille")
        plot.refresh()

    return plot, redraw


def _textual_plot(points: int) -> tuple[Widget, Redraw]:
    module: Any = import_module("textual_plot")
    plot, (x_N, curve) = module.PlotWidget(), _curve(points)

    def redraw() -> None:
        plot.clear()
        plot.plot(x_N, curve(), hires_mode=module.HiResMode.BRAILLE)
        plot.refresh()

    return plot, redraw


def _spreads(steps: int) -> Any:
    from geospot.runs.histograms import DISTANCE_EDGES_KM, REWARD_EDGES
    from geospot.runs.spreads import Spreads

    rng = np.random.default_rng(0)
    counts_S_B = rng.integers(0, 40, (steps, len(REWARD_EDGES) + 1)).astype(np.int32)
    quantiles_S_Q = np.sort(rng.random((steps, 9)).astype(np.float32), axis=1)
    mean_S = quantiles_S_Q.mean(axis=1)
    assert len(DISTANCE_EDGES_KM) < len(REWARD_EDGES)
    return Spreads(np.arange(steps), REWARD_EDGES, counts_S_B, quantiles_S_Q, mean_S)


def _heatmap(points: int) -> tuple[Widget, Redraw]:
    from geospot.tui.widgets.heatmap import HeatMap

    heatmap, spreads = HeatMap(), _spreads(points)
    groups = {"frac_mixed": np.full(points, 0.8, np.float32)}
    return heatmap, lambda: heatmap.show(spreads, "reward", groups)


def _histogram(points: int) -> tuple[Widget, Redraw]:
    from geospot.tui.widgets.bins import rows_of
    from geospot.tui.widgets.histogram import StepHistogram

    histogram, spreads = StepHistogram(), _spreads(points)
    rows, step = rows_of(spreads, "reward", SIZE[1] - 4), iter(range(points - 1, 0, -1))
    return histogram, lambda: histogram.show(spreads, rows, next(step))


def _map(points: int) -> tuple[Widget, Redraw]:
    from geospot.geo import haversine_km
    from geospot.tui.widgets.worldmap import WorldMap

    world, rng = WorldMap(), np.random.default_rng(0)
    truths_N_L = np.stack([rng.uniform(-60, 70, points), rng.uniform(-180, 180, points)], 1)
    said_N_L = truths_N_L + rng.normal(0, 8, (points, 2))
    km_N = haversine_km(*truths_N_L.T, *said_N_L.T)
    return world, lambda: world.show(truths_N_L, said_N_L, km_N)


def _table(points: int) -> tuple[Widget, Redraw]:
    from geospot.tui.widgets.table import Column, Table

    table = Table([Column(str(place), f"column {place}", 14) for place in range(8)])

    async def redraw() -> None:
        table.show(points, lambda row: [f"{text} {row}" for text in _TEXTS], cursor=0)

    return table, redraw


def _data_table(points: int) -> tuple[Widget, Redraw]:
    from textual.widgets import DataTable

    table: DataTable[str] = DataTable()

    async def redraw() -> None:
        table.clear(columns=True)
        table.add_columns(*(f"column {place}" for place in range(8)))
        table.add_rows([[f"{text} {row}" for text in _TEXTS] for row in range(points)])

    return table, redraw


MAKERS: Final[dict[str, Callable[[int], tuple[Widget, Redraw]]]] = {
    "chart": _chart,
    "textual-plotext": _plotext,
    "textual-plot": _textual_plot,
    "heatmap": _heatmap,
    "histogram": _histogram,
    "map": _map,
    "table": _table,
    "DataTable": _data_table,
}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
