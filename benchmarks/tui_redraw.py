"""What a redraw of each widget costs, beside the plotting widgets of others and Textual's own table.

Each widget is in a process of its own, and they take turns, so that a busy machine slows all alike.
textual-plotext and textual-plot are no dependencies: they are installed for the benchmark into an
environment of their own, which has the packages of this one below.
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.environments import environment
from benchmarks.turns import Peer

_PACKAGES: Final = (
    *("textual-plotext==1.0.1", "plotext==5.3.2"),
    *("textual-plot==0.10.1", "textual-hires-canvas==0.14.0"),
)
_THEIRS: Final = ("textual-plotext", "textual-plot")
_POINTS: Final = (200, 2000, 20_000, 1_000_000)
_ROOT: Final = Path(__file__).parents[1]


def tables(quick: bool) -> str:
    """Both tables, as Markdown."""
    rounds = 3 if quick else 15
    folder = Path(tempfile.mkdtemp())
    try:
        python = environment(folder / "environment", _PACKAGES)
        others = () if isinstance(python, str) else _THEIRS
        interpreter = Path(sys.executable) if isinstance(python, str) else python
        lines = [
            f"Processor time of a redraw at 120 × 40, ms, median of {rounds} in turns:",
            "",
            "| points | chart | textual-plotext (× ours) | textual-plot (× ours) | heat map | "
            "histogram | map | table |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for points in _POINTS[: 3 if quick else None]:
            names = ("chart", *others, "heatmap", "histogram", "map", "table")
            lines.append(_plots(points, measure(names, points, rounds, interpreter, folder)))
        table = measure(("table", "DataTable"), 2000, rounds, interpreter, folder)
        ours, plain = (statistics.median(table[name]) for name in ("table", "DataTable"))
        lines += [
            "",
            f"2,000 rows put into our table and painted: {ours:.1f} ms; into a DataTable: {plain:.0f} ms "
            f"({plain / ours:.0f} × ours).",
        ]
        if isinstance(python, str):
            lines.append(f"The others can't be installed here: {python}")
    finally:
        shutil.rmtree(folder)
    return "\n".join(lines)


def measure(
    names: Sequence[str], points: int, rounds: int, python: Path, folder: Path
) -> Mapping[str, Sequence[float]]:
    """Milliseconds of processor time of each redraw, by widget."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        peers = {
            name: stack.enter_context(
                Peer(
                    [str(python), "-m", "benchmarks.tui_widgets", name, str(points)],
                    folder / f"{name}.log",
                    {"PYTHONPATH": str(_ROOT)},
                )
            )
            for name in names
        }
        for peer in peers.values():
            peer.facts()
        for turn in range(rounds + 1):
            for name, peer in peers.items():
                if turn > 2 and taken[name][-1] > 2000:
                    continue  # it has been seen to take seconds
                took_ms = peer.step().cpu_s * 1000
                if turn:  # the first one imports and warms up
                    taken[name].append(took_ms)
    return taken


def _plots(points: int, taken: Mapping[str, Sequence[float]]) -> str:
    median = {name: statistics.median(times) for name, times in taken.items()}

    def beside(name: str) -> str:
        if name not in median:
            return "–"
        return f"{median[name]:.0f} ({median[name] / median['chart']:.0f})"

    ours = [f"{median[name]:.1f}" for name in ("heatmap", "histogram", "map", "table")]
    cells = [f"{median['chart']:.1f}", *map(beside, _THEIRS), *ours]
    return f"| {points:,} | {' | '.join(cells)} |"
