"""The result directory: `eval.json`, `samples.jsonl`, `events.jsonl`, `summary.json`.

Lines are only appended, each in one write; whole files are replaced atomically. Whatever moment a
process is killed at, the next one finds every line that was written and repairs at most a torn end.
"""

import fcntl
import json
import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from geospot.errors import GeospotError, ResultFormatError, ResultMismatchError, UsageError
from geospot.evaluation.records import SampleRecord
from geospot.outcomes import Outcome

FORMAT: Final = 1
EVAL: Final = "eval.json"
SAMPLES: Final = "samples.jsonl"
EVENTS: Final = "events.jsonl"
SUMMARY: Final = "summary.json"
OUR_FILES: Final = frozenset([EVAL, SAMPLES, EVENTS, SUMMARY, ".lock"])
ASIDE: Final = ".aside-"
"""In the name of a directory that `--no-resume` set aside; the leaderboard passes it over."""

# What makes two runs the same evaluation. Everything else (concurrency, retries, prices, …) may
# change between one session and the next.
IDENTITY: Final = (
    "backend.name",
    "backend.model",
    "backend.base_url",
    "backend.path",
    "dataset.name",
    "dataset.split",
    "dataset.fingerprint",
    "dataset.truth_sha",
    "prompt.sha",
    "config.samples",
    "config.max_image_size",
    "config.max_tokens",
    "config.temperature",
    "config.extra_body",
)


class DirectoryBusyError(GeospotError, BlockingIOError):
    """Another process is writing into this result directory."""


class ResultWriteError(GeospotError, OSError):
    """The disk is full, or gone."""


