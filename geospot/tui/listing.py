"""The list of runs below the app's folders, kept up to date by a thread while the screen goes on.

What is on screen is read first and looked at again every second, as is what is running; the rest fills in
behind, and is looked at in turn. However many runs there are, the thread rests most of the time.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from geospot.runs.catalogue import Catalogue, RunSummary
from geospot.tui.reading import Reader

Told = Callable[[], None]

_TICK_S: Final = 0.5
_SLICE_S: Final = 0.05
"""How long the thread reads before it hands over what it has."""
_REST: Final = 100
_REST_AFTER_NEWS: Final = 10
"""Looking for new runs costs at most one part in so many of the time."""
_NEWS_S: Final = 20.0
"""A folder that appears becomes a run when its first file is written: so long it's looked for more often."""
_MOST_LIVE: Final = 64
"""Runs that are looked at every time."""
_IN_TURN: Final = 8
"""Others that are, each time."""


class Listing:
    """Runs and their summaries, for whoever subscribed."""

    def __init__(self, folders: Sequence[Path], reader: Reader) -> None:
        self.runs: Sequence[Path] = ()
        """Run directories, those started last first."""
        self.summaries: Mapping[Path, RunSummary] = {}
        """What is known of each so far."""
        self.has_scanned = False
        self.wanted: Callable[[], Sequence[Path]] = tuple
        """Tells which runs are on screen: they come first. Whoever shows them sets it."""
        self._reader = reader
        self._catalogue = Catalogue(folders)
        self._told: list[Told] = []
        self._task: asyncio.Task[None] | None = None
        self._turn = 0
        self._scanned_s = self._scan_took_s = self._news_s = 0.0
        self._parents: Sequence[Path] = ()
        self._stamps: Mapping[Path, int] = {}

    @property
    def folders(self) -> Sequence[Path]:
        """Where runs are looked for."""
        return self._catalogue.folders

    @property
    def is_complete(self) -> bool:
        """Whether every run has been read once."""
        return self.has_scanned and len(self.summaries) == len(self.runs)

    @property
    def is_cut(self) -> bool:
        """Whether there were too many folders to look into all."""
        return self._catalogue.is_cut

    @property
    def running(self) -> Sequence[RunSummary]:
        """Runs that go on now."""
        return [s for s in self.summaries.values() if s.standing in ("running", "silent")]

    def add_folder(self, folder: Path) -> None:
        """Looks for runs there, too."""
        known = [path.absolute() for path in self.folders]
        if not any(folder.absolute().is_relative_to(path) for path in known):
            self._catalogue.folders = (*self.folders, folder)
        self.look_soon()

    def look_soon(self) -> None:
        """Looks for new and deleted runs at the next turn."""
        self._scanned_s = 0.0

    def subscribe(self, told: Told) -> Callable[[], None]:
        """Tells `told` of every change, on the event loop; returns what ends that."""
        self._told.append(told)
        if self._task is None:
            self._task = asyncio.create_task(self._look_on(), name="listing runs")

        def end() -> None:
            if told in self._told:
                self._told.remove(told)
            if not self._told and self._task is not None:
                self._task.cancel()
                self._task = None

        return end

    async def _look_on(self) -> None:
        while True:
            scanned = await self._scan_if_due()
            batch = self._batch()
            news = await self._reader.do(_read, self._catalogue, batch)
            news = {run: s for run, s in news.items() if self.summaries.get(run) != s}
            if news:
                known = set(self.runs)
                self.summaries = {
                    **self.summaries, **{run: s for run, s in news.items() if run in known}
                }  # fmt: skip
            if scanned or news:
                for told in list(self._told):
                    told()
            await asyncio.sleep(_TICK_S if self.is_complete else 0)

    async def _scan_if_due(self) -> bool:
        """Looks for runs where that is due; whether the list is another one now."""
        stamps = await self._reader.do(_stamps, self._places())
        began = time.monotonic()
        if stamps != self._stamps and self.has_scanned:
            self._news_s = began
        rest = _REST_AFTER_NEWS if began - self._news_s < _NEWS_S else _REST
        pause = max(_TICK_S, rest * self._scan_took_s)
        if stamps == self._stamps and began - self._scanned_s < pause:
            return False
        runs = await self._reader.do(self._catalogue.scan)
        self._scanned_s = time.monotonic()
        self._scan_took_s = self._scanned_s - began
        is_first, self.has_scanned = not self.has_scanned, True
        if runs == self.runs:
            self._stamps = stamps
            return is_first
        there = set(runs)
        self.runs, self._parents = runs, tuple(dict.fromkeys(run.parent for run in runs))
        self.summaries = {run: s for run, s in self.summaries.items() if run in there}
        self._stamps = await self._reader.do(_stamps, self._places())
        return True

    def _places(self) -> Sequence[Path]:
        """Folders in which runs appear and from which they leave."""
        return [*self.folders, *self._parents]

    def _batch(self) -> Sequence[Path]:
        """What is read now: at first what has never been, then what is seen, what lives, and some others."""
        new = [run for run in self.runs if run not in self.summaries]
        if new:
            seen = [run for run in self.wanted() if run not in self.summaries]
            return list(dict.fromkeys((*seen, *new)))
        live = [summary.folder for summary in self.running][:_MOST_LIVE]
        there = [run for run in self.wanted() if run in self.summaries]
        start, self._turn = self._turn, (self._turn + _IN_TURN) % max(len(self.runs), 1)
        return list(dict.fromkeys((*there, *live, *self.runs[start : start + _IN_TURN])))


def _read(catalogue: Catalogue, batch: Sequence[Path]) -> dict[Path, RunSummary]:
    """Summaries of as many runs as there is time for, in their order; of one at least."""
    began = time.monotonic()
    news: dict[Path, RunSummary] = {}
    for run in batch:
        news[run] = catalogue.summary(run)
        if time.monotonic() - began > _SLICE_S:
            break
    return news


def _stamps(folders: Sequence[Path]) -> Mapping[Path, int]:
    stamps: dict[Path, int] = {}
    for folder in folders:
        try:
            stamps[folder] = folder.stat().st_mtime_ns
        except OSError:
            stamps[folder] = 0
    return stamps
