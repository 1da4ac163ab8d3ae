"""The runs below some folders: found at any depth, and each summed up from a bounded part of its files.

A run of a million steps costs no more than one of a hundred, since only the end of its metrics is read and
a few places on the way. Nothing is locked or written, and whatever is torn, gone or foreign is shown as far
as it can be read.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

from geospot.durable import ASIDE, parse_row
from geospot.errors import GeospotError
from geospot.runs.checkpoints import (
    CHECKPOINTS,
    CONFIG,
    FINAL,
    RunCheckpoint,
    find_setting,
    read_checkpoints,
)
from geospot.runs.digest import EMPTY, NLL, REWARD, MetricsDigest, finite, read_digest
from geospot.runs.heartbeat import HEARTBEAT, Beat, read_heartbeat, standing_by_files
from geospot.runs.layout import EVALS, LOGS, METRICS

Standing = Literal["running", "silent", "finished", "stopped", "failed", "died", "unknown"]
T = TypeVar("T")

_Stamp = tuple[int, int, int]
_SUMMARY: Final = "summary.json"
_LARGEST_SMALL: Final = 1 << 22
"""Bytes of a configuration or summary; what is longer isn't taken for one."""

MOST_FOLDERS: Final = 100_000
"""Folders that are looked into, so that a whole home directory doesn't take minutes."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in one line. Numbers are None, and texts empty, where the run doesn't say."""

    folder: Path
    name: str
    """The directory's, relative to the folder that was searched."""
    kind: str
    """`sft`, `rl`, or `other` where neither the configuration nor the figures say."""
    model: str
    standing: Standing
    phase: str
    """What it is doing now."""
    reason: str
    """Why it is over."""
    step: int
    """Steps done."""
    total: int
    """Steps in all; 0 until it is known."""
    score: float | None
    """The newest figure called `score_name`."""
    score_name: str
    """`reward` (the more, the better), `NLL` (the less, the better), or empty."""
    spark: tuple[float, ...]
    """The score over the whole run at evenly spaced places, oldest first."""
    median_km: float | None
    """Of the newest evaluation; where there was none, of the newest training step's answers."""
    started_s: float | None
    """When the process began, or went on, in seconds since 1970."""
    updated_s: float | None
    """The newest sign of life, in seconds since 1970."""
    elapsed_s: float | None
    """From one to the other."""
    eta_s: float | None
    """How long the rest takes at the pace of the newest steps; None unless it is running."""
    tokens: int | None
    """Read, sampled and trained on, in all."""
    cost_usd: float | None
    evaluations: int
    """How many evaluations there are on the way."""
    host: str
    pid: int
    """0 where it isn't known."""
    is_here: bool
    """Whether it was started on this machine, and so can be controlled from here."""

    @property
    def fields(self) -> Mapping[str, str | float | None]:
        """What the filter language can ask for; the names are `FILTER_KEYS`."""
        return {name: of(self) for name, of in _FIELDS.items()}


_FIELDS: Final[Mapping[str, Callable[[RunSummary], str | float | None]]] = {
    "name": lambda run: run.name,
    "kind": lambda run: run.kind,
    "model": lambda run: run.model,
    "state": lambda run: run.standing,
    "phase": lambda run: run.phase,
    "reason": lambda run: run.reason,
    "host": lambda run: run.host,
    "step": lambda run: run.step,
    "total": lambda run: run.total or None,
    "done": lambda run: run.step / run.total if run.total else None,
    "reward": lambda run: run.score if run.score_name == REWARD else None,
    "nll": lambda run: run.score if run.score_name == NLL else None,
    "km": lambda run: run.median_km,
    "elapsed": lambda run: run.elapsed_s,
    "eta": lambda run: run.eta_s,
    "tokens": lambda run: run.tokens,
    "cost": lambda run: run.cost_usd,
    "eval": lambda run: run.evaluations or None,
}
FILTER_KEYS: Final = frozenset(_FIELDS)
"""Fields of a summary that can be asked for; times are in seconds, `done` is from 0 to 1."""