class ResultDirectory:
    """One evaluation on disk, open for writing by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._samples: int | None = None
        self._events: int | None = None
        self._broken: ResultWriteError | None = None

    @classmethod
    def open(cls, path: Path, manifest: Mapping[str, Any], *, resume: bool) -> "ResultDirectory":
        """Creates the directory, or goes on with the one that is there.

        Args:
            manifest: content of eval.json for this configuration.
            resume: False sets an existing directory aside by renaming it.

        Raises:
            ResultMismatchError: it holds an evaluation of another configuration.
            DirectoryBusyError: another process is writing into it.
        """
        if not resume:
            set_aside(path)
        _make(path)
        directory = cls(path)
        directory._take_lock()
        try:
            known = directory.manifest()
            if known is None:
                directory._refuse_strangers()
                directory.write_manifest(manifest)
            else:
                _refuse_other(path, known, manifest)
            for name in (SAMPLES, EVENTS):
                _mend_torn_end(path / name)
        except BaseException:
            directory.close()
            raise
        return directory

    @classmethod
    def reopen(cls, path: Path) -> "ResultDirectory":
        """Opens an existing directory for writing, whatever it was configured as.

        Raises:
            DirectoryBusyError: another process is writing into it.
        """
        directory = cls(path)
        directory._take_lock()
        for name in (SAMPLES, EVENTS):
            _mend_torn_end(path / name)
        return directory

    @contextmanager
    def writing_to(self, path: Path) -> Generator[None]:
        """Within the block `append` writes into another file, which then takes the samples' place."""
        self._close_samples()
        self._samples = _open_for_append(path)
        try:
            yield
            os.fsync(self._samples)
        finally:
            self._close_samples()

    def manifest(self) -> dict[str, Any] | None:
        """Content of eval.json, None if there is none."""
        return read_json(self.path / EVAL)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replaces eval.json."""
        write_json(self.path / EVAL, manifest)

    def summary(self) -> dict[str, Any] | None:
        """Content of summary.json, None if there is none."""
        return read_json(self.path / SUMMARY)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Replaces summary.json."""
        write_json(self.path / SUMMARY, summary)

    def append(self, record: SampleRecord) -> None:
        """Appends one sample's line. When this returns, a kill of the process can't lose it."""
        if self._broken is not None:
            raise self._broken  # what follows a line that wasn't written whole would be lost with it
        if self._samples is None:
            self._samples = _open_for_append(self.path / SAMPLES)
        try:
            _append_line(self._samples, record.to_json())
        except ResultWriteError as error:
            self._broken = error
            raise

    def event(self, name: str, **details: Any) -> None:
        """Appends one event: a session's start, a retry, a change of pace, an interruption."""
        if self._events is None:
            self._events = _open_for_append(self.path / EVENTS)
        _append_line(self._events, {"time": round(time.time(), 3), "event": name, **details})

    def records(self) -> Iterator[SampleRecord]:
        """Every sample's latest record; see `read_records`."""
        return read_records(self.path / SAMPLES)

    def close(self) -> None:
        """Lets go of files and lock."""
        self._close_samples()
        for descriptor in (self._events, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._events = self._lock = None

    def _close_samples(self) -> None:
        if self._samples is not None:
            os.close(self._samples)
            self._samples = None

    def _take_lock(self) -> None:
        try:
            self._lock = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise DirectoryBusyError(
                f"Another process is writing into {self.path}.",
                "Wait for it, or give another --out.",
            ) from error

    def _refuse_strangers(self) -> None:
        # What a process leaves that was killed before its first eval.json was whole.
        for unfinished in self.path.glob(f".{EVAL}.*"):
            unfinished.unlink()
        others = sorted(entry.name for entry in self.path.iterdir() if entry.name != ".lock")
        if others:
            raise UsageError(
                f"{self.path} has files in it but no {EVAL}, so it isn't a result directory.",
                "Give another --out.",
            )


def set_aside(path: Path) -> Path | None:
    """Renames an existing directory out of the way; returns its new name, None if there was none.

    Raises:
        DirectoryBusyError: another process is writing into it.
    """
    if not path.exists():
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (f"{path.name}{ASIDE}{stamp}{f'-{count}' if count else ''}" for count in range(1000))
    target = next((path.with_name(n) for n in names if not path.with_name(n).exists()), None)
    if target is None:
        raise UsageError(f"{path} can't be set aside.", "Remove some of its old copies.")
    holder = ResultDirectory.reopen(path)  # nobody may be writing into what is renamed
    try:
        path.rename(target)
    finally:
        holder.close()
    return target


def read_records(path: Path) -> Iterator[SampleRecord]:
    """The latest record of every (id, draw) in a samples.jsonl, in file order, one at a time.

    Only a transport error is ever asked again, so only those can have a successor; what is kept in
    memory grows with their number alone.

    Raises:
        ResultFormatError: a line that is no record (a torn last line is passed over).
    """
    if not path.is_file():
        return
    latest = _latest_failures(path)
    for number, line in _lines(path):
        row = _parse(path, number, line)
        if row["outcome"] == Outcome.TRANSPORT_ERROR and latest[_key(row)] != number:
            continue
        yield SampleRecord.from_json(row)


def _latest_failures(path: Path) -> dict[tuple[str, int], int]:
    """For each (id, draw) that ever failed in transport, the line that counts."""
    latest: dict[tuple[str, int], int] = {}
    for number, line in _lines(path):
        if not latest and b'"transport_error"' not in line:
            continue  # nearly always: most files have no failure, and needn't be parsed twice
        row = _parse(path, number, line)
        if row["outcome"] == Outcome.TRANSPORT_ERROR or _key(row) in latest:
            latest[_key(row)] = number
    return latest


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n"):
                yield number, line


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row: Any = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or "id" not in row or "outcome" not in row:
        raise ResultFormatError(
            f"Line {number} of {path} is no sample record.",
            "Something else wrote into the file; remove that line, and the sample is asked again.",
        )
    return cast(dict[str, Any], row)


def _key(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["id"], row.get("draw", 0)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file, None if there is no file.

    Raises:
        ResultFormatError: the file holds something else.
    """
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise ResultFormatError(
            f"{path} can't be read: {error}.", "Restore it, or use another directory."
        ) from error
    if not isinstance(value, dict):
        raise ResultFormatError(f"{path} is no JSON object.", "Restore it from a copy.")
    return cast(dict[str, Any], value)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replaces a file by a JSON object: readers see the old one or the new one, never a part.

    Raises:
        ResultWriteError: the disk is full or read-only.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as out:
            out.write(text.encode("utf-8", "backslashreplace"))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ResultWriteError:
    return ResultWriteError(
        f"{path} can't be written: {error.strerror}.",
        "Make room on the disk, or mend its permissions, and run the same command again; nothing "
        "written so far is lost.",
    )


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The result directory {path} can't be made: {error.strerror}.", "Give another --out."
        ) from error


def _refuse_other(path: Path, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differences = [
        f"{name}: {_at(known, name)!r} there, {_at(wanted, name)!r} asked for"
        for name in IDENTITY
        if _at(known, name) != _at(wanted, name)
    ]
    if differences:
        listed = "\n  ".join(differences)
        raise ResultMismatchError(
            f"{path} holds an evaluation of another configuration:\n  {listed}\n",
            "Give another --out, or --no-resume to set the old one aside.",
        )


def _at(manifest: Mapping[str, Any], dotted: str) -> Any:
    section, name = dotted.split(".")
    return manifest.get(section, {}).get(name)


def _open_for_append(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise _unwritable(path, error) from error


def _append_line(descriptor: int, row: Mapping[str, Any]) -> None:
    line = json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A model may send half of a surrogate pair, which isn't UTF-8; as an escape it is valid JSON.
    data = line.encode("utf-8", "backslashreplace") + b"\n"
    whole = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError as error:
        os.ftruncate(descriptor, whole)  # half a line would spoil the next one
        raise ResultWriteError(
            f"A result line can't be written: {error.strerror}.",
            "Make room on the disk and run the same command again; nothing written so far is lost.",
        ) from error


def _mend_torn_end(path: Path) -> None:
    """Cuts off what a kill left of a line that wasn't written whole."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        keep = end
        while keep > 0:
            start = max(0, keep - 65_536)
            file.seek(start)
            newline = file.read(keep - start).rfind(b"\n")
            if newline >= 0:
                keep = start + newline + 1
                break
            keep = start
        if keep < end:
            file.truncate(keep)
