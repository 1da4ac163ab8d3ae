"""Files are read in threads, so that the screen never waits for a disk; a run's are read once for all.

Screens about the same run share one `Watching`: it looks at the files a few times a second, and tells
whoever subscribed. What a screen draws is a `RunState`, which nobody writes to.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from geospot.runs.rollouts import RolloutRecord
from geospot.runs.watch import RunState, RunWatch

P = ParamSpec("P")
T = TypeVar("T")

Told = Callable[[RunState], None]

_LIVE_S: Final = 0.25
_IDLE_S: Final = 1.0
_IDLE_AFTER: Final = 20
"""Looks without news after which the pause grows."""

_KEPT: Final = 3
"""Runs that nobody looks at any more and whose figures stay in memory, for coming back."""


class Reader:
    """Threads for whatever blocks."""

    def __init__(self, threads: int = 3) -> None:
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
        self._turn = asyncio.Lock()

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

        def end() -> None:
            if told in self._told:
                self._told.remove(told)
            if not self._told and self._task is not None:
                self._task.cancel()
                self._task = None

        return end

    async def rollouts(self, step: int) -> list[RolloutRecord]:
        """The rollouts of a step, read now."""
        async with self._turn:
            return await self._reader.do(self._watch.rollouts.read, step)

    async def _look_on(self) -> None:
        quiet = 0
        while True:
            async with self._turn:
                state = await self._reader.do(self._watch.look)
            quiet = quiet + 1 if self.has_looked and _same(state, self.state) else 0
            self.state, self.has_looked = state, True
            if not quiet:
                for told in list(self._told):
                    told(state)
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
        for other in [f for f, w in self._known.items() if not w.is_watched][:-_KEPT]:
            if other != folder:
                del self._known[other]
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
        and new.rollout_steps == old.rollout_steps
    )
