"""Which answers of an evaluation hold a word in what the model wrote, also while `samples.jsonl` grows."""

import os
import sys
from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

from geospot.durable import parse_row
from geospot.evaluation.results import SAMPLES

_SEARCHED: Final = ("text", "note", "error")
_ESCAPED: Final = ('"', "\\")
"""Characters that never stand in a line as they stand in a text."""
_LOOK_UP_EVERY: Final = 1 << 10
"""Lines after which it is seen whether somebody wants another search by now."""


@dataclass(slots=True)
class Hits:
    """Answers that hold a word, in the order of their lines: where the line begins, and the image's id."""

    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    ids: list[str] = field(default_factory=list[str])


class TextSearch:
    """Looks through the texts of one result; nothing is looked through twice for the same words.

    Several threads may ask. Who asks for other words than the one before ends that search: its hits are
    not all, and nobody waits for them any more.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / SAMPLES
        self._lock = Lock()
        self._wanted: frozenset[str] = frozenset()
        self._begin(frozenset(), (0, 0))

    def _begin(self, words: frozenset[str], identity: tuple[int, int]) -> None:
        self._words, self._identity, self._offset = words, identity, 0
        self._hits = {word: Hits() for word in words}

    def look(self, words: Collection[str]) -> Mapping[str, Hits]:
        """The answers with each of the words, which are casefolded, as far as the file goes now. Blocks."""
        wanted = self._wanted = frozenset(filter(None, words))
        with self._lock:
            if wanted:
                self._look(wanted)
            if self._words != wanted:
                return {}
            # Copies: what is handed out doesn't grow in another thread's hands.
            return {word: Hits(hits.offsets[:], hits.ids[:]) for word, hits in self._hits.items()}

    def _look(self, words: frozenset[str]) -> None:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                is_other = identity != self._identity or status.st_size < self._offset
                if is_other or words != self._words:
                    self._begin(words, identity)
                file.seek(self._offset)
                for number, line in enumerate(file):
                    is_whole = line.endswith(b"\n")
                    if not is_whole or (
                        number % _LOOK_UP_EVERY == 0 and self._wanted != self._words
                    ):
                        return
                    self._search(line)
                    self._offset += len(line)
        except OSError:
            self._begin(words, (0, 0))

    def _search(self, line: bytes) -> None:
        """Only a line that may hold a word is parsed."""
        is_plain = b"\\u" not in line
        folded = line.decode("utf-8", "replace").casefold()
        may_hold = [
            word
            for word in self._words
            if word in folded or not is_plain or any(one in word for one in _ESCAPED)
        ]
        row = parse_row(line) if may_hold else None
        if row is None:
            return
        text = "\n".join(_texts(row)).casefold()
        for word in may_hold:
            if word in text:
                self._hits[word].offsets.append(self._offset)
                self._hits[word].ids.append(sys.intern(str(row.get("id"))))


def _texts(row: Mapping[str, Any]) -> list[str]:
    return [text for name in _SEARCHED if isinstance(text := row.get(name), str)]
