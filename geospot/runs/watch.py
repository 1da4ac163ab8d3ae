"""One run as it can be watched: everything its files say, read as it grows and nothing twice.

A `RunWatch` belongs to one thread at a time. Each `look` reads a bounded amount, so that a long file fills in
over several looks, the newest rows first, and gives a `RunState`: what is known now, for a screen to draw
while the next look is under way. Nothing in the directory is written or locked.
"""

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

from geospot.durable import ASIDE, parse_row
from geospot.errors import GeospotError
from geospot.runs.checkpoints import CHECKPOINTS, CONFIG, FINAL, RunCheckpoint, read_checkpoints
from geospot.runs.columns import EMPTY, Columns, ColumnsBuilder, FloatArray
from geospot.runs.cookbook import CookbookRollouts
from geospot.runs.heartbeat import Beat, read_heartbeat
from geospot.runs.histograms import HISTOGRAMS
from geospot.runs.layout import EVALS, LOGS, METRICS
from geospot.runs.logtail import LogTail
from geospot.runs.rollouts import RolloutReader, RolloutRecord
from geospot.runs.spreads import Spreads, SpreadsBuilder, empty
from geospot.runs.tail import LineTail, News, step_of

_CHUNK: Final = 1 << 20
_LARGEST_SMALL: Final = 1 << 22
"""Bytes of a configuration; what is longer isn't taken for one."""

_Stamp = tuple[int, int, int]
T = TypeVar("T")


class Rollouts(Protocol):
    """Where a step's rollouts are read from: our own files, or tinker-cookbook's."""

    @property
    def steps(self) -> Sequence[int]:
        """Steps whose rollouts can be read, ascending."""
        ...

    def count(self, step: int) -> int:
        """How many records the step has."""
        ...

    def read(self, step: int) -> list[RolloutRecord]:
        """The step's records, group by group. Blocks: it reads that step's part of a file."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RunState:
    """What is known of a run at one moment. Nothing in it is to be written to."""

    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    beat: Beat | None = None
    columns: Columns = EMPTY
    reward: Spreads = field(default_factory=lambda: empty("reward"))
    distance_km: Spreads = field(default_factory=lambda: empty("distance_km"))
    groups: Mapping[str, FloatArray] = field(default_factory=dict[str, FloatArray])
    """Shares of groups by name (frac_mixed, …), at the steps of `reward`."""
    rollout_steps: Sequence[int] = ()
    checkpoints: Sequence[RunCheckpoint] = ()
    evaluations: Sequence[Path] = ()
    """Result directories of evaluations on the way, in the order of their steps."""
    log: Sequence[str] = ()
    """The newest lines of logs.log, as they are: to be made printable before they are shown."""
    is_behind: bool = False
    """Whether files have more than has been read so far."""
    is_gone: bool = False
    """Whether the directory isn't there (any more)."""
    written_s: float | None = None
    """When a run without a heartbeat last wrote, in seconds since 1970."""
    trouble: str = ""
    """Why files that are there can't be read now; the state is what was read before."""
    revision: int = 0
    """Grows with every look that brought rows."""

    @property
    def kind(self) -> str:
        """`sft`, `rl`, or `other` where neither the configuration nor the figures say."""
        kind = self.config.get("kind")
        if kind in ("sft", "rl"):
            return str(kind)
        if any(key.startswith(("env/", "reward/")) for key in self.columns.values_N):
            return "rl"
        return "sft" if "train_mean_nll" in self.columns.values_N else "other"

    @property
    def has_final(self) -> bool:
        """Whether its final checkpoint is there."""
        return any(row.name == FINAL or row.extra.get("final") is True for row in self.checkpoints)

    @property
    def done(self) -> int:
        """Steps done; of a run without a heartbeat, by its rows and checkpoints."""
        if self.beat is not None:
            return self.beat.step
        saved = max((saved.batch or 0 for saved in self.checkpoints), default=0)
        return max(saved, self._last_trained + 1)

    @property
    def total(self) -> int:
        """Steps in all, 0 while it isn't known."""
        if self.beat is not None:
            return self.beat.total
        if self.has_final:
            return self.done
        for key in _SHARES_DONE:
            share = self.columns.latest(key)
            if share is not None and 0 < share <= 1:
                return max(self.done, round((self._last_trained + 1) / share))
        return 0

    @property
    def _last_trained(self) -> int:
        """The newest step that was trained, −1 where there is none; the final evaluation is none."""
        for key in _SHARES_DONE:
            step_K, _ = self.columns.series(key)
            if len(step_K):
                return int(step_K[-1])
        return int(self.columns.steps_N[-1]) if len(self.columns) else -1


_SHARES_DONE: Final = ("progress/done_frac", "progress")
"""Keys under which tinker-cookbook says what share of the steps is done, in RL and in SFT."""


