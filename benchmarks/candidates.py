"""Several ways to do the same work in one process, which take turns; processor time of each."""

import json
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import Pins, layered
from benchmarks.records import Figure

OURS: Final = "geospot"
_LEAST_S: Final = 0.02
"""What takes less is done several times, since the clock is too coarse for it."""
_ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Way:
    """How somebody does it.

    Attributes:
        work: does it, or a part of it.
        share: how many times longer all of it takes.
        most: the largest size at which it is tried; beyond it would take minutes.
    """

    work: Callable[[], object]
    share: float = 1.0
    most: float = float("inf")


@dataclass(frozen=True, slots=True)
class Work:
    """A task at one size, and the ways to do it; ours is one of them."""

    task: str
    size: int
    axis: str
    ways: Mapping[str, Way]


def compare(work: Work, rounds: int) -> list[Figure]:
    """A line for each of the others, in the unit that suits the size."""
    ways = {name: way for name, way in work.ways.items() if work.size <= way.most}
    repeats = {name: _repeats(way.work) for name, way in ways.items()}
    taken_ms: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds = _cpu_s(way.work, repeats[name]) / repeats[name]
            taken_ms[name].append(1000 * seconds * way.share)
    return [
        Figure(
            task=work.task,
            unit="CPU ms",
            ours=taken_ms[OURS],
            peer=name,
            theirs=taken,
            size=work.size,
            axis=work.axis,
        )
        for name, taken in taken_ms.items()
        if name != OURS
    ]


def _repeats(work: Callable[[], object]) -> int:
    """How often it is done for a reading; the first time warms up."""
    work()
    once_s = _cpu_s(work, 1)
    return 1 if once_s >= _LEAST_S else int(_LEAST_S / max(once_s, 1e-7)) + 1


def _cpu_s(work: Callable[[], object], times: int) -> float:
    """Processor time of this process and of those that it started and waited for."""
    before_s = _used_s()
    for _ in range(times):
        work()
    return _used_s() - before_s


def _used_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def tell(figures: Sequence[Figure]) -> None:
    """Says them to the process that measures."""
    print(json.dumps([asdict(one) for one in figures]))


def ask(pins: Pins, module: str, *arguments: str) -> list[Figure] | str:
    """Figures of a program that runs where the peer's packages are, or why they can't be had.

    Raises:
        RuntimeError: it failed, with the end of what it said.
    """
    python = layered(pins)
    if isinstance(python, str):
        return python
    done = subprocess.run(
        [str(python), "-m", module, *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return [Figure(**one) for one in found]
