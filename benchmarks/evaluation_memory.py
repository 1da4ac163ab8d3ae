"""Memory of an evaluation as it grows to 100,000 samples, beside a bare `AsyncOpenAI` loop."""

import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.evaluation import BARE, OURS, Run, make_inputs, sides, turns
from benchmarks.evaluation_stub import stub
from benchmarks.records import Figure, Table

NAME: Final = "Evaluation, large"
_ROUNDS: Final = {1000: 3, 10_000: 3, 100_000: 1}
"""Rounds by number of samples."""


def main(quick: bool) -> Table:
    """The table. A full run takes about twelve minutes."""
    who = [side for side in sides(install=False)[0] if side.name in (OURS, BARE)]
    taken: dict[int, Mapping[str, list[Run]]] = {}
    with tempfile.TemporaryDirectory() as folder, stub(0.0) as port:
        make_inputs(Path(folder))
        for n, rounds in {500: 1, 1000: 1}.items() if quick else _ROUNDS.items():
            taken[n] = turns(who, Path(folder), port, n, rounds)
    values: dict[tuple[str, str], Callable[[Run], float]] = {
        ("most memory", "MB"): lambda run: run.peak_mb,
        ("processor time", "s"): lambda run: run.cpu_s,
    }
    figures = [
        Figure(
            task=task,
            unit=unit,
            ours=[value(run) for run in runs[OURS]],
            peer=BARE,
            theirs=[value(run) for run in runs[BARE]],
            size=n,
            axis="samples",
        )
        for (task, unit), value in values.items()
        for n, runs in taken.items()
    ]
    notes = (
        "The loop keeps all answers in memory and writes them at its end. Three rounds in turns; one of "
        f"{max(_ROUNDS):,} samples."
    )
    return Table(figures, {"openai": version("openai")}, notes)