class RunWatch:
    """Watches one run directory, of ours or of tinker-cookbook."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._revision = 0
        self._forget()

    def _forget(self) -> None:
        """Begins anew: nothing is known."""
        self._state = RunState(self.folder, revision=self._revision)
        self._ours = RolloutReader(self.folder)
        self._theirs = CookbookRollouts(self.folder)
        self.rollouts: Rollouts = self._ours
        self._metrics = LineTail(self.folder / METRICS, newest_first=True)
        self._histograms = LineTail(self.folder / HISTOGRAMS)
        self._columns, self._spreads = ColumnsBuilder(), SpreadsBuilder()
        self._log = LogTail(self.folder / LOGS)
        self._config = _Kept[Mapping[str, Any]](self.folder / CONFIG, _read_config, {})
        self._checkpoints = _Kept[Sequence[RunCheckpoint]](
            self.folder / CHECKPOINTS, _read_checkpoints, ()
        )

    def look(self, limit: int = _CHUNK) -> RunState:
        """Reads what is new, about `limit` bytes of each file at most, and says what is known."""
        if not self.folder.is_dir():
            if not self._state.is_gone:
                self._revision += 1
                self._forget()
                self._state = RunState(self.folder, is_gone=True, revision=self._revision)
            return self._state
        try:
            self._state = self._look(limit)
        except OSError as error:
            why = error.strerror or type(error).__name__
            self._state = replace(self._state, trouble=f"The run can't be read: {why}.")
        return self._state

    def _look(self, limit: int) -> RunState:
        metrics = self._metrics.look(limit)
        self._take(metrics, self._columns)
        self._take(self._histograms.look(limit), self._spreads)
        beat, config = read_heartbeat(self.folder), self._config.look()
        self._look_at_rollouts(metrics, limit, is_ours=beat is not None or "kind" in config)
        return RunState(
            self.folder,
            config,
            beat,
            self._columns.columns(),
            self._spreads.spreads("reward"),
            self._spreads.spreads("distance_km"),
            self._spreads.groups(),
            self.rollouts.steps,
            self._checkpoints.look(),
            evaluations(self.folder),
            self._log.look(),
            any(
                reader.is_behind
                for reader in (self._metrics, self._histograms, self._ours, self._theirs)
            ),
            written_s=self._written_s() if beat is None else None,
            revision=self._revision,
        )

    def _written_s(self) -> float | None:
        """When one of the files grew that every run has."""
        paths = (self.folder / name for name in (METRICS, CHECKPOINTS, LOGS))
        return max((path.stat().st_mtime for path in paths if path.is_file()), default=None)

    def _take(self, news: News, builder: ColumnsBuilder | SpreadsBuilder) -> None:
        if news.again:
            builder.clear()
        builder.add(news.rows)
        builder.add(news.older, older=True)
        self._revision += bool(news.rows or news.older or news.again)

    def _look_at_rollouts(self, metrics: News, limit: int, *, is_ours: bool) -> None:
        """Ours have an index and histograms; of others both are made from their summaries."""
        if self._ours.look(limit):
            self._revision += 1
        if is_ours or self._ours.steps:
            self.rollouts = self._ours
            return
        self.rollouts = self._theirs
        steps = () if metrics.again else map(step_of, metrics.rows)
        finished = [step for step in steps if step is not None]
        if self._theirs.look(self._spreads, finished, limit):
            self._revision += 1


def evaluations(folder: Path) -> Sequence[Path]:
    """Result directories of the evaluations that a run made on its way, in the order of their steps.

    Those that were set aside are of weights that a kill threw away.
    """
    try:
        there = (path for path in (folder / EVALS).iterdir() if ASIDE not in path.name)
        return tuple(sorted(path for path in there if path.is_dir()))
    except OSError:
        return ()


class _Kept(Generic[T]):
    """What a small file says, read again only when it has changed."""

    def __init__(self, path: Path, read: Callable[[Path], T], nothing: T) -> None:
        self._path, self._read, self._nothing = path, read, nothing
        self._value = nothing
        self._stamp: _Stamp | None = None

    def look(self) -> T:
        """The same object until the file changes."""
        try:
            status = self._path.stat()
        except OSError:
            self._value, self._stamp = self._nothing, None
            return self._value
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if not stat.S_ISREG(status.st_mode):  # a pipe would keep us waiting
            self._value = self._nothing
        elif stamp != self._stamp:
            self._value = self._read(self._path)
            self._stamp = stamp
        return self._value


def _read_config(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > _LARGEST_SMALL:
        return {}
    return parse_row(path.read_bytes()) or {}


def _read_checkpoints(path: Path) -> Sequence[RunCheckpoint]:
    try:
        return tuple(read_checkpoints(path.parent))
    except GeospotError:
        return ()
