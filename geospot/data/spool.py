"""What was taken from a stream so far, kept on disk: memory stays flat, and nothing is fetched twice.

Two files that only grow. An image's bytes are written before the line that names them, so that after
a kill at any moment every whole line is true and the rest is cut off.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from geospot.data.prepared import write_text
from geospot.errors import SourceUnavailableError
from geospot.textsafe import printable


@dataclass(frozen=True, slots=True)
class Taken:
    """One sample that was taken: its fields, with `image` a handle, and how far the stream was.

    `seen` counts the rows of the stream up to it; `dropped` those of them without valid truth.
    """

    fields: dict[str, Any]
    seen: int
    dropped: dict[str, int]


class Spool:
    """The samples taken from one stream, in its order. One process at a time writes.

    Args:
        folder: holds `rows.jsonl`, `images.bin` and `position.json`; made if it isn't there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.images = folder / "images.bin"
        self._rows = folder / "rows.jsonl"
        self._position = folder / "position.json"
        self.ids: set[str] = set()
        self.count = self.seen = 0
        self.dropped: dict[str, int] = {}
        self._repair()

    def first(self, limit: int | None) -> list[Taken]:
        """The first `limit` samples that were taken; all of them if None."""
        with self._rows.open(encoding="utf-8") as file:
            return [Taken(**json.loads(line)) for line in islice(file, limit)]

    def append(self, fields: Mapping[str, Any], image: bytes | str) -> None:
        """Adds a sample with its image: the bytes, or a handle to find them by later.

        Set `seen` and `dropped` to where the stream is before.
        """
        if isinstance(image, bytes):
            with self.images.open("ab") as file:
                offset = file.tell()
                file.write(image)
            image = f"{offset}:{len(image)}"
        line = {"fields": {**fields, "image": image}, "seen": self.seen, "dropped": self.dropped}
        with self._rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.ids.add(fields["id"])
        self.count += 1

    def position(self) -> dict[str, Any]:
        """What `mark` wrote last: `state`, `count`, `seen`, `ended`, `dropped`; empty before that."""
        if not self._position.exists():
            return {}
        return dict(json.loads(self._position.read_text(encoding="utf-8")))

    def mark(self, state: object, *, ended: bool) -> None:
        """Remembers how to take up the stream, and whether it has ended."""
        mark = {"state": state, "count": self.count, "seen": self.seen, "ended": ended}
        write_text(self._position, json.dumps(mark | {"dropped": self.dropped}))

    def _repair(self) -> None:
        """Cuts off a torn last line and image bytes that no line names, and counts the rest.

        Where less is left than was marked, the stream is taken up from its beginning.
        """
        self._rows.touch()  # somebody may have deleted it, and then what was marked is forgotten
        there = self.images.stat().st_size if self.images.exists() else 0
        whole = end = 0
        with self._rows.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                taken = Taken(**json.loads(line))
                stop = _stop(str(taken.fields["image"]))
                if stop > there:
                    break
                whole, end = whole + len(line), max(end, stop)
                self.ids.add(taken.fields["id"])
                self.count, self.seen, self.dropped = self.count + 1, taken.seen, taken.dropped
        os.truncate(self._rows, whole)
        if there > end:
            os.truncate(self.images, end)
        if self.count < self.position().get("count", 0):
            self._position.unlink()


def read_spooled(images: Path, handle: str) -> bytes:
    """The bytes that a handle of `Spool.append` names.

    Raises:
        SourceUnavailableError: somebody has deleted or shortened the file of images since.
    """
    offset, _, size = handle.partition(":")
    try:
        with images.open("rb") as file:
            file.seek(int(offset))
            data, why = file.read(int(size)), "it has become shorter"
    except OSError as error:
        data, why = b"", error.strerror
    if len(data) < int(size):
        raise SourceUnavailableError(
            f"{printable(str(images))} in the cache can't be read: {why}.",
            "Run the same command again: what is missing is fetched again.",
        )
    return data


def _stop(handle: str) -> int:
    """Where the image of a handle ends in the file of images; 0 where it isn't in it."""
    offset, _, size = handle.partition(":")
    return int(offset) + int(size) if offset.isdecimal() and size.isdecimal() else 0
