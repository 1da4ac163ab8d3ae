"""Asserts that an event loop was never kept waiting."""

import asyncio
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

_BEAT_S = 0.002


@dataclass(slots=True)
class Watchdog:
    """The longest time that a loop took to answer."""

    longest_s: float = 0.0


@contextmanager
def watchdog(limit_s: float) -> Generator[Watchdog]:
    """Fails when the running loop didn't answer for longer than `limit_s` while the block lasted."""
    loop = asyncio.get_running_loop()
    found, stop = Watchdog(), threading.Event()
    answered = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            answered.clear()
            if stop.is_set():
                return
            asked_s = time.monotonic()
            loop.call_soon_threadsafe(answered.set)
            answered.wait()
            found.longest_s = max(found.longest_s, time.monotonic() - asked_s)
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
