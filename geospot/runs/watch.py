"""One run as it can be watched: everything its files say, read as it grows and nothing twice.

A `RunWatch` belongs to one thread at a time. Each `look` reads a bounded amount, so that a long file fills in
over several looks, and gives a `RunState`: what is known now, for a screen to draw while the next look
is under way. Nothing in the directory is written or locked.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from geospot.durable import parse_row
from geospot.errors import GeospotError
from geospot.runs.checkpoints import CONFIG, RunCheckpoint, read_checkpoints
from geospot.runs.columns import EMPTY, Columns, ColumnsBuilder, FloatArray
from geospot.runs.heartbeat import Beat, read_heartbeat
from geospot.runs.histograms import HISTOGRAMS
from geospot.runs.rollouts import RolloutReader, RolloutRecord
from geospot.runs.spreads import Spreads, SpreadsBuilder, empty
from geospot.runs.tail import LineTail

METRICS: Final = "metrics.jsonl"
LOGS: Final = "logs.log"
EVALS: Final = "evals"
LOG_LINES: Final = 1000
"""Lines of the log that are kept, the newest."""

_CHUNK: Final = 1 << 20


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
    revision: int = 0
    """Grows with every look that brought rows."""

    @property
    def kind(self) -> str:
        """`sft`, `rl`, or `other` where the run doesn't say (tinker-cookbook's don't)."""
        kind = self.config.get("kind")
        if kind in ("sft", "rl"):
            return str(kind)
        if any(key.startswith(("env/", "reward/")) for key in self.columns.values_N):
            return "rl"
        return "sft" if "train_mean_nll" in self.columns.values_N else "other"


class RunWatch:
    """Watches one run directory, of ours or of tinker-cookbook."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rollouts: Rollouts = RolloutReader(folder)
        self._reader = self.rollouts
        self._metrics, self._columns = LineTail(folder / METRICS), ColumnsBuilder()
        self._histograms, self._spreads = LineTail(folder / HISTOGRAMS), SpreadsBuilder()
        self._log = _LogTail(folder / LOGS)
        self._config: Mapping[str, Any] = {}
        self._config_stamp: tuple[int, int] | None = None
        self._revision = 0

    def look(self, limit: int = _CHUNK) -> RunState:
        """Reads what is new, about `limit` bytes of each file at most, and says what is known."""
        if not self.folder.is_dir():
            return RunState(self.folder, is_gone=True)
        self._look_at_config()
        for tail, builder in ((self._metrics, self._columns), (self._histograms, self._spreads)):
            news = tail.look(limit)
            if news.again:
                builder.clear()
            builder.add(news.rows)
            self._revision += bool(news.rows) or news.again
        self._reader.look()
        return RunState(
            self.folder,
            self._config,
            read_heartbeat(self.folder),
            self._columns.columns(),
            self._spreads.spreads("reward"),
            self._spreads.spreads("distance_km"),
            self._spreads.groups(),
            tuple(self.rollouts.steps),
            self._checkpoints(),
            evaluations(self.folder),
            self._log.look(),
            self._metrics.is_behind or self._histograms.is_behind,
            revision=self._revision,
        )

    def _look_at_config(self) -> None:
        try:
            status = (self.folder / CONFIG).stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._config_stamp:
                self._config = parse_row((self.folder / CONFIG).read_bytes()) or {}
                self._config_stamp = stamp
        except OSError:
            self._config, self._config_stamp = {}, None

    def _checkpoints(self) -> Sequence[RunCheckpoint]:
        try:
            return tuple(read_checkpoints(self.folder))
        except GeospotError:
            return ()


def evaluations(folder: Path) -> Sequence[Path]:
    """Result directories of the evaluations that a run made on its way, in the order of their steps."""
    try:
        return tuple(sorted(path for path in (folder / EVALS).iterdir() if path.is_dir()))
    except OSError:
        return ()


class _LogTail:
    """The newest lines of a text file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._offset = 0
        self._identity: tuple[int, int] | None = None

    def look(self) -> Sequence[str]:
        """The newest lines, oldest first; of a long file only its end is read."""
        try:
            status = self._path.stat()
            identity = (status.st_dev, status.st_ino)
            if identity != self._identity or status.st_size < self._offset:
                self._lines.clear()
                self._identity = identity
                self._offset = max(0, status.st_size - _CHUNK)
            if status.st_size > self._offset:
                with self._path.open("rb") as file:
                    file.seek(self._offset)
                    data = file.read(_CHUNK)
                whole = data[: data.rfind(b"\n") + 1]
                self._offset += len(whole)
                self._lines.extend(whole.decode("utf-8", "replace").splitlines())
        except OSError:
            self._lines.clear()
            self._identity = None
        return tuple(self._lines)
