"""Files are read in threads, so that the screen never waits for a disk; a run's are read once for all.

Screens about the same run share one `Watching`: it looks at the files a few times a second, and tells
whoever subscribed. What a screen draws is a `RunState`, which nobody writes to.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from geospot.runs.rollouts import RolloutRecord
from geospot.runs.watch import RunState, RunWatch

P = ParamSpec("P")
T = TypeVar("T")

Told = Callable[[RunState], None]

_LIVE_S: Final = 0.25
_FILLING_S: Final = 0.8
"""Between two paintings while a long file fills in: they cost more than a look, and the newest is shown."""

_INDEXING_S: Final = 2.5
"""The same while only histograms of older steps are made."""

_IDLE_S: Final = 0.75
_IDLE_AFTER: Final = 20
"""Looks without news after which the pause grows; a run that writes is noticed within a second even then."""

_FIRST_BYTES: Final = 1 << 18
"""Of the first look, so that something is shown at once."""

_LOOK_BYTES: Final = 1 << 20
"""Of every further look: some ten milliseconds, after which others have their turn."""

_BREATH_S: Final = 0.004
"""Between two looks at a long file, so that keys needn't wait their turn for long."""

_SWITCH_S: Final = 0.0005
"""How long a thread that reads keeps Python to itself when the screen wants it. Drawing asks for it after
every large numpy operation, and with Python's usual 5 ms each of them would wait as long."""

_KEPT: Final = 3
"""Runs that nobody looks at any more and whose figures stay in memory, for coming back."""

_KEPT_BYTES: Final = 32 << 20
"""What those take together at most; a longer run is read again."""


class Reader:
    """Threads for whatever blocks."""

    def __init__(self, threads: int = 3) -> None:
        sys.setswitchinterval(_SWITCH_S)
        self._pool = ThreadPoolExecutor(threads, "geospot-reading")

    async def do(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns, computed in a thread; it raises what the function raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(function, *args, **kwargs))

    def close(self) -> None:
        """Ends the threads when what they do is done."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Watching:
    """One run that somebody looks at."""

    def __init__(self, folder: Path, reader: Reader) -> None:
        self.folder = folder
        self.state = RunState(folder)
        """What is known now; empty until the first look is over."""
        self.has_looked = False
        self._watch = RunWatch(folder)
        self._reader = reader
        self._told: list[Told] = []
        self._task: asyncio.Task[None] | None = None
        # A look that nobody waits for any more still ends in its thread; no other may begin beside it.
        self._turn = threading.Lock()

    @property
    def is_watched(self) -> bool:
        """Whether a screen shows it now."""
        return bool(self._told)

    def subscribe(self, told: Told) -> Callable[[], None]:
        """Tells `told` of every change from now on, on the event loop; returns what ends that."""
        self._told.append(told)
        if self.has_looked:
            told(self.state)
        if self._task is None:
            self._task = asyncio.create_task(self._look_on(), name=f"watching {self.folder.name}")
            self._task.add_done_callback(self._ended)

        def end() -> None:
            if told in self._told:
                self._told.remove(told)
            if not self._told and self._task is not None:
                self._task.cancel()
                self._task = None

        return end

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Reading ends when nobody looks; by an error only where there is a bug, which is shown."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            trouble = f"geospot failed to read the run: {type(error).__name__}: {error}"
            self._tell(replace(self.state, trouble=trouble))
            raise error

    def _tell(self, state: RunState) -> None:
        self.state, self.has_looked = state, True
        for told in list(self._told):
            told(state)

    async def rollouts(self, step: int) -> list[RolloutRecord]:
        """The rollouts of a step, read now."""
        return await self._reader.do(self._read_rollouts, step)

    def _read_rollouts(self, step: int) -> list[RolloutRecord]:
        with self._turn:
            return self._watch.rollouts.read(step)

    def _look(self, limit: int) -> RunState:
        with self._turn:
            return self._watch.look(limit)

    async def _look_on(self) -> None:
        quiet, told_s = 0, 0.0
        limit = _LOOK_BYTES if self.has_looked else _FIRST_BYTES
        while True:
            state = await self._reader.do(self._look, limit)
            limit = _LOOK_BYTES
            now_s = time.monotonic()
            # While a long file fills in, screens are drawn once a second or so, and not at every look.
            pause_s = _INDEXING_S if state.columns is self.state.columns else _FILLING_S
            if self.has_looked and state.is_behind and now_s - told_s < pause_s:
                await asyncio.sleep(_BREATH_S)
                continue
            quiet = quiet + 1 if self.has_looked and _same(state, self.state) else 0
            if quiet:
                self.state = state
            else:
                told_s = now_s
                self._tell(state)
            if not state.is_behind:
                await asyncio.sleep(_LIVE_S if quiet < _IDLE_AFTER else _IDLE_S)


class Watchings:
    """The runs that are looked at; one `Watching` a run, however many screens show it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[Path, Watching] = {}

    def of(self, folder: Path) -> Watching:
        """The run's; what was read stays while the app runs, for the last few runs."""
        folder = folder.absolute()
        watching = self._known.pop(folder, None) or Watching(folder, self._reader)
        self._known[folder] = watching
        left = [f for f, w in self._known.items() if not w.is_watched and f != folder]
        kept, kept_bytes = 0, 0
        for other in reversed(left):
            size = self._known[other].state.columns.size_bytes
            if kept == _KEPT or kept_bytes + size > _KEPT_BYTES:
                del self._known[other]
            else:
                kept, kept_bytes = kept + 1, kept_bytes + size
        return watching


def _same(new: RunState, old: RunState) -> bool:
    """Whether a screen that shows `old` needs no repaint."""
    return (
        new.revision == old.revision
        and new.beat == old.beat
        and new.log == old.log
        and new.checkpoints == old.checkpoints
        and new.evaluations == old.evaluations
        and new.config is old.config
        and new.is_gone == old.is_gone
        and new.is_behind == old.is_behind
        and new.trouble == old.trouble
        and new.rollout_steps is old.rollout_steps
    )
