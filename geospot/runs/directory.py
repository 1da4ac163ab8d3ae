"""The run directory, open for writing: what a training run leaves behind, as it happens.

The layout is tinker-cookbook's, so that its readers open our runs, plus files of our own for readers
that must be fast; docs/runs.md describes each. One process writes at a time. Lines are only appended,
each in one write, and whole files are replaced atomically: whatever moment the process is killed at,
every line that was written is there for the next one.

A step's rows are to be written before the checkpoint that comes after it: `add_checkpoint` waits until the
disk has both, so that what a checkpoint says was done is on record.
"""

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geospot.config.learning import IfExists
from geospot.config.recipes import Kind
from geospot.durable import (
    LineFile,
    WriteError,
    json_line,
    parse_row,
    plain_json,
    replace_bytes,
    replace_json,
)
from geospot.errors import ResultMismatchError, UsageError
from geospot.runs.checkpoints import CHECKPOINTS, CONFIG, FINAL, RunCheckpoint, read_checkpoints
from geospot.runs.heartbeat import Heartbeat, State
from geospot.runs.histograms import HistogramWriter
from geospot.runs.layout import LOGS, METRICS, PHOTOS
from geospot.runs.opening import Ask, changes, lock_for_run, notes, refuse_other_run
from geospot.runs.rewind import rewind_folders, rewind_rows
from geospot.runs.rollouts import RolloutRecord, RolloutWriter
from geospot.runs.summaries import write_summaries
from geospot.runs.thumbnails import ThumbnailStore
from geospot.runs.trackers import Tracker, TrackerError, check_trackers, figures, open_trackers
from geospot.textsafe import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RunDirectory:
    """One run on disk. Made by `open`, told where it goes on by `start`, ended by `close`."""

    def __init__(self, path: Path, lock: int, config: Mapping[str, Any]) -> None:
        self.path = path
        self.resume_from: RunCheckpoint | None = None
        """The newest checkpoint to go on from; None begins at the beginning."""
        self._lock: int | None = lock
        self._metrics = LineFile(path / METRICS)
        self._photos = LineFile(path / PHOTOS)
        self._checkpoints = LineFile(path / CHECKPOINTS)
        self._logs = LineFile(path / LOGS)
        self._histograms = HistogramWriter(path)
        self._rollouts = RolloutWriter(path)
        self._thumbnails = ThumbnailStore(path, float(config.get("thumbnails_mb", 0)))
        self._heartbeat: Heartbeat | None = None
        self._config = config
        self._trackers: list[Tracker] = []

    @classmethod
    def open(
        cls,
        path: Path,
        config: Mapping[str, Any],
        *,
        kind: Kind,
        if_exists: IfExists,
        ask: Ask | None,
    ) -> "RunDirectory":
        """Creates the directory, or goes on with the run that is there; the heartbeat begins.

        Args:
            config: every setting, as it is to stand in config.json; anything under `provenance` may
                differ when the run goes on. `thumbnails_mb`, `trackers` and `project` are heeded here.
            if_exists: what to do about a run that is there; see `geospot.config.learning`.
            ask: puts a question to the person at the terminal; None where there is none.

        Raises:
            UsageError: what is there isn't to be touched.
            ResultMismatchError: it is a run of another configuration.
            BusyError: another process is writing into it.
            WriteError: the disk is full.
        """
        check_trackers(config.get("trackers", ()))
        run = cls(path, lock_for_run(path, if_exists, ask), {"kind": kind, **config})
        try:
            run._settle()
            run._live()
        except BaseException:
            run._let_go()
            raise
        return run

    def start(self, step: int, total: int) -> None:
        """From here on steps `step` … `total` − 1 are done.

        Rows and rollouts of these steps, written by a process that got farther than its last checkpoint,
        are moved into `*.pre_resume_NNNNNN` beside their file.
        """
        gone = rewind_rows(self.path / METRICS, step) + rewind_rows(self.path / PHOTOS, step)
        gone += self._histograms.rewind(step) + self._rollouts.rewind(step)
        gone += rewind_folders(self.path, step)
        if gone:
            self.log(f"Figures of steps from {step} on were set aside; these steps are done again.")
        names, project = self._config.get("trackers", ()), self._config.get("project", "geospot")
        self._trackers = open_trackers(names, self.path, project, plain_json(self._config), step)
        if self._heartbeat is not None:
            self._heartbeat.begin(step, total)
        self.log(
            f"running: from step {step} to {total}, process {os.getpid()} on {platform.node()}"
        )

    def metrics(self, step: int, row: Mapping[str, Any]) -> None:
        """Appends figures of a step; several rows of the same step are merged by whoever reads them."""
        self._metrics.append({"step": step} | dict(row) | {"step": step})
        if self._trackers:
            numbers = figures(row)
            self._tell(lambda tracker: tracker.log(step, numbers))

    def histogram(
        self,
        step: int,
        reward_N: "NDArray[np.floating[Any]]",
        distance_km_N: "NDArray[np.floating[Any]]",
        groups: Mapping[str, float],
    ) -> None:
        """Appends how a step's N rollouts were spread; see `geospot.runs.histograms`.

        Args:
            distance_km_N: failures at half the circumference.
            groups: shares of the groups by name: frac_mixed, frac_all_good, frac_all_bad.
        """
        self._histograms.write(step, reward_N, distance_km_N, groups)

    def photos(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Appends which photos a step showed, a row for each; what a run needs to choose among them."""
        self._photos.append({"step": step, "photos": list(rows)})

    def rollouts(self, step: int, records: Sequence[RolloutRecord]) -> None:
        """Appends the step's rollouts, and writes them once more in tinker-cookbook's format.

        That comes first: a step that the index names has both, whenever the process is killed.
        """
        write_summaries(self.path, step, records)
        self._rollouts.write(step, records)

    def thumbnail(self, sample_id: str, data: bytes) -> bool:
        """Keeps a small copy of a photo (JPEG, PNG or WebP bytes), within `thumbnails_mb`.

        Any thread may call it; False where there is no room or it is no image.
        """
        return self._thumbnails.add(sample_id, data)

    def add_checkpoint(self, checkpoint: RunCheckpoint) -> None:
        """Appends a checkpoint; when this returns the disk has it, and all rows before it."""
        for file in self._line_files():
            file.sync()
        self._checkpoints.append(checkpoint.to_json(), sync=True)

    def checkpoints(self) -> list[RunCheckpoint]:
        """The run's checkpoints in the order in which they were saved."""
        return read_checkpoints(self.path) if (self.path / CHECKPOINTS).is_file() else []

    def checkpoints_to_prune(self, keep: int) -> list[RunCheckpoint]:
        """Checkpoints that may go, oldest first.

        Of those that training can go on from, the newest `keep` stay, at least one; so do the final one,
        those that hold only a sampler (evaluations), those marked `"evaluation": true` or
        `"diverged": true`, and any that shares its weights with one that stays.
        """
        rows = self.checkpoints()
        able = {
            row.state_path: row  # saved again under the same name, it is the same checkpoint
            for row in rows
            if _goes_on(row) and row.name != FINAL and not row.extra.get("evaluation")
        }
        going = {path: able[path] for path in list(able)[: -max(keep, 1)]}
        needed = {p for row in rows if row.state_path not in going for p in _paths(row)}
        return [row for row in going.values() if not _paths(row) & needed]

    def forget_checkpoints(self, gone: Iterable[RunCheckpoint]) -> None:
        """Takes rows of checkpoints that were deleted out of checkpoints.jsonl; logs.log keeps them."""
        names = {(row.state_path, row.sampler_path): row.name for row in gone}
        if not names:
            return
        kept = [
            row for row in self.checkpoints() if (row.state_path, row.sampler_path) not in names
        ]
        self._checkpoints.close()
        lines = b"".join(json_line(row.to_json()) for row in kept)
        replace_bytes(self.path / CHECKPOINTS, lines)
        self.log(f"Checkpoints deleted: {', '.join(names.values())}.")

    def beat(self, phase: str, step: int) -> None:
        """Notes for the heartbeat what the run is doing, and how many steps are done."""
        if self._heartbeat is not None:
            self._heartbeat.beat(phase, step)

    def waits(self, message: str, *, is_away: bool) -> None:
        """Notes in logs.log and for the heartbeat that the service is away, or that it is back."""
        self.log(message, level="WARNING" if is_away else "INFO")
        if self._heartbeat is not None:
            self._heartbeat.waits(is_away=is_away)

    def stops(self, message: str) -> None:
        """Notes in logs.log and for the heartbeat that the run was asked to stop."""
        self.log(message, level="WARNING")
        if self._heartbeat is not None:
            self._heartbeat.stops()

    def log(self, message: str, *, level: Literal["INFO", "WARNING", "ERROR"] = "INFO") -> None:
        """Appends a line to logs.log, with the time in UTC."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = f"{stamp} {level} {printable(message)}\n"
        self._logs.append_bytes(line.encode("utf-8", "backslashreplace"))

    def close(self, state: State, reason: str = "") -> None:
        """Ends the run for every reader: why it is over stands in the heartbeat and in logs.log.

        Raises:
            WriteError: it couldn't be written; not of a run that failed, whose caller has a better
                reason in hand.
        """
        try:
            self._tell(lambda tracker: tracker.close(failed=state == "failed"))
        except WriteError:
            if state != "failed":
                raise
        finally:
            self._end(state, reason)

    def _end(self, state: State, reason: str) -> None:
        heartbeat, self._heartbeat = self._heartbeat, None
        try:
            if heartbeat is not None:
                heartbeat.stop(state, reason)
            self.log(f"{state}: {reason}" if reason else state)
        except WriteError:
            if state != "failed":
                raise
        finally:
            self._let_go()

    def _tell(self, what: Callable[[Tracker], None]) -> None:
        """Tells every tracker; one that fails is told nothing more."""
        for tracker in list(self._trackers):
            try:
                what(tracker)
            except TrackerError as error:
                self._trackers.remove(tracker)
                self.log(f"{error} It is told nothing more.", level="WARNING")

    def _settle(self) -> None:
        """Compares the configuration with the one that is there, and writes it."""
        config = self._config
        for unfinished in self.path.glob(".*.tmp"):  # what a kill left of a file being replaced
            unfinished.unlink(missing_ok=True)
        known = _read_config(self.path / CONFIG)
        if known is None:
            replace_json(self.path / CONFIG, config)
            return
        if known.get("kind") != config["kind"]:
            raise ResultMismatchError(
                f"{self.path} holds {_a_run(known.get('kind'))}, and can't be gone on with here.",
                "Give another log_path, or behavior_if_log_dir_exists=delete to set it aside.",
            )
        changed = changes(known, config)
        refuse_other_run(self.path, known, changed)
        replace_json(self.path / CONFIG, config)
        able = [row for row in self.checkpoints() if _goes_on(row)]
        self.resume_from = able[-1] if able else None
        for note in notes(changed):
            self.log(note)

    def _live(self) -> None:
        resume = self.resume_from
        heartbeat = Heartbeat(self.path, step=(resume.batch or 0) if resume is not None else 0)
        heartbeat.start()
        self._heartbeat = heartbeat

    def _line_files(self) -> Iterable[LineFile]:
        return (
            self._metrics,
            self._photos,
            self._logs,
            self._histograms.file,
            *self._rollouts.files,
        )

    def _let_go(self) -> None:
        for file in (*self._line_files(), self._checkpoints):
            file.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _goes_on(row: RunCheckpoint) -> bool:
    """Whether training goes on from it; nobody goes on by himself from what diverged."""
    return row.state_path is not None and not row.diverged


def _paths(row: RunCheckpoint) -> set[str]:
    return {path for path in (row.state_path, row.sampler_path) if path}


def _read_config(path: Path) -> dict[str, Any] | None:
    try:
        config = parse_row(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}.", "Mend it.") from error
    if config is None:
        raise UsageError(f"{path} is no JSON object.", "Restore it, or give another log_path.")
    return config


def _a_run(kind: object) -> str:
    if kind in ("sft", "rl"):
        return f"a run of `geospot {kind}`"
    return "a run that geospot didn't write"
