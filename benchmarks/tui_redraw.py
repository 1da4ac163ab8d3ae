"""What a redraw of each widget costs, beside the plotting widgets of others and Textual's own table.

Each widget is in a process of its own, and they take turns, so that a busy machine slows all alike.
textual-plotext and textual-plot are no dependencies: they are installed for the benchmark into an
environment of their own, which has the packages of this one below.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.environments import environment, versions_of
from benchmarks.records import Figure, Table
from benchmarks.turns import Peer

_PACKAGES: Final = (
    *("textual-plotext==1.0.1", "plotext==5.3.2"),
    *("textual-plot==0.10.1", "textual-hires-canvas==0.14.0"),
)
_ALONE: Final = ("heatmap", "histogram", "map")
_ROWS: Final = (200, 2000)
_THEIRS: Final = ("textual-plotext", "textual-plot")
_POINTS: Final = (200, 2000, 20_000, 1_000_000)
_ROOT: Final = Path(__file__).parents[1]


def table(quick: bool) -> Table:
    """Processor time of a redraw, widget by widget."""
    rounds = 3 if quick else 15
    folder = Path(tempfile.mkdtemp())
    try:
        python = environment(folder / "environment", _PACKAGES)
        others = () if isinstance(python, str) else _THEIRS
        interpreter = Path(sys.executable) if isinstance(python, str) else python
        figures: list[Figure] = []
        for points in _POINTS[: 2 if quick else None]:
            taken = measure(("chart", *others, *_ALONE), points, rounds, interpreter, folder)
            figures += _beside("chart", taken, others, points, "points")
            figures += [
                Figure(f"{name} redrawn", "CPU ms", taken[name], size=points, axis="points")
                for name in _ALONE
            ]
        for rows in _ROWS[: 1 if quick else None]:
            taken = measure(("table", "DataTable"), rows, rounds, interpreter, folder)
            figures += _beside("table", taken, ("DataTable",), rows, "rows")
    finally:
        shutil.rmtree(folder)
    notes = "Redraws at 120 × 40; each widget is in a process of its own, and they take turns."
    if isinstance(python, str):
        notes += f" The plotting widgets of others can't be installed here: {python}"
    versions = versions_of(_PACKAGES if others else ())
    return Table(figures, versions | {"textual": version("textual")}, notes)


def _beside(
    name: str, taken: Mapping[str, Sequence[float]], others: Sequence[str], size: int, axis: str
) -> list[Figure]:
    """Ours beside each of the others, round by round as far as the slower one has come."""
    return [
        Figure(
            task=f"{name} redrawn",
            unit="CPU ms",
            ours=taken[name][: len(taken[other])],
            peer=other,
            theirs=taken[other],
            size=size,
            axis=axis,
        )
        for other in others
    ]


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
