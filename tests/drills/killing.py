"""kill -9 at a random moment of a life, and what may be found in a folder afterwards."""

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from tests.drills.processes import Marked
from tests.support.evaluating import begin_geospot, start_geospot
from tests.support.warm import Started

TOO_LATE: Final = "no kill: it had ended by itself"
TOO_EARLY: Final = "no kill: nothing had happened yet"
_BEYOND: Final = 1.05
"""A moment may be drawn a little beyond the end, which a life as long as the others never reaches."""
_BEFORE: Final = 0.9
_LATER_S: Final = 0.2
_LOOK_S: Final = 0.01


Process = subprocess.Popen[str] | Started


class Life:
    """How long a process lives that nobody kills, by its own processor time.

    A busy machine stretches a life, and not what it is made of: a share of the processor time is the same
    moment of every life.

    Args:
        processor_s: what one took in all.
        early: the share of it before which there was nothing yet that a kill could spoil.
    """

    def __init__(self, processor_s: float, early: float) -> None:
        self._processor_s, self._early = processor_s, early

    def moment(self, chance: random.Random) -> "Moment":
        """When to kill: one in four anywhere in a life, start and end included, the others less early."""
        first = chance.choice([0.0, *[self._early * _BEFORE] * 3])
        share = chance.uniform(first, _BEYOND)
        return Moment(share, share * self._processor_s, chance.uniform(0.0, _LATER_S))


@dataclass(frozen=True, slots=True)
class Moment:
    """A share of a life, the processor time that it stands for, and a wait after it.

    The wait is there since a process that waits for another takes no processor time.
    """

    share: float
    processor_s: float
    later_s: float

    def wait(self, process: "subprocess.Popen[Any] | Started", since_s: float = 0.0) -> bool:
        """Waits until a process is so old, in processor time after `since_s`; False where it ended before."""
        while (used_s := processor_s(process.pid)) is not None:
            if used_s - since_s >= self.processor_s:
                time.sleep(self.later_s)
                break
            if process.poll() is not None:
                break
            time.sleep(_LOOK_S)
        return process.poll() is None

    def __str__(self) -> str:
        return f"at {self.share:.0%} + {self.later_s:.2f} s"


def processor_s(pid: int) -> float | None:
    """Seconds of processor time that a process has taken; None where it has ended."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return times.user + times.system


def kill_at(process: Process, moment: Moment) -> bool:
    """Kills a process at a moment of its life; False if it had ended before."""
    if moment.wait(process):
        process.kill()
    process.communicate()
    return process.returncode == -9


def start(marked: Marked, *arguments: str | Path) -> "subprocess.Popen[str]":
    """Starts `geospot …` with a mark."""
    return start_geospot(*arguments, env=marked.environment)


def begin(marked: Marked, *arguments: str | Path) -> Started:
    """The same, from an interpreter that has its imports behind it: sooner, for the short forms.

    Only what it starts in turn carries the mark.
    """
    return begin_geospot(*arguments, env=marked.environment)


Launch = Callable[..., Process]
"""Starts `geospot …` under a mark: `start`, or `begin`."""


def finish(process: Process, timeout_s: float = 300.0) -> str:
    """Waits for a command's end; says what is wrong with how it ended, nothing where that is well."""
    try:
        out, error = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, error = process.communicate()
        return f"it hung and was ended after {timeout_s:.0f} s: {(out + error)[-2000:]}"
    return "" if process.returncode == 0 else f"exit code {process.returncode}: {error[-2000:]}"


def torn_files(folder: Path) -> list[str]:
    """Files that no reader could take: JSON that isn't whole, lines that aren't but for a last one.

    What stands in a folder of a temporary name, or in a file of one, isn't under its name yet.
    """
    found: list[str] = []
    for path in sorted(folder.rglob("*.json*")):
        if path.name.startswith(".") or not path.is_file():
            continue
        data = path.read_bytes()
        if path.suffix == ".json":
            found += [f"{path.name} is torn"] * (not _is_json(data))
        elif path.suffix == ".jsonl":
            lines = data.split(b"\n")[:-1]
            bad = sum(not _is_json(line) for line in lines)
            found += [f"{path.name} has {bad} torn lines"] * bool(bad)
    return found


def unended_lines(folder: Path) -> list[str]:
    """Files of lines whose last line has no end, which only a kill may leave and the next process mends."""
    ends = {path: path.read_bytes()[-1:] for path in sorted(folder.rglob("*.jsonl"))}
    return [
        f"{path.name} ends within a line" for path, end in ends.items() if end not in (b"", b"\n")
    ]


def left_over(folder: Path) -> list[str]:
    """Temporary files that nobody will ever finish."""
    names = (path.name for path in folder.rglob("*") if path.name.endswith(".tmp"))
    return [f"{name} was left over" for name in sorted(names)]


def whole_life(process: Process, made: Path) -> Life:
    """Lets a command live to its end.

    Args:
        made: the folder that it makes when it begins its work.

    Raises:
        RuntimeError: it doesn't end as it should.
    """
    early_s = whole_s = 0.0
    talk = threading.Thread(target=process.communicate)  # what it says is read, or it would wait
    talk.start()
    while talk.is_alive() and (used_s := processor_s(process.pid)) is not None:
        whole_s = max(whole_s, used_s)
        if not made.exists():
            early_s = whole_s
        time.sleep(_LOOK_S)
    talk.join()
    if process.returncode != 0:
        raise RuntimeError(f"The uninterrupted run ended with exit code {process.returncode}.")
    return Life(whole_s, early_s / whole_s)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
