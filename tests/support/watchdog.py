"""Asserts that an event loop was never kept waiting."""

import asyncio
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BEAT_S = 0.002
_TASKS = Path("/proc/self/task")


@dataclass(slots=True)
class Watchdog:
    """The longest time that a loop took to answer, what other processes took of it not counted."""

    longest_s: float = 0.0


@contextmanager
def watchdog(limit_s: float) -> Generator[Watchdog]:
    """Fails when the running loop didn't answer for longer than `limit_s` while the block lasted.

    Where the machine is shared, a thread may wait long for a processor that it wants. The kernel counts
    that, and it is nobody's fault here: the loop's own wait is taken off, and that of whichever other
    thread of ours waited longest, which the loop may have waited for in turn.
    """
    loop, main = asyncio.get_running_loop(), threading.get_native_id()
    found, stop = Watchdog(), threading.Event()
    answered = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            answered.clear()
            if stop.is_set():
                return
            queued, asked_s = _queued_s(), time.monotonic()
            loop.call_soon_threadsafe(answered.set)
            answered.wait()
            took_s = time.monotonic() - asked_s
            if took_s > max(found.longest_s, limit_s / 4):
                took_s -= _lost_s(queued, _queued_s(), main)
            found.longest_s = max(found.longest_s, took_s)
            time.sleep(_BEAT_S)

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        answered.set()  # the loop answers no more while it waits here
        thread.join()
    assert found.longest_s < limit_s, f"The loop was blocked for {found.longest_s * 1000:.0f} ms."


def _queued_s() -> dict[int, float]:
    """How long each thread of this process has waited for a processor so far; nothing where unknown."""
    waited: dict[int, float] = {}
    for task in _TASKS.glob("*/schedstat"):
        try:
            waited[int(task.parent.name)] = int(task.read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            continue  # the thread has ended, or the kernel doesn't count
    return waited


def _lost_s(before: dict[int, float], after: dict[int, float], main: int) -> float:
    waited = {task: after[task] - before.get(task, 0.0) for task in after}
    own_s = waited.pop(main, 0.0)
    return own_s + max(waited.values(), default=0.0)
