"""Results below some folders, looked at again and again: only what has changed is read again."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from geospot.errors import ResultFormatError
from geospot.evaluation import results
from geospot.evaluation.standing import section
from geospot_leaderboard.collect import (
    Broken,
    Result,
    name_below,
    read_result,
    result_directories,
)

_CHUNK: Final = 1 << 20

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An evaluation whose figures aren't there yet, or are older than its newest answers."""

    path: Path
    name: str
    manifest: Mapping[str, Any]
    answers: int
    """Answers so far; one that was asked again after an error counts again."""
    expected: int
    """Answers there will be; 0 where eval.json doesn't say."""
    newest: float
    """When the newest answer came, in seconds since 1970."""


@dataclass(frozen=True)
class Found:
    """What there is at one moment."""

    results: Sequence[Result] = ()
    broken: Sequence[Broken] = ()
    """What can't be read, also evaluations that haven't ended, as for the command line."""
    under_way: Mapping[Path, UnderWay] = field(default_factory=dict[Path, UnderWay])
    missing: Sequence[Path] = ()
    """Folders that aren't there."""


class LiveCollector:
    """Looks below folders whenever it is told to. Belongs to one thread at a time."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self._read: dict[Path, tuple[_Stamp, Result | Broken]] = {}
        self._counts: dict[Path, _LineCount] = {}
        self._found: Found | None = None

    def look(self) -> Found:
        """What is there now; the very same object as before where nothing has changed."""
        read: dict[Path, tuple[_Stamp, Result | Broken]] = {}
        under_way: dict[Path, UnderWay] = {}
        for path, name in self._directories():
            read[path] = self._entry(path, name)
            going_on = self._progress(path, name, read[path][1])
            if going_on is not None:
                under_way[path] = going_on
        found = Found(
            [one for _, one in read.values() if isinstance(one, Result)],
            [one for _, one in read.values() if isinstance(one, Broken)],
            under_way,
            [folder for folder in self.folders if not os.path.isdir(folder)],  # noqa: PTH112 — never raises,
        )
        is_same = (
            self._found is not None
            and list(read) == list(self._read)
            and all(read[path][1] is self._read[path][1] for path in read)
            and under_way == self._found.under_way
            and found.missing == self._found.missing
        )
        self._read = read
        self._counts = {path: count for path, count in self._counts.items() if path in under_way}
        if not is_same or self._found is None:
            self._found = found
        return self._found

    def _directories(self) -> Iterator[tuple[Path, str]]:
        seen: set[Path] = set()
        for folder in self.folders:
            for path in result_directories(folder):
                if path not in seen:
                    seen.add(path)
                    name = name_below(path, folder)
                    yield path, name if len(self.folders) == 1 else f"{folder.name}/{name}"

    def _entry(self, path: Path, name: str) -> tuple[_Stamp, Result | Broken]:
        stamp = _stamp(path)
        known = self._read.get(path)
        if known is not None and known[0] == stamp:
            return known
        try:
            return stamp, _without_groups(read_result(path, name))
        except ResultFormatError as error:
            return stamp, Broken(path, error.message, error.advice)

    def _progress(self, path: Path, name: str, entry: Result | Broken) -> UnderWay | None:
        """How far an evaluation is that has no figures, or newer answers than figures."""
        if isinstance(entry, Result) and entry.summary.get("complete") is True:
            return None
        samples, summary = path / results.SAMPLES, path / results.SUMMARY
        newest = _changed(samples)
        if _changed(summary) and newest <= _changed(summary):
            return None
        try:
            manifest = results.read_json(path / results.EVAL)
        except ResultFormatError:
            return None
        if manifest is None:
            return None
        count = self._counts.setdefault(path, _LineCount(samples))
        config, dataset = section(manifest, "config"), section(manifest, "dataset")
        expected = _whole(dataset.get("n")) * max(_whole(config.get("samples")), 1)
        return UnderWay(path, name, manifest, count.look(), expected, newest)


def _without_groups(result: Result) -> Result:
    """Figures by country are most of a summary, no ranking needs them, and results may be thousands."""
    kept = {k: v for k, v in result.summary.items() if k not in ("by_country", "by_continent")}
    return replace(result, summary=kept)


class _LineCount:
    """Lines of a file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = self._count = 0

    def look(self) -> int:
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._offset = self._count = 0
                file.seek(self._offset)
                while data := file.read(_CHUNK):
                    self._count += data.count(b"\n")
                    self._offset += len(data)
        except OSError:
            self._offset = self._count = 0
        return self._count


def seconds_since(moment: float) -> float:
    """How long ago; 0 where the clock says that it is yet to come."""
    return max(time.time() - moment, 0.0)


def _stamp(path: Path) -> _Stamp:
    # A text and no path: of thousands of results, the paths would take as long as the disk.
    return tuple(_file_stamp(f"{path}{os.sep}{name}") for name in (results.EVAL, results.SUMMARY))


def _file_stamp(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _whole(value: object) -> int:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return max(cast(int, value), 0) if is_whole else 0
