"""Memory of an evaluation as it grows to 100,000 samples, beside a bare `AsyncOpenAI` loop."""

import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.evaluation import BARE, OURS, Run, make_inputs, measure, sides
from benchmarks.evaluation_stub import stub
from benchmarks.records import Figure, Table

NAME: Final = "Evaluation, large"


def main(quick: bool) -> Table:
    """The table. A full run takes about nine minutes."""
    who = [side for side in sides(install=False)[0] if side.name in (OURS, BARE)]
    taken: dict[int, dict[str, Run]] = {}
    with tempfile.TemporaryDirectory() as folder, stub(0.0) as port:
        make_inputs(Path(folder))
        for n in (500, 1000) if quick else (1000, 10_000, 100_000):
            taken[n] = {side.name: measure(side, Path(folder), port, n) for side in who}
    values: dict[tuple[str, str], Callable[[Run], float]] = {
        ("most memory", "MB"): lambda run: run.peak_mb,
        ("processor time", "s"): lambda run: run.cpu_s,
    }
    figures = [
        Figure(
            task=task,
            unit=unit,
            ours=[value(runs[OURS])],
            peer=BARE,
            theirs=[value(runs[BARE])],
            size=n,
            axis="samples",
        )
        for (task, unit), value in values.items()
        for n, runs in taken.items()
    ]
    notes = "The loop keeps all answers in memory and writes them at its end."
    return Table(figures, {"openai": version("openai")}, notes)