class Catalogue:
    """The runs below `folders`. It remembers what it read while files stay as they are.

    One thread at a time may use it. It looks into `most` folders, and no more.
    """

    def __init__(self, folders: Iterable[Path], most: int = MOST_FOLDERS) -> None:
        self.folders: Sequence[Path] = tuple(folders)
        self.is_cut = False
        """Whether there are folders that the last scan didn't look into."""
        self._most = most
        self._names: dict[Path, str] = {}
        self._kept: dict[Path, dict[str, tuple[_Stamp | None, Any]]] = {}

    def scan(self) -> list[Path]:
        """The run directories below the folders, those started last first.

        Evaluations inside a run and directories that were set aside aren't runs. Folders that are links
        are followed, each once.
        """
        found: dict[Path, float] = {}
        seen: set[tuple[int, int]] = set()
        self.is_cut = False
        for folder in self.folders:
            for path, started in self._walk(folder, seen):
                run = Path(path)
                found.setdefault(run, started)
                self._names.setdefault(run, _relative(run, folder))
        self._kept = {run: kept for run, kept in self._kept.items() if run in found}
        return sorted(found, key=lambda run: (-found[run], str(run)))

    def summary(self, run: Path) -> RunSummary:
        """One run in short; of a directory that is gone or empty as well. It raises nothing."""
        beat = self._read(run, HEARTBEAT, lambda path: read_heartbeat(path.parent), None)
        config = self._read(run, CONFIG, _config, {})
        digest = self._read(run, METRICS, read_digest, EMPTY)
        names = self._read(run, EVALS, _folders, ())
        median_km = digest.median_km
        if (
            not digest.median_is_evaluated
            and (evaluated := self._median_km(run, names)) is not None
        ):
            median_km = evaluated
        model = find_setting(config, "model_name")
        kind = config.get("kind")
        known = (
            self._by_beat(beat, digest) if beat is not None else self._by_files(run, config, digest)
        )
        return RunSummary(
            folder=run,
            name=self._names.get(run, run.name),
            kind=kind if kind in ("sft", "rl") else digest.kind,
            model=model if isinstance(model, str) else "",
            score=digest.score,
            score_name=digest.score_name,
            spark=digest.spark,
            median_km=median_km,
            tokens=digest.tokens,
            cost_usd=digest.cost_usd,
            evaluations=len(names),
            **known,
        )

    def _by_beat(self, beat: Beat, digest: MetricsDigest) -> dict[str, Any]:
        """What the heartbeat says."""
        standing = beat.standing()
        return {
            "standing": standing,
            "phase": _phase(beat) if standing in ("running", "silent") else "",
            "reason": beat.reason,
            "step": beat.step,
            "total": beat.total,
            "started_s": beat.started or None,
            "updated_s": beat.time or None,
            "elapsed_s": max(0.0, beat.time - beat.started) if beat.started else None,
            "eta_s": _eta_s(standing, beat.total - beat.step, digest.pace_s),
            "host": beat.host,
            "pid": beat.pid,
            "is_here": beat.is_here,
        }

    def _by_files(
        self, run: Path, config: Mapping[str, Any], digest: MetricsDigest
    ) -> dict[str, Any]:
        """What the files of a run without a heartbeat tell: whether there is an end, and how old they are."""
        rows = self._read(run, CHECKPOINTS, _checkpoints, ())
        ends = any(row.name == FINAL or row.extra.get("final") is True for row in rows)
        step = max([digest.step, *(row.batch or 0 for row in rows)])
        total = step if ends else max(digest.total, step if digest.total else 0)
        times = [t for file in (METRICS, CHECKPOINTS, LOGS) if (t := _modified_s(run / file))]
        started = _modified_s(run / CONFIG) or min(times, default=None)
        updated = max(times, default=started)
        standing: Standing = standing_by_files(ends=ends, written_s=updated)
        elapsed = max(0.0, updated - started) if updated and started else None
        gone = "" if config or times else "There is nothing in the directory that can be read."
        return {
            "standing": standing,
            "phase": "",
            "reason": gone,
            "step": step,
            "total": total,
            "started_s": started,
            "updated_s": updated,
            "elapsed_s": elapsed,
            "eta_s": _eta_s(standing, total - step, digest.pace_s),
            "host": "",
            "pid": 0,
            "is_here": False,
        }

    def _median_km(self, run: Path, names: Sequence[str]) -> float | None:
        """Of the newest evaluation that is over; the newest of all may be under way."""
        for name in names[-1:-3:-1]:
            found = self._read(run, f"{EVALS}/{name}/{_SUMMARY}", _summary_median_km, None)
            if found is not None:
                return found
        return None

    def _read(self, run: Path, file: str, read: Callable[[Path], T], nothing: T) -> T:
        """What `read` makes of a run's file or folder; again only when it has changed."""
        kept = self._kept.setdefault(run, {})
        path = run / file
        stamp = _stamp(path)
        if file not in kept or kept[file][0] != stamp:
            kept[file] = (stamp, nothing if stamp is None else read(path))
        return kept[file][1]

    def _walk(self, root: Path, seen: set[tuple[int, int]]) -> Iterator[tuple[str, float]]:
        """Each run below the folder, and when it was started as far as its files tell."""
        waiting = [os.fspath(root)]
        while waiting:
            folder = waiting.pop()
            identity = _identity(folder)
            if identity is None or identity in seen:
                continue  # a link to where we have been, perhaps above
            if len(seen) >= self._most:
                self.is_cut = True
                return
            seen.add(identity)
            started = _started_s(folder)
            if started is None:
                waiting.extend(_subfolders(folder))
            else:
                yield folder, started


