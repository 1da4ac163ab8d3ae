"""Reading files that somebody else is still writing."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geospot.durable import parse_rows


@dataclass(frozen=True, slots=True)
class News:
    """What a look at a file brought.

    `again` says that the file was replaced since the last look, as a resumed run does it: whatever was
    read before is void, and `rows` are all rows of the new file.
    """

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    again: bool = False


class LineTail:
    """The new rows of a JSON Lines file at every look, and nothing read twice.

    A last line without its end is left for the next look; lines that are no JSON objects are passed
    over. A file that isn't there yet has no rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_behind = False
        """Whether the last look left some of the file for the next one."""
        self._offset = 0
        self._identity: tuple[int, int] | None = None

    def look(self, limit: int = -1) -> News:
        """What has come since the last look.

        Args:
            limit: about how many bytes to read at most; -1 reads all. A line longer than that is read
                whole.
        """
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                again = self._identity is not None and (
                    identity != self._identity or status.st_size < self._offset
                )
                if again:
                    self._offset = 0
                self._identity = identity
                file.seek(self._offset)
                data = file.read(limit)
                if 0 <= limit == len(data):
                    data += file.readline()
                self.is_behind = self._offset + len(data) < status.st_size
        except FileNotFoundError:
            again = self._identity is not None
            self._offset, self._identity, self.is_behind = 0, None, False
            return News(again=again)
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return News(parse_rows(whole), again)


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


def step_of(row: dict[str, Any]) -> int | None:
    """The row's step, None where it has none."""
    step = row.get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) else None


def is_number(value: Any) -> bool:
    """Whether it can be drawn: a number, and not a yes or no."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def rows_before(step: int) -> Callable[[dict[str, Any]], bool]:
    """Tells rows that stay when a run goes on at `step`: those of earlier steps, or of none."""

    def stays(row: dict[str, Any]) -> bool:
        own = step_of(row)
        return own is None or own < step

    return stays
