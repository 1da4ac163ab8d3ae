"""The newest lines of a log that grows."""

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from geospot.runs.tail import open_now

LOG_LINES: Final = 1000
"""Lines that are kept, the newest."""

LOG_WIDTH: Final = 4000
"""Characters of a line that are kept."""

_CHUNK: Final = 1 << 20


class LogTail:
    """The end of a text file; what stands far before it is never read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin(None)

    def _begin(self, identity: tuple[int, int] | None) -> None:
        self._identity = identity
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._shown: tuple[str, ...] = ()
        self._offset = self._size = 0

    def look(self) -> Sequence[str]:
        """The newest lines, oldest first; the same object until there are others.

        Raises:
            OSError: the file is there and can't be read.
        """
        try:
            with open_now(self._path) as file:
                self._read(file, os.fstat(file.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            self._begin(None)
        return self._shown

    def _read(self, file: BinaryIO, status: os.stat_result) -> None:
        identity = (status.st_dev, status.st_ino)
        if identity != self._identity or status.st_size < self._offset:
            self._begin(identity)
        if status.st_size == self._size:
            return
        self._size = status.st_size
        start = max(self._offset, status.st_size - _CHUNK)
        file.seek(start)
        data = file.read(_CHUNK)
        first = data.find(b"\n") + 1 if start > self._offset else 0  # it begins within a line
        end = data.rfind(b"\n") + 1
        if end:
            self._offset = start + end
            lines = data[first:end].decode("utf-8", "replace").split("\n")[:-1]
            self._lines.extend(line[:LOG_WIDTH].rstrip("\r") for line in lines)
            self._shown = tuple(self._lines)
