"""Rollouts on disk: `rollouts.jsonl`, a line a turn of a rollout, and an index that finds a step at once.

`rollouts.index.jsonl` has a row for each block of lines that was written together:
`{"step", "offset", "length", "count"}`, offset and length in bytes. It is written after its block, so it
never points at nothing; a reader takes from it where a step is, and reads nothing else.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from geospot.durable import (
    LineFile,
    json_line,
    mend_torn_end,
    parse_row,
    parse_rows,
    replace_bytes,
)
from geospot.outcomes import Outcome
from geospot.runs.rewind import move_end, rewind_rows
from geospot.runs.tail import LineTail, is_whole, step_of

ROLLOUTS: Final = "rollouts.jsonl"
INDEX: Final = "rollouts.index.jsonl"
_OF_BLOCK: Final = ("step", "offset", "length", "count")


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """One turn of one rollout. A rollout of a single turn, the usual one, is one record.

    Positions are degrees; `latitude` and `longitude` are the answer's, None where it has none, and
    `distance_km` is then half the circumference. `labels` is what the data set says of the place,
    `place` what the answer says. `terms` are the parts of `reward` by name.

    Of foreign runs less is known: truth, distance and reward are NaN where the run doesn't say.
    """

    step: int
    group: int
    """Which photo of the step."""
    index: int
    """Which rollout of the group."""
    sample_id: str
    true_latitude: float
    true_longitude: float
    outcome: Outcome
    reward: float
    distance_km: float
    text: str = ""
    note: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    place: dict[str, str] = field(default_factory=dict[str, str])
    terms: dict[str, float] = field(default_factory=dict[str, float])
    advantage: float | None = None
    """None where the group was left out of the gradient."""
    tokens: Sequence[int] = ()
    """Sampled token ids."""
    logprobs: Sequence[float] = ()
    """Of each token, under the sampler; NaN where that was no number."""
    pieces: Sequence[str] = ()
    """Text of each token, for readers without a tokenizer; may be left empty."""
    prompt_tokens: int = 0
    truncated: bool = False
    """Cut off at `max_tokens`."""
    sampler_step: int | None = None
    """Steps that the weights had done which sampled it."""
    turn: int = 0
    replayed: bool = False
    """Whether the photo was shown again because it is hard: histograms leave those out."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary in field order; log-probabilities keep five decimals."""
        row = {name: getattr(self, name) for name in self.__slots__}
        rounded = [round(float(value), 5) for value in self.logprobs]
        return row | {
            "outcome": str(self.outcome),
            "logprobs": rounded,
            "tokens": list(self.tokens),
            "pieces": list(self.pieces),
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "RolloutRecord | None":
        """Inverse of `to_json`, None for a row that is no rollout.

        Unknown keys are passed over, as are values that can't be what their key says.
        """
        known: dict[str, Any] = {
            key: row[key] for key, fits in _FITS.items() if key in row and fits(row[key])
        }
        for key in _MAY_BE_UNKNOWN:
            if key in row and key not in known:
                known[key] = math.nan
        if "logprobs" in known:
            known["logprobs"] = [math.nan if p is None else p for p in known["logprobs"]]
        try:
            return cls(**known, outcome=Outcome(row["outcome"]))
        except (KeyError, TypeError, ValueError):
            return None


def _is_finite(value: Any) -> bool:
    return is_whole(value) or (type(value) is float and math.isfinite(value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_yes_or_no(value: Any) -> bool:
    return isinstance(value, bool)


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _all(kind: type, fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Of a list, or a mapping's values."""

    def fit(value: Any) -> bool:
        return type(value) is kind and all(
            map(fits, cast(dict[str, Any], value).values() if kind is dict else value)
        )

    return fit


_FITS: Final[Mapping[str, Callable[[Any], bool]]] = (
    dict.fromkeys(("step", "group", "index", "prompt_tokens", "turn"), is_whole)
    | dict.fromkeys(("sample_id", "text"), _is_text)
    | dict.fromkeys(("true_latitude", "true_longitude", "reward", "distance_km"), _is_finite)
    | dict.fromkeys(("latitude", "longitude", "advantage"), _or_none(_is_finite))
    | dict.fromkeys(("labels", "place"), _all(dict, _is_text))
    | {
        "note": _or_none(_is_text),
        "terms": _all(dict, _is_finite),
        "tokens": _all(list, is_whole),
        "logprobs": _all(list, _or_none(_is_finite)),
        "pieces": _all(list, _is_text),
        "truncated": _is_yes_or_no,
        "replayed": _is_yes_or_no,
        "sampler_step": _or_none(is_whole),
    }
)
_MAY_BE_UNKNOWN: Final = ("true_latitude", "true_longitude", "reward", "distance_km")


class RolloutWriter:
    """Appends the rollouts of a step as one block, and the block's row to the index."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = LineFile(folder / ROLLOUTS)
        self._index = LineFile(folder / INDEX)

    @property
    def files(self) -> tuple[LineFile, LineFile]:
        """The open files, for whoever waits for the disk."""
        return (self._lines, self._index)

    def rewind(self, step: int) -> int:
        """Mends what a kill tore, and sets the blocks of `step` and later aside; returns how many."""
        mend_index(self._folder)
        blocks = _read_index(self._folder)
        gone = [block for block in blocks if block["step"] >= step]
        if gone:
            rewind_rows(self._folder / INDEX, step)
            kept = [block for block in blocks if block["step"] < step]
            end = max((block["offset"] + block["length"] for block in kept), default=0)
            move_end(self._folder / ROLLOUTS, end, step)
        return len(gone)

    def write(self, step: int, records: Iterable[RolloutRecord]) -> None:
        """Appends the step's rollouts.

        Raises:
            WriteError: the disk is full.
        """
        lines = [json_line(record.to_json()) for record in records]
        offset, length = self._lines.append_bytes(b"".join(lines))
        self._index.append({"step": step, "offset": offset, "length": length, "count": len(lines)})


class RolloutReader:
    """Rollouts of a run that may still be going on, step by step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tail = LineTail(folder / INDEX, newest_first=True)
        self._blocks_B_I = _table([])
        """Step, offset, length and count of each block, by step, those of a step in the file's order."""
        self._steps: list[int] = []

    @property
    def is_behind(self) -> bool:
        """Whether the index has more than has been read."""
        return self._tail.is_behind

    def look(self, limit: int = -1) -> bool:
        """Reads what is new in the index; whether anything was.

        Args:
            limit: about how many bytes to read at most, the newest first; -1 reads all.
        """
        news = self._tail.look(limit)
        if not (news.rows or news.older or news.again):
            return False
        known = [] if news.again else [self._blocks_B_I]
        self._blocks_B_I = np.concatenate([_table(news.older), *known, _table(news.rows)])
        step_B = self._blocks_B_I[:, 0]
        if (step_B[1:] < step_B[:-1]).any():
            self._blocks_B_I = self._blocks_B_I[np.argsort(step_B, kind="stable")]
            step_B = self._blocks_B_I[:, 0]
        self._steps = step_B[np.diff(step_B, prepend=-1) > 0].tolist()
        return True

    @property
    def steps(self) -> list[int]:
        """Steps whose rollouts can be read, ascending."""
        return self._steps

    def count(self, step: int) -> int:
        """How many records the step has."""
        return int(self._of_step(step)[:, 3].sum())

    def read(self, step: int) -> list[RolloutRecord]:
        """The step's records, in the order in which they were written; none for an unknown step."""
        path, blocks = self._folder / ROLLOUTS, self._of_step(step)
        rows = [
            row
            for _, offset, length, _ in blocks.tolist()
            for row in parse_rows(_read_range(path, offset, length))
        ]
        records = (RolloutRecord.from_json(row) for row in rows)
        # Another step's: the run went back since the index was read, and a look will tell.
        return [record for record in records if record is not None and record.step == step]

    def _of_step(self, step: int) -> NDArray[np.int64]:
        """Its blocks; none of an unknown step."""
        step_B = self._blocks_B_I[:, 0]
        first, last = np.searchsorted(step_B, step), np.searchsorted(step_B, step, side="right")
        return self._blocks_B_I[first:last]


def mend_index(folder: Path) -> None:
    """Makes index and lines agree after a kill or a power cut.

    Index rows that point beyond the lines leave; whole lines that no index row covers get one.
    """
    lines, index = folder / ROLLOUTS, folder / INDEX
    if not lines.is_file():
        if index.is_file():
            replace_bytes(index, b"")
        return
    mend_torn_end(lines)
    mend_torn_end(index)
    size = lines.stat().st_size
    blocks = _read_index(folder)
    kept = [block for block in blocks if block["offset"] + block["length"] <= size]
    covered = max((block["offset"] + block["length"] for block in kept), default=0)
    kept += _blocks_from(lines, covered)
    if kept != blocks:
        replace_bytes(index, b"".join(map(json_line, kept)))


def _blocks_from(lines: Path, offset: int) -> list[dict[str, Any]]:
    """Index rows for the lines from `offset` on: one for each run of lines of the same step."""
    blocks: list[dict[str, Any]] = []
    with lines.open("rb") as file:
        file.seek(offset)
        for line in file:
            row = parse_row(line)
            step = step_of(row) if row is not None else None
            if step is not None and blocks and blocks[-1]["step"] == step:
                blocks[-1]["length"] += len(line)
                blocks[-1]["count"] += 1
            elif step is not None:
                blocks.append({"step": step, "offset": offset, "length": len(line), "count": 1})
            offset += len(line)
    return blocks


def _read_index(folder: Path) -> list[dict[str, Any]]:
    try:
        data = (folder / INDEX).read_bytes()
    except FileNotFoundError:
        return []
    return [row for row in parse_rows(data) if _is_block(row)]


def _is_block(row: dict[str, Any]) -> bool:
    return all(is_whole(row.get(key)) and cast(int, row[key]) >= 0 for key in _OF_BLOCK)


def _table(rows: Sequence[dict[str, Any]]) -> NDArray[np.int64]:
    """Rows of the index as an array, in the order of `_OF_BLOCK`."""
    blocks = [[row[key] for key in _OF_BLOCK] for row in rows if _is_block(row)]
    return np.array(blocks, np.int64).reshape(-1, len(_OF_BLOCK))


def _read_range(path: Path, offset: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size  # the row may promise more than there is
            file.seek(min(offset, size))
            return file.read(min(length, size))
    except FileNotFoundError:
        return b""
