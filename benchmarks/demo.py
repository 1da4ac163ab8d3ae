"""`geospot demo` for several seeds: what it takes, and what supervised training and GRPO each bring.

Each seed is a fresh process in a fresh folder. What the demo evaluated itself is read from its result
directories (split `test`); on the places that were never trained on (`test-places`) the two run
directories are evaluated here in the same way, with the same photos before and after GRPO.
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from geospot.config.evaluation import EvalConfig
from geospot.demo import DATASET, MAX_TOKENS, TAU_KM, compare
from geospot.evaluation.evaluate import evaluate
from geospot.evaluation.metrics import Scores, score_distances
from geospot.evaluation.progress import TerminalView
from geospot.evaluation.results import SAMPLES, read_records
from geospot.evaluation.statistics import Interval, bootstrap, paired_bootstrap
from geospot.outcomes import Outcome

NAME: Final = "geospot demo, from random weights (SFT, then GRPO)"
_SEEDS: Final = (0, 1, 2)
_PHOTOS: Final = 512
_QUICK_PHOTOS: Final = 64
_QUICK_STEPS: Final = ("--sft-steps", "20", "--rl-steps", "2")
_TEMPERATURES: Final = {"greedy": 0.0, "sampled": 1.0}
_ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock and of processor time."""

    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        """Both, with their unit."""
        return f"{self.wall_s:.0f} s, {self.cpu_s:.0f} s"


def main(quick: bool) -> str:
    """The table, as Markdown. A full run takes as long as three demos, and a few minutes more."""
    photos = _QUICK_PHOTOS if quick else _PHOTOS
    lines = [
        "| seed | demo: wall, CPU | split | greedy median km: SFT | greedy median km: GRPO "
        "| sampled reward, before → after GRPO (difference) "
        "| sampled median km, before → after (difference) |",
        "| ---: | --- | --- | --- | --- | --- | --- |",
    ]
    for seed in _SEEDS[:1] if quick else _SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            lines += _rows(Path(folder), seed, photos, _QUICK_STEPS if quick else ())
        print(*lines[-2:], sep="\n", file=sys.stderr, flush=True)
    return "\n".join(
        [
            *lines,
            "",
            f"{photos} photos a split, the same before and after. Brackets are 95% intervals by bootstrap "
            "over photos; those of differences are paired by photo. "
            f"Sampled at temperature 1; reward exp(−distance / {TAU_KM:g} km), 0 for a failure. CPU is "
            "the demo's processor time, the engine's included; the machine may have been shared.",
        ]
    )


def _rows(folder: Path, seed: int, photos: int, steps: Sequence[str]) -> list[str]:
    """One seed: a row for each split."""
    out = folder / "demo"
    environment = {"GEOSPOT_STATE_DIR": str(folder / "state"), "PYTHONPATH": str(_ROOT)}
    options = ("--out", str(out), "--seed", str(seed), "--limit", str(photos), *steps)
    cost = _run(("-m", "geospot", "demo", *options), environment)
    seen = {
        "greedy": (out / "results" / f"sft-{photos}", out / "results" / f"rl-{photos}"),
        "sampled": (out / "sampled" / f"sft-{photos}", out / "sampled" / f"rl-{photos}"),
    }
    _run(("-m", "benchmarks.demo", str(out), str(photos)), environment)
    unseen = {kind: (_place(out, kind, "sft"), _place(out, kind, "rl")) for kind in _TEMPERATURES}
    return [
        f"| {seed} | {cost} | test | {_found(seen)} |",
        f"| {seed} | | test-places | {_found(unseen)} |",
    ]


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Runs Python, and says what it took."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return Cost(time.perf_counter() - began, cpu_s)


def evaluate_places(out: Path, photos: int) -> None:
    """Evaluates both runs of a demo on places that they have never seen, as the demo does on others."""
    view = TerminalView(Console(file=sys.stderr))
    for kind, temperature in _TEMPERATURES.items():
        for run in ("sft", "rl"):
            config = EvalConfig(
                backend="local",
                model=str(out / "runs" / run),
                dataset=DATASET,
                split="test-places",
                limit=photos,
                temperature=temperature,
                max_tokens=MAX_TOKENS,
                out=_place(out, kind, run),
            )
            asyncio.run(evaluate(config, view))


def _place(out: Path, kind: str, run: str) -> Path:
    return out / "places" / kind / run


def _found(results: Mapping[str, tuple[Path, Path]]) -> str:
    """Cells of what a split's results say."""
    greedy = [_median(_scores(result)) for result in results["greedy"]]
    before, after = results["sampled"]
    lift = compare(before, after)
    median_km = paired_bootstrap(_scores(after), _scores(before)).median_km
    assert median_km is not None
    fall_km = lift.after.median_km - lift.before.median_km
    return (
        f"{greedy[0]} | {greedy[1]} "
        f"| {lift.before.reward:.3f} → {lift.after.reward:.3f} "
        f"({lift.reward:+.3f} [{_range(lift.interval, '+.3f')}]) "
        f"| {lift.before.median_km:,.0f} → {lift.after.median_km:,.0f} "
        f"({fall_km:+,.0f} [{_range(median_km, '+,.0f')}])"
    )


def _median(scores: Scores) -> str:
    """The median error in km, with its interval."""
    interval = bootstrap(scores).over_all["median_km"]
    assert interval is not None
    return f"{np.median(scores.distance_km_N):,.0f} [{_range(interval, ',.0f')}]"


def _scores(result: Path) -> Scores:
    """Photo by photo, in the order of their ids."""
    rows = sorted(read_records(result / SAMPLES), key=lambda record: record.id)
    return score_distances(
        [row.distance_km for row in rows], [row.outcome is Outcome.OK for row in rows]
    )


def _range(interval: Interval, form: str) -> str:
    return f"{interval.low:{form}} to {interval.high:{form}}"


if __name__ == "__main__":
    evaluate_places(Path(sys.argv[1]), int(sys.argv[2]))
