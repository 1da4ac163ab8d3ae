"""Processes that a drill starts, and whatever they start in turn: found again by a mark that they inherit."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import psutil

_NAME: Final = "GEOSPOT_DRILL"


class Marked:
    """A mark that processes inherit. Whoever still has it when all should be over is an orphan.

    Args:
        variables: what else is set in their environment.
    """

    def __init__(self, **variables: str | Path) -> None:
        self._mark = uuid4().hex
        self._variables = {name: str(value) for name, value in variables.items()}

    @property
    def environment(self) -> dict[str, str]:
        """The variables to start processes with."""
        return {**self._variables, _NAME: self._mark}

    def alive(self) -> list[psutil.Process]:
        """All that carry the mark and run; one that only waits to be collected doesn't."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                is_ours = process.environ().get(_NAME) == self._mark
                if (
                    is_ours
                    and process.status() != psutil.STATUS_ZOMBIE
                    and process.pid != os.getpid()
                ):
                    found.append(process)
        return found

    def orphans(self, within_s: float = 120.0) -> list[str]:
        """Ends, and names, what hasn't ended by itself in that time."""
        end_s = time.monotonic() + within_s
        while (left := self.alive()) and time.monotonic() < end_s:
            time.sleep(0.05)
        named: list[str] = []
        for process in left:
            with suppress(psutil.NoSuchProcess):
                line = " ".join(process.cmdline())[:200]
                process.kill()
                named.append(f"process {process.pid} outlived its run: {line}")
        return named
