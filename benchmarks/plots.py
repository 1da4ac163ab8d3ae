"""How each cost grows with size, on log-log axes: an SVG for each record; runs where matplotlib is."""

import importlib
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_OURS: Final = "geospot"
_WIDTH, _HEIGHT = 4.2, 3.4
_LEAST_SPAN: Final = 10.0
"""So many times the lowest is the highest of an axis at least: what hardly differs looks alike."""
_ROOT: Final = Path(__file__).parents[1]

Curve = dict[float, float]


def draw(python: Path, records: Sequence[Path]) -> None:
    """Draws each of the record files beside it, by matplotlib's interpreter.

    Raises:
        RuntimeError: it failed, with the end of what it said.
    """
    command = [str(python), "-m", "benchmarks.plots", *map(str, records)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


def panels(figures: Sequence[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Curve]]:
    """Medians by task, unit and axis, then by who, then by size; those with two sizes or more."""
    found: dict[tuple[str, str, str], dict[str, Curve]] = {}
    for one in figures:
        if one["size"] is None:
            continue
        panel = found.setdefault((one["task"], one["unit"], one["axis"]), {})
        panel.setdefault(_OURS, {})[one["size"]] = statistics.median(one["ours"])
        if one["theirs"]:
            panel.setdefault(one["peer"], {})[one["size"]] = statistics.median(one["theirs"])
    return {key: panel for key, panel in found.items() if len(panel[_OURS]) > 1}


def _draw(path: Path) -> None:
    """One picture, a panel for each task; nothing where there is none."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    # Text stays text, and the same record gives the same file.
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "geospot", "font.size": 9}
    plot: Any = importlib.import_module("matplotlib.pyplot")
    found = panels(json.loads(path.read_text())["table"]["figures"])
    if not found:
        return
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure, axes = plot.subplots(
        rows, columns, figsize=(_WIDTH * columns, _HEIGHT * rows), squeeze=False
    )
    for place in axes.flat[len(found) :]:
        place.axis("off")
    for place, ((task, unit, axis), curves) in zip(axes.flat, found.items(), strict=False):
        for who, curve in curves.items():
            sizes = sorted(curve)
            style = {"linewidth": 2.2, "zorder": 3} if who == _OURS else {"linewidth": 1.2}
            place.loglog(sizes, [curve[size] for size in sizes], marker="o", label=who, **style)
        place.set_title(task, fontsize=9, wrap=True)
        place.set_xlabel(axis)
        place.set_ylabel(unit)
        _number_axes(place, sorted({size for curve in curves.values() for size in curve}))
        place.grid(visible=True, which="major", alpha=0.3)
        place.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def _number_axes(place: Any, sizes: Sequence[float]) -> None:
    """Numbers at the sizes that were measured, and at 1, 2 and 5 of each power of ten of the cost."""
    ticker: Any = importlib.import_module("matplotlib.ticker")
    low, high = place.get_ylim()
    if high < low * _LEAST_SPAN:
        middle, reach = math.sqrt(low * high), math.sqrt(_LEAST_SPAN)
        low, high = middle / reach, middle * reach
        place.set_ylim(low, high)
    place.set_xticks(sizes)
    wide = high > low * _LEAST_SPAN**2
    place.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    for axis in (place.xaxis, place.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(_plain))
        axis.set_minor_locator(ticker.NullLocator())


def _plain(value: float, _place: int) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        _draw(Path(name))
