"""What a drill is made of: its trials, what they came to, and the session that repeats them."""

import random
import re
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import tests.drills as home

_MOST_ASIDE: Final = 4
"""So many trials may be drawn for each that counts, before a drill is given up."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one trial came to."""

    what: str
    """What was tried, in a few words."""
    tries: int = 1
    lost: tuple[str, ...] = ()
    aside: str = ""
    """Why it doesn't count; empty where it does."""
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Whatever else the record should have."""
    number: int = -1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a trial is given."""

    number: int
    chance: random.Random
    folder: Path
    """An empty folder of its own."""
    lane: int
    """Which of the trials side by side it is, from 0; two with the same lane are never under way at once."""


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a drill.

    `only` is the number of the single trial that is repeated, None where all are done.
    """

    name: str
    times: int
    is_short: bool
    seed: int
    folder: Path
    only: int | None = None

    def chance(self, number: int) -> random.Random:
        """The dice of a trial: the same for the same seed and number, on every machine."""
        return random.Random(f"{self.seed}/{self.name}/{number}")

    def repeat(self, one: Callable[[Attempt], Trial], *, side_by_side: int = 1) -> Iterator[Trial]:
        """Does trials until as many count as were asked for, at most so many at the same time."""
        if self.only is not None:
            yield self._attempt(one, self.only, 0)
            return
        counted = number = 0
        lanes = list(range(side_by_side))
        under_way: dict[Future[Trial], int] = {}
        end = self.times * _MOST_ASIDE
        with ThreadPoolExecutor(side_by_side) as pool:
            try:
                while counted < self.times and (under_way or number < end):
                    while lanes and number < end and counted + len(under_way) < self.times:
                        lane = lanes.pop()
                        under_way[pool.submit(self._attempt, one, number, lane)] = lane
                        number += 1
                    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                        lanes.append(under_way.pop(future))
                        trial = future.result()
                        counted += 0 if trial.aside else trial.tries
                        yield trial
            finally:
                pool.shutdown(cancel_futures=True)
        if counted < self.times:
            yield Trial("all trials", 0, (f"only {counted} of {self.times} came about",))

    def _attempt(self, one: Callable[[Attempt], Trial], number: int, lane: int) -> Trial:
        folder = self.folder / f"{number:06d}"
        folder.mkdir(parents=True)
        began_s = time.monotonic()
        try:
            trial = one(Attempt(number, self.chance(number), folder, lane))
        except Exception:  # noqa: BLE001 - whatever a trial runs into is what it was done to find
            trial = Trial("a trial that broke off", lost=(traceback.format_exc(),))
        if not trial.lost:
            shutil.rmtree(folder, ignore_errors=True)
        return replace(trial, number=number, seconds=time.monotonic() - began_s)


Function = Callable[[Session], Iterator[Trial]]


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill that can be asked for by its name."""

    name: str
    tried: str
    times: int
    short: int
    function: Function


_DRILLS: Final[dict[str, Drill]] = {}
_LOADING: Final = threading.Lock()


def drill(tried: str, *, times: int, short: int) -> Callable[[Function], Function]:
    """Makes a function a drill, whose name is the function's.

    Args:
        tried: what is tried, as the table has it.
        times: how often, at full length.
        short: how often in the short form; 0 leaves it out.
    """

    def keep(function: Function) -> Function:
        _DRILLS[function.__name__] = Drill(function.__name__, tried, times, short, function)
        return function

    return keep


def all_drills() -> dict[str, Drill]:
    """Every drill of this folder, by name."""
    with _LOADING:
        for module in sorted(Path(home.__path__[0]).glob("drill_*.py")):
            import_module(f"{home.__name__}.{module.stem}")
    return dict(_DRILLS)


def file_name(text: str) -> str:
    """The text as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
