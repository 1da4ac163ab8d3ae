"""Reading files that somebody else is still writing."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeGuard

from geospot.durable import last_line_end, parse_rows

_MARK: Final = 64
_BLOCK: Final = 1 << 18
_LARGEST: Final = 2**62


@dataclass(frozen=True, slots=True)
class News:
    """What a look at a file brought.

    `again` says that the file was replaced since the last look, as a resumed run does it: whatever was
    read before is void, and what comes from now on is of the new file. `older` rows stand before all
    those that came so far.
    """

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    again: bool = False
    older: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class LineTail:
    """The new rows of a JSON Lines file at every look, and nothing read twice.

    A last line without its end is left for the next look; lines that are no JSON objects are passed
    over. A file that isn't there yet has no rows.

    Args:
        newest_first: begin at the end of a file that is longer than the first look's limit; each look
            brings some more of what stands before.
    """

    def __init__(self, path: Path, *, newest_first: bool = False) -> None:
        self.path = path
        self.is_behind = False
        """Whether the last look left some of the file for the next one."""
        self._newest_first = newest_first
        self._identity: tuple[int, int] | None = None
        self._stamp: tuple[int, int] | None = None
        self._begin(0)

    def _begin(self, offset: int) -> None:
        self._start = self._end = offset
        """What has been read lies between, in bytes; `_start` gets to 0 in the end."""
        self._rest = b""
        """What was read at `_start` of a line that begins before it."""
        self._mark = b""
        """What stands before `_end`, to notice a file that was written anew in its place."""

    def look(self, limit: int = -1) -> News:
        """What has come since the last look.

        Args:
            limit: about how many bytes to read at most, at the end of the file and once more before what
                was read; -1 reads all. A line longer than that is read whole.

        Raises:
            OSError: the file is there and can't be read.
        """
        try:
            with open_now(self.path) as file:
                return self._read(file, os.fstat(file.fileno()), limit)
        except (FileNotFoundError, NotADirectoryError):
            again = self._identity is not None
            self._identity, self.is_behind = None, False
            self._begin(0)
            return News(again=again)

    def _read(self, file: BinaryIO, status: os.stat_result, limit: int) -> News:
        identity, stamp = (status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns)
        known = self._identity == identity
        if known and stamp == self._stamp and not self.is_behind:
            return News()
        again = self._identity is not None and not (known and self._is_continued(file, status))
        if again or self._identity is None:
            is_long = self._newest_first and 0 <= limit < status.st_size
            self._begin(last_line_end(file, status.st_size) if is_long else 0)
            file.seek(max(0, self._end - _MARK))
            self._mark = file.read(min(self._end, _MARK))
        older = self._read_before(file, limit)
        rows, reached = self._read_on(file, limit)
        self._identity, self._stamp = identity, stamp
        self.is_behind = self._start > 0 or reached < status.st_size
        return News(rows, again, older)

    def _is_continued(self, file: BinaryIO, status: os.stat_result) -> bool:
        """Whether the file still has what was read of it, as far as can be told cheaply."""
        if status.st_size < self._end:
            return False
        file.seek(self._end - len(self._mark))
        return file.read(len(self._mark)) == self._mark

    def _read_on(self, file: BinaryIO, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Rows behind those that were read, and how far the file was looked at."""
        file.seek(self._end)
        data = file.read(limit)
        if 0 <= limit == len(data):
            data += file.readline()
        reached = self._end + len(data)
        whole = data[: data.rfind(b"\n") + 1]
        self._end += len(whole)
        self._mark = (self._mark + whole)[-_MARK:]
        return parse_rows(whole), reached

    def _read_before(self, file: BinaryIO, limit: int) -> list[dict[str, Any]]:
        """Rows before those that were read; the first line of what is read may begin earlier."""
        if not self._start:
            return []
        start = max(0, self._start - limit) if limit >= 0 else 0
        file.seek(start)
        data = file.read(self._start - start) + self._rest
        cut = data.find(b"\n") + 1 if start else 0
        self._start, self._rest = start, data[:cut]
        return parse_rows(data[cut:])


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON Lines file from its first to its last, of which a few are in memory at a time."""
    tail = LineTail(path)
    while True:
        yield from tail.look(_BLOCK).rows
        if not tail.is_behind:
            return


def open_now(path: Path) -> BinaryIO:
    """Opens for reading without waiting: a pipe in a file's place would wait for its writer."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")


class StepTail:
    """Rows of a growing file merged by their `step`: several rows may share one, some have none.

    `rows` maps each step to its merged row, steps ascending; `loose` holds the latest value of every
    key that came without a step.
    """

    def __init__(self, path: Path) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.loose: dict[str, Any] = {}
        self._tail = LineTail(path)

    def look(self) -> bool:
        """Reads what is new; whether anything was."""
        news = self._tail.look()
        if news.again:
            self.rows.clear()
            self.loose.clear()
        last, late = next(reversed(self.rows), -1), False
        for row in news.rows:
            step = step_of(row)
            if step is None:
                self.loose.update(row)
                continue
            self.rows.setdefault(step, {}).update(row)
            late, last = late or step < last, max(step, last)
        if late:
            self.rows = dict(sorted(self.rows.items()))
        return bool(news.rows) or news.again

    def series(self, key: str) -> tuple[list[int], list[float]]:
        """Steps and values of one key, where it is a number."""
        pairs = [
            (step, float(row[key])) for step, row in self.rows.items() if is_number(row.get(key))
        ]
        return [step for step, _ in pairs], [value for _, value in pairs]

    def keys(self) -> list[str]:
        """Every key that some row has as a number, except the step itself."""
        found = {
            key for row in self.rows.values() for key, value in row.items() if is_number(value)
        }
        return sorted(found - {"step"})


def step_of(row: Mapping[str, Any]) -> int | None:
    """The row's step, None where it has none."""
    step = row.get("step")
    return step if is_whole(step) else None


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number that a run may reach. JSON has larger ones, that break arithmetic."""
    return type(value) is int and abs(value) <= _LARGEST


def is_number(value: Any) -> bool:
    """Whether it can be drawn: a number, and not a yes or no."""
    return isinstance(value, int | float) and not isinstance(value, bool)
