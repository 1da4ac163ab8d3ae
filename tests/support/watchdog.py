"""Asserts that an event loop is left to what it is for: it reads no files or folders, and always answers."""

import asyncio
import functools
import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_BEAT_S = 0.002
_HANGS_S = 20.0
"""Far above what any machine takes: how fast the loop answers is measured by the benchmarks."""


@dataclass(slots=True)
class Watchdog:
    """What was seen of a loop."""

    longest_s: float = 0.0
    """The longest time that it took to answer."""
    opened: set[str] = field(default_factory=set[str])
    """Files and folders that were opened on its thread, of those that it should leave alone."""


@dataclass(frozen=True, slots=True)
class _Post:
    """A loop that is being watched: its thread, and the folder whose files aren't for it."""

    thread: int
    folder: str
    found: Watchdog


_posts: list[_Post] = []
_READS = frozenset(["open", "os.listdir", "os.scandir"])


@contextmanager
def watchdog(folder: Path) -> Generator[Watchdog]:
    """Fails when a file or folder in `folder` is read on the running loop's thread, or when the loop hangs.

    Which thread reads is a fact, where the time that reading takes is the machine's: on a busy one, a
    loop that does nothing wrong is kept waiting for a second.
    """
    _hear_of_files()
    loop, found, stop = asyncio.get_running_loop(), Watchdog(), threading.Event()
    answered = threading.Event()
    post = _Post(threading.get_ident(), os.fspath(folder) + os.sep, found)

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
    _posts.append(post)
    thread.start()
    try:
        yield found
    finally:
        _posts.remove(post)
        stop.set()
        answered.set()  # the loop answers no more while it waits here
        thread.join()
    assert not found.opened, f"Opened on the loop's thread: {', '.join(sorted(found.opened))}"
    assert found.longest_s < _HANGS_S, f"The loop was blocked for {found.longest_s:.0f} s."


@functools.cache
def _hear_of_files() -> None:
    """Once a process: there is no way to take such a hook away again."""

    def heard(event: str, args: tuple[object, ...]) -> None:
        if event not in _READS or not _posts or not isinstance(args[0], str | bytes):
            return
        path = os.fsdecode(args[0])
        for post in _posts:
            is_inside = f"{path}{os.sep}".startswith(post.folder)
            if post.thread == threading.get_ident() and is_inside:
                post.found.opened.add(path)

    sys.addaudithook(heard)
