"""kill -9 at a random moment of a life, and what may be found in a folder afterwards."""

import json
import random
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.drills.processes import Marked
from tests.support.evaluating import start_geospot

TOO_LATE: Final = "no kill: it had ended by itself"
TOO_EARLY: Final = "no kill: nothing had happened yet"
_BEYOND: Final = 1.05
"""A moment may be drawn a little beyond the end, which a life as long as the others never reaches."""
_BEFORE: Final = 0.9
_RECENT: Final = 4


class Life:
    """How long a process lives that nobody kills, as the machine is just now: others may be using it.

    Args:
        seconds: how long one lived.
        early: the share of it before which there was nothing yet that a kill could spoil.
    """

    def __init__(self, seconds: float, early: float) -> None:
        self._lately_s = deque([seconds], _RECENT)
        self._early = early

    def observe(self, seconds: float) -> None:
        """Takes in how long another one took to its end."""
        self._lately_s.append(seconds)

    def moment(self, chance: random.Random) -> float:
        """Seconds after the start at which to kill: one in four anywhere in a life, the others less early."""
        first = chance.choice([0.0, *[self._early * _BEFORE] * 3])
        return max(self._lately_s) * chance.uniform(first, _BEYOND)


def kill_at(process: "subprocess.Popen[str]", began_s: float, moment_s: float) -> bool:
    """Kills a process so long after it began; False if it had ended before."""
    left_s = began_s + moment_s - time.monotonic()
    try:
        process.wait(max(0.0, left_s))
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return process.returncode == -9


def start(marked: Marked, *arguments: str | Path) -> tuple["subprocess.Popen[str]", float]:
    """Starts `geospot …` with a mark; the process, and when that was."""
    began_s = time.monotonic()
    return start_geospot(*arguments, env=marked.environment), began_s


def finish(marked: Marked, *arguments: str | Path, timeout_s: float = 180.0) -> tuple[float, str]:
    """Runs `geospot …` to its end; seconds that it took and what is wrong with how it ended."""
    process, began_s = start(marked, *arguments)
    try:
        out, error = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, error = process.communicate()
        return timeout_s, f"it hung and was ended after {timeout_s:.0f} s: {(out + error)[-2000:]}"
    wrong = "" if process.returncode == 0 else f"exit code {process.returncode}: {error[-2000:]}"
    return time.monotonic() - began_s, wrong


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


def whole_life(run: Callable[[], tuple[float, str]], made: Path) -> Life:
    """Lets something live that nobody kills.

    Args:
        made: the folder that it makes when it begins its work.

    Raises:
        RuntimeError: it doesn't end as it should.
    """
    began_s, over = time.monotonic(), threading.Event()
    early_s: list[float] = []

    def watch() -> None:
        while not made.exists() and not over.wait(0.02):
            pass
        early_s.append(time.monotonic() - began_s)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        seconds, wrong = run()
    finally:
        over.set()
        watching.join()
    if wrong:
        raise RuntimeError(f"The uninterrupted run failed: {wrong}")
    return Life(seconds, min(early_s[0] / seconds, 1.0))


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
