"""`geospot eval` beside a bare `AsyncOpenAI` loop, inspect_ai and lmms-eval.

All ask the same loopback endpoint, which runs in a process of its own, about the same 65 kB JPEGs in data
URIs, with the same prompt, settings and concurrency. Each run is a fresh process; they take turns. What
counts is the whole program, from its start to its end, and, at the endpoint, the rate of answers.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import INSPECT, LMMS, is_installed, isolated
from benchmarks.evaluation_stub import Seen, look, stub
from benchmarks.evaluation_task import CONCURRENCY
from benchmarks.photos import make_photos
from benchmarks.records import Figure, Table
from geospot.prompts import FIVE_LINES

NAME: Final = "Evaluation"
OURS: Final = "geospot"
BARE: Final = "AsyncOpenAI loop"
_PEERS: Final = {"inspect_ai": INSPECT, "lmms-eval": LMMS}
_ROOT: Final = Path(__file__).parents[1]
_LATENCY_S: Final = 1.0
_NOTES: Final = """\
The AsyncOpenAI loop only asks and keeps the answers: no check of the endpoint, no parsing, no scores, no
resume. inspect_ai and lmms-eval score and write a log of every sample, as geospot does. lmms-eval decodes
each photo and encodes it again (as JPEG here; its default is PNG), the others send the file's bytes.
"""


@dataclass(frozen=True, slots=True)
class Side:
    """Who asks: a command, to which folder, port, number of samples and output are appended."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True, slots=True)
class Run:
    """What a run took: by the clock, of processor time, at most of memory, and what was seen of it."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    seen: Seen

    def per_s(self) -> float:
        """The rate of answers while all are under way: without start-up, canary and tail.

        Whole rounds of requests, since with a latency the answers come in bursts of as many.
        """
        steady = len(self.seen.moments_s) - 2 * CONCURRENCY
        return self.seen.per_s(steady - steady % CONCURRENCY, CONCURRENCY)


def main(quick: bool) -> Table:
    """The table. A full run takes about twelve minutes, and two more where peers are installed first."""
    sizes, rounds = ((300,), 1) if quick else ((250, 1000, 4000), 3)
    others, notes = sides()
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder)
        make_inputs(photos)
        found: list[Figure] = []
        with stub(0.0) as port:
            for n in sizes:
                found += figures(turns(others, photos, port, n, rounds), n)
        with stub(_LATENCY_S) as port:
            slow = turns(others, photos, port, 640, rounds)
            found += _compare(slow, "answers/s at 1 s of latency (64 at best)", "1/s", Run.per_s)
        kinds = same_work(slow)
    versions = {"openai": version("openai")}
    for name, pins in _PEERS.items():
        if name in slow:
            versions |= pins.versions
    return Table(found, versions, f"{_NOTES}{kinds}\n{notes}")


def sides(*, install: bool = True) -> tuple[list[Side], str]:
    """Ours first, and which of the peers can't be had here; without `install`, those that are there."""
    program = (sys.executable, "-m", "benchmarks.evaluation_sides")
    found = [Side(OURS, (*program, "ours")), Side(BARE, (*program, "bare"))]
    missing: list[str] = []
    for name, pins in _PEERS.items():
        if not install and not is_installed(pins):
            continue
        python = isolated(pins)
        if isinstance(python, str):
            missing.append(f"{name} can't be installed here: {python}")
        else:
            module = f"benchmarks.evaluation_{name.partition('_')[0].partition('-')[0]}"
            found.append(Side(name, (str(python), "-m", module)))
    return found, "\n".join(missing)


def make_inputs(folder: Path) -> None:
    """Photos and prompt."""
    make_photos(folder)
    (folder / "prompt.txt").write_text(FIVE_LINES)


def turns(
    who: Sequence[Side], folder: Path, port: int, n: int, rounds: int
) -> Mapping[str, list[Run]]:
    """The runs of each side, which take turns."""
    taken: dict[str, list[Run]] = {side.name: [] for side in who}
    for _ in range(rounds):
        for side in who:
            taken[side.name].append(measure(side, folder, port, n))
    return taken


def measure(side: Side, folder: Path, port: int, n: int) -> Run:
    """One run in a process of its own.

    Raises:
        RuntimeError: it failed, or the endpoint has answered another number of requests.
    """
    out = folder / f"out-{time.monotonic_ns()}"
    log = folder / "log"
    with log.open("w") as said, (folder / "complaints").open("w") as complaints:
        began_s = time.monotonic()
        process = subprocess.Popen(
            [*side.command, str(folder), str(port), str(n), str(out)],
            cwd=_ROOT,
            stdout=said,
            stderr=complaints,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began_s
        process.returncode = os.waitstatus_to_exitcode(status)
    seen = look(port)
    canary = len(seen.moments_s) - n
    if process.returncode or not 0 <= canary <= (CONCURRENCY if side.name == OURS else 0):
        end = (folder / "complaints").read_text()[-2000:]
        raise RuntimeError(f"{side.name}: {len(seen.moments_s)} answers for {n} samples: {end}")
    found: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    return Run(wall_s, usage.ru_utime + usage.ru_stime, found["peak_mb"], seen)


def figures(runs: Mapping[str, list[Run]], n: int) -> list[Figure]:
    at: Mapping[str, Any] = {"size": n, "axis": "samples"}
    return [
        *_compare(runs, "whole run", "s", lambda run: run.wall_s, **at),
        *_compare(runs, "processor time", "s", lambda run: run.cpu_s, **at),
        *_compare(runs, "most memory", "MB", lambda run: run.peak_mb, **at),
        *_compare(runs, "answers/s while asking", "1/s", Run.per_s, **at),
        *_compare(runs, "sent a sample", "kB", lambda run: run.seen.up_bytes / n / 1000, **at),
    ]


def _compare(
    runs: Mapping[str, list[Run]], task: str, unit: str, value: Callable[[Run], float], **at: Any
) -> list[Figure]:
    """A line for each of the others."""
    ours = [value(run) for run in runs[OURS]]
    return [
        Figure(
            task=task,
            unit=unit,
            ours=ours,
            peer=name,
            theirs=[value(run) for run in theirs],
            more_is_better=unit == "1/s",
            **at,
        )
        for name, theirs in runs.items()
        if name != OURS
    ]


def same_work(runs: Mapping[str, list[Run]]) -> str:
    """That all asked the same, by what the endpoint kept.

    Raises:
        RuntimeError: they didn't.
    """
    asked = {name: [k for k in taken[0].seen.kinds if k["photos"]] for name, taken in runs.items()}
    first = asked[BARE][0]
    apart = {name: kinds for name, kinds in asked.items() if first not in kinds}
    if apart:
        raise RuntimeError(f"They don't ask the same: {first} and {apart}")
    return (
        f"The endpoint saw the same of all: max_tokens {first['max_tokens']}, temperature "
        f"{first['temperature']}, the same prompt and one JPEG a request."
    )