def _subfolders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [
                entry.path
                for entry in entries
                if not entry.name.startswith(".") and ASIDE not in entry.name and entry.is_dir()
            ]
    except OSError:
        return []


def _started_s(folder: str) -> float | None:
    """When the run in this folder was started, by the age of its configuration; None where there is none.

    A configuration alone is no run: models and programs have files of that name, too.
    """
    config = _modified_s(f"{folder}/{CONFIG}")
    for file in (METRICS, CHECKPOINTS):
        if (modified := _modified_s(f"{folder}/{file}")) is not None:
            return modified if config is None else config
    is_begun = config is not None and any(
        _modified_s(f"{folder}/{file}") is not None for file in (HEARTBEAT, LOGS)
    )
    return config if is_begun else None


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)  # noqa: PTH116 - thousands of them: a Path each would cost more
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _modified_s(path: str | Path) -> float | None:
    """When the file was written last, in seconds since 1970; None where there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return status.st_mtime if stat.S_ISREG(status.st_mode) else None


def _stamp(path: Path) -> _Stamp | None:
    """Changes with the file; None where there is neither a file nor a folder, but a pipe, say."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _relative(run: Path, folder: Path) -> str:
    return run.name if run == folder else run.relative_to(folder).as_posix()


def _config(path: Path) -> Mapping[str, Any]:
    return _object(path) or {}


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a small file."""
    try:
        with path.open("rb") as file:
            return parse_row(file.read(_LARGEST_SMALL))
    except OSError:
        return None


def _folders(path: Path) -> Sequence[str]:
    """Names of the folders in a folder, sorted."""
    try:
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    except OSError:
        return ()


def _checkpoints(path: Path) -> Sequence[RunCheckpoint]:
    try:
        return read_checkpoints(path.parent)
    except GeospotError:
        return ()


def _summary_median_km(path: Path) -> float | None:
    every = (_object(path) or {}).get("all")
    return finite(cast(dict[str, Any], every).get("median_km")) if isinstance(every, dict) else None


def _phase(beat: Beat) -> str:
    return "stopping" if beat.stopping else beat.phase


def _eta_s(standing: Standing, steps: int, pace_s: float | None) -> float | None:
    if standing != "running" or steps <= 0 or pace_s is None:
        return None
    return steps * pace_s
