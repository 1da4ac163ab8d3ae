"""The result directory: `eval.json`, `samples.jsonl`, `events.jsonl`, `summary.json`.

Lines are only appended, each in one write; whole files are replaced atomically. Whatever moment a
process is killed at, the next one finds every line that was written and repairs at most a torn end.
"""

import json
import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import orjson

from geospot import durable
from geospot.durable import (
    LineFile,
    mend_torn_end,
    parse_row,
    replace_bytes,
    take_lock,
    unwritable,
)
from geospot.errors import ResultFormatError, ResultMismatchError, UsageError
from geospot.evaluation.records import SampleRecord, is_record
from geospot.outcomes import Outcome

FORMAT: Final = 1
RESULTS: Final = Path("results")
"""Where results go unless `--out` says otherwise."""

EVAL: Final = "eval.json"
SAMPLES: Final = "samples.jsonl"
EVENTS: Final = "events.jsonl"
SUMMARY: Final = "summary.json"
OUR_FILES: Final = frozenset([EVAL, SAMPLES, EVENTS, SUMMARY, ".lock"])
ASIDE: Final = durable.ASIDE
"""In the name of a directory that `--no-resume` set aside; the leaderboard passes it over."""

_BUSY_ADVICE: Final = "Wait for it, or give another --out."

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
    "config.seed",
    "config.max_image_size",
    "config.max_tokens",
    "config.temperature",
    "config.extra_body",
    "config.renderer",
)


class ResultDirectory:
    """One evaluation on disk, open for writing by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._samples = LineFile(path / SAMPLES)
        self._events = LineFile(path / EVENTS)

    @classmethod
    def open(cls, path: Path, manifest: Mapping[str, Any], *, resume: bool) -> "ResultDirectory":
        """Creates the directory, or goes on with the one that is there.

        Args:
            manifest: content of eval.json for this configuration.
            resume: False sets an existing directory aside by renaming it.

        Raises:
            ResultMismatchError: it holds an evaluation of another configuration.
            BusyError: another process is writing into it.
        """
        if not resume:
            set_aside(path)
        _make(path)
        directory = cls(path)
        if directory.manifest() is None:
            directory._refuse_strangers()  # somebody else's folder gets not even a lock
        directory._take_lock()
        try:
            known = directory.manifest()
            if known is None:
                directory._refuse_strangers()
                directory.write_manifest(manifest)
            else:
                _refuse_other(path, known, manifest)
            for name in (SAMPLES, EVENTS):
                mend_torn_end(path / name)
        except BaseException:
            directory.close()
            raise
        return directory

    @classmethod
    def reopen(cls, path: Path) -> "ResultDirectory":
        """Opens an existing directory for writing, whatever it was configured as.

        Raises:
            BusyError: another process is writing into it.
        """
        directory = cls(path)
        directory._take_lock()
        for name in (SAMPLES, EVENTS):
            mend_torn_end(path / name)
        return directory

    @contextmanager
    def writing_to(self, path: Path) -> Generator[None]:
        """Within the block `append` writes into another file, which then takes the samples' place."""
        self._samples.close()
        ours, self._samples = self._samples, LineFile(path)
        try:
            self._samples.append()  # the file is there even if it stays empty
            yield
            self._samples.sync()
        finally:
            self._samples.close()
            self._samples = ours

    def manifest(self) -> dict[str, Any] | None:
        """Content of eval.json, None if there is none.

        Raises:
            ResultFormatError: it is damaged, or of another format.
        """
        return _known_format(self.path / EVAL)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replaces eval.json."""
        write_json(self.path / EVAL, manifest)

    def summary(self) -> dict[str, Any] | None:
        """Content of summary.json, None if there is none.

        Raises:
            ResultFormatError: it is damaged, or of another format.
        """
        return _known_format(self.path / SUMMARY)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Replaces summary.json."""
        write_json(self.path / SUMMARY, summary)

    def append(self, record: SampleRecord) -> None:
        """Appends one sample's line. When this returns, a kill of the process can't lose it."""
        self._samples.append_bytes(_line(record.to_json()))

    def event(self, name: str, **details: Any) -> None:
        """Appends one event: a session's start, a retry, a change of pace, an interruption."""
        row = {"time": round(time.time(), 3), "event": name, **details}
        self._events.append_bytes(_line(row))

    def records(self) -> Iterator[SampleRecord]:
        """Every sample's latest record; see `read_records`."""
        return read_records(self.path / SAMPLES)

    def close(self) -> None:
        """Lets go of files and lock."""
        self._samples.close()
        self._events.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        self._lock = take_lock(self.path, _BUSY_ADVICE)
        for name in (EVAL, SUMMARY):  # what a kill left of a file that was being replaced
            for unfinished in self.path.glob(f".{name}.*.tmp"):
                try:
                    unfinished.unlink()
                except OSError as error:
                    raise unwritable(unfinished, error) from error

    def _refuse_strangers(self) -> None:
        if not all(durable.is_left_at_start(entry.name, EVAL) for entry in self.path.iterdir()):
            raise UsageError(
                f"{self.path} has files in it but no {EVAL}, so it isn't a result directory.",
                "Give another --out.",
            )


def set_aside(path: Path) -> Path | None:
    """Renames an existing directory out of the way; returns its new name, None if there was none.

    Raises:
        BusyError: another process is writing into it.
    """
    return durable.set_aside(path, _BUSY_ADVICE) if path.exists() else None


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
        row: Any = orjson.loads(line)
    except orjson.JSONDecodeError:  # half a surrogate pair, or no JSON at all
        row = parse_row(line)
    if not isinstance(row, dict) or not is_record(cast(dict[str, Any], row)):
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
    except (ValueError, RecursionError, OSError) as error:
        raise ResultFormatError(
            f"{path} can't be read: {error}.", "Restore it, or use another directory."
        ) from error
    if not isinstance(value, dict):
        raise ResultFormatError(f"{path} is no JSON object.", "Restore it from a copy.")
    return cast(dict[str, Any], value)


def check_format(path: Path, document: Mapping[str, Any]) -> None:
    """Refuses a file of another format, which would be read wrongly. Without a number it is the first.

    Raises:
        ResultFormatError: it is of another.
    """
    version = document.get("format", FORMAT)
    if version != FORMAT:
        raise ResultFormatError(
            f"{path} is of format {version!r}, not {FORMAT}.",
            "Read it with the geospot that wrote it, or a later one.",
        )


def _known_format(path: Path) -> dict[str, Any] | None:
    document = read_json(path)
    if document is not None:
        check_format(path, document)
    return document


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replaces a file by a JSON object: readers see the old one or the new one, never a part.

    Raises:
        WriteError: the disk is full or read-only.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    replace_bytes(path, text.encode("utf-8", "backslashreplace"))


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


def _line(row: Mapping[str, Any]) -> bytes:
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A model may send half of a surrogate pair, which isn't UTF-8; as an escape it is valid JSON.
    return text.encode("utf-8", "backslashreplace") + b"\n"
