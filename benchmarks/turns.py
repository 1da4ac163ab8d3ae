"""Two processes that take turns step by step, so that a busy machine slows both alike.

The one that measures holds a `Peer` for each; the one that works calls `Turns`. A line over a pipe says
go, a line comes back with what the step took.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one step took: seconds by the clock, and of processor time, its own processes included."""

    wall_s: float
    cpu_s: float


class PeerError(RuntimeError):
    """A process that ended before its time, with the end of what it said."""


class Peer:
    """A process that works when it is told to.

    Args:
        log: where it may complain.
    """

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        with log.open("w") as complaints:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                env=os.environ | dict(environment or {}),
            )

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends it, if it hasn't ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def facts(self) -> Facts:
        """What it says when it is ready, and when it is done.

        Raises:
            PeerError: it has ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(self._log.read_text(errors="replace")[-2000:])
        said: Facts = json.loads(line)
        return said

    def step(self) -> Turn:
        """One step, which it begins now."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return Turn(**self.facts())

    def finish(self) -> Facts:
        """Lets it go on without waiting, and returns its last words."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.facts()


class Turns:
    """The working process's side. Whatever libraries print goes to standard error from here on."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._began: tuple[float, float] | None = None

    def say(self, facts: Mapping[str, Any]) -> None:
        """A line to the one that measures."""
        self._answers.write(json.dumps(facts) + "\n")
        self._answers.flush()

    def next(self) -> bool:
        """Ends the turn, if one is under way, and waits for the next. Blocks.

        Returns:
            Whether there is one.
        """
        if self._began is not None:
            wall_s, cpu_s = self._began
            self.say({"wall_s": time.perf_counter() - wall_s, "cpu_s": processor_s() - cpu_s})
        go = sys.stdin.readline()
        self._began = (time.perf_counter(), processor_s()) if go else None
        return bool(go)


def processor_s() -> float:
    """Processor time so far of this process and, on Linux, of those that it has started and that run."""
    total = time.process_time()
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in listing.read_text().split():
            # User and system time in clock ticks; the name before them may hold blanks.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total
