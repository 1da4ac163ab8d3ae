"""Processes looked at again and again while they work: memory, open files, processor time."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import psutil

from tests.drills.flatness import Flatness, flatness

MEMORY_LIMIT: Final = 0.05
FILES_LIMIT: Final = 0.1
TIME_LIMIT: Final = 0.15
"""By how much each may grow in the later half, as shares; time is processor time a unit of work."""
_MB: Final = 1e6


@dataclass(slots=True)
class _Rows:
    done: list[float] = field(default_factory=list[float])
    memory_mb: list[float] = field(default_factory=list[float])
    files: list[float] = field(default_factory=list[float])
    processor_s: list[float] = field(default_factory=list[float])


class Watch:
    """Looks at processes every so often while the block lasts.

    Args:
        processes: by the name that they have in what is said.
        done: how much of the work is done, in any unit.
        every_s: how often. Where nothing was done since the last time, it isn't looked again.
    """

    def __init__(
        self, processes: Mapping[str, psutil.Process], done: Callable[[], float], every_s: float
    ) -> None:
        self._processes, self._done, self._every_s = processes, done, every_s
        self._rows = {name: _Rows() for name in processes}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def judged(self, end: float, work: int, unit: str) -> list[Flatness]:
        """Each process's memory, open files, and processor time a unit of the work.

        Args:
            end: what `done` says when all is done.
            work: how many units that is.
        """
        found: list[Flatness] = []
        for name, rows in self._rows.items():
            done_N = np.array(rows.done) / end
            memory = flatness(f"{name}, MB", done_N, np.array(rows.memory_mb), limit=MEMORY_LIMIT)
            files = flatness(f"{name}, open files", done_N, np.array(rows.files), limit=FILES_LIMIT)
            cost_ms_N = np.diff(rows.processor_s) * 1000.0 / (np.diff(done_N) * work)
            cost = flatness(f"{name}, CPU ms/{unit}", done_N[1:], cost_ms_N, limit=TIME_LIMIT)
            found += [memory, files, cost]
        return found

    def _look_on(self) -> None:
        while not self._over.wait(self._every_s):
            done = self._done()
            for name, process in self._processes.items():
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    self._look(self._rows[name], process, done)

    @staticmethod
    def _look(rows: _Rows, process: psutil.Process, done: float) -> None:
        with process.oneshot():
            memory_mb, times = process.memory_info().rss / _MB, process.cpu_times()
            files = process.num_fds()
        if not rows.done or done > rows.done[-1]:
            rows.done.append(done)
            rows.memory_mb.append(memory_mb)
            rows.files.append(float(files))
            rows.processor_s.append(times.user + times.system)
