"""A run's figures in short, from the end of its metrics.jsonl and a few places on the way.

However long the file is, some three hundred kilobytes of it are read at most.
"""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import IO, Any, Final, cast

from geospot.durable import parse_row
from geospot.runs.tail import step_of

REWARD: Final = "reward"
NLL: Final = "NLL"
_SCORES: Final = (
    ("env/all/reward/total", REWARD, "rl"),
    ("train_mean_nll", NLL, "sft"),
    ("test/nll", NLL, "sft"),
)
"""Key in the file, what it is called, and whose it is; the first that is there is shown."""
_TOKENS: Final = ("tokens/prefill", "tokens/cached_prefill", "tokens/sample", "tokens/train")
_MEDIANS_KM: Final = ("eval/median_km", "geo/median_km")

_END: Final = 1 << 16
_PLACES: Final = 32
_PLACE: Final = 1 << 13
_WHOLE: Final = _PLACES * _PLACE
"""Files up to this size, in bytes, are read whole."""
_PACED: Final = 20
"""Newest steps whose durations tell the pace."""


@dataclass(frozen=True, slots=True)
class MetricsDigest:
    """What a metrics.jsonl says, in short; see `geospot.runs.catalogue.RunSummary`."""

    kind: str = "other"
    score: float | None = None
    score_name: str = ""
    spark: tuple[float, ...] = ()
    median_km: float | None = None
    median_is_evaluated: bool = False
    """Whether the median is that of an evaluation, and not of a training step's answers."""
    step: int = 0
    """Steps done, by the newest row that has the score."""
    total: int = 0
    """Steps in all, as far as a share of them that is done tells."""
    tokens: int | None = None
    cost_usd: float | None = None
    pace_s: float | None = None
    """Seconds that one of the newest steps takes."""


EMPTY: Final = MetricsDigest()


def read_digest(path: Path) -> MetricsDigest:
    """The digest of a metrics.jsonl; an empty one where there is nothing that can be read."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            end = _End(_block(file, max(0, size - _END), _END))
            found = next((score for score in _SCORES if end.newest(score[0]) is not None), None)
            if found is None:
                return MetricsDigest(tokens=end.tokens(), cost_usd=end.newest("cost/usd"))
            key, name, kind = found
            return MetricsDigest(
                kind=kind,
                score=end.newest(key),
                score_name=name,
                spark=_spark(file, size, key),
                median_km=next(
                    (km for k in _MEDIANS_KM if (km := end.newest(k)) is not None), None
                ),
                median_is_evaluated=end.newest(_MEDIANS_KM[0]) is not None,
                step=end.steps_done(key),
                total=end.steps_in_all(key),
                tokens=end.tokens(),
                cost_usd=end.newest("cost/usd"),
                pace_s=end.pace_s(),
            )
    except OSError:
        return EMPTY


class _End:
    """The lines at the end of the file, newest first; a line is parsed when it is asked for.

    The first is cut off where the block begins, and as such no JSON object.
    """

    def __init__(self, data: bytes) -> None:
        self._lines = data[: data.rfind(b"\n") + 1].split(b"\n")[::-1]
        self._rows: dict[int, dict[str, Any]] = {}

    def row(self, key: str) -> dict[str, Any] | None:
        """The newest row in which the key is a finite number."""
        return next(iter(self.rows(key, 1)), None)

    def rows(self, key: str, most: int) -> list[dict[str, Any]]:
        """The newest rows in which the key is a finite number."""
        found: list[dict[str, Any]] = []
        name = f'"{key}"'.encode()
        for at, line in enumerate(self._lines):
            if len(found) == most:
                break
            if name in line:
                row = self._rows.setdefault(at, parse_row(line) or {})
                if finite(row.get(key)) is not None:
                    found.append(row)
        return found

    def newest(self, key: str) -> float | None:
        """The newest finite value."""
        row = self.row(key)
        return None if row is None else finite(row[key])

    def steps_done(self, key: str) -> int:
        """One more than the step of the newest row that has the key; 0 where it has none."""
        row = self.row(key)
        step = None if row is None else step_of(row)
        return 0 if step is None else max(0, step + 1)

    def steps_in_all(self, key: str) -> int:
        """Where the row says which share of the steps is done, how many there are; else 0."""
        row = self.row(key) or {}
        share = finite(row.get("progress/done_frac")) or finite(row.get("progress"))
        if share is None or not 0 < share <= 1:
            return 0
        return round(min(self.steps_done(key) / share, 2**53))

    def tokens(self) -> int | None:
        """All tokens up to the newest row that counts them."""
        row = next((found for key in _TOKENS if (found := self.row(key)) is not None), None)
        if row is None:
            return None
        return int(sum(finite(row.get(key)) or 0 for key in _TOKENS))

    def pace_s(self) -> float | None:
        """How long a step takes; a median, since some have an evaluation or a checkpoint in them."""
        times = [float(row["time/total"]) for row in self.rows("time/total", _PACED)]
        return median(times) if times else None


def finite(value: Any) -> float | None:
    """The value where it is a number that can be shown, else None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _spark(file: IO[bytes], size: int, key: str) -> tuple[float, ...]:
    """The key's values at evenly spaced places, each the mean of those that stand together there.

    They are picked out of the text, as parsing every row would cost more than reading it.
    """
    name = re.escape(key).encode()
    pattern = re.compile(rb'"' + name + rb'":\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*[,}]')
    if size <= _WHOLE:
        parts = _parts(_numbers(pattern, _block(file, 0, size)))
    else:
        starts = [(size - _PLACE) * place // (_PLACES - 1) for place in range(_PLACES)]
        parts = [_numbers(pattern, _block(file, start, _PLACE)) for start in starts]
    return tuple(sum(part) / len(part) for part in parts if part)


def _numbers(pattern: re.Pattern[bytes], data: bytes) -> list[float]:
    numbers = (float(text) for text in cast(list[bytes], pattern.findall(data)))
    return [number for number in numbers if math.isfinite(number)]


def _parts(numbers: Sequence[float]) -> list[Sequence[float]]:
    """The numbers cut into as many stretches as there are places, or one each where they are few."""
    count = min(len(numbers), _PLACES)
    cuts = [len(numbers) * place // count for place in range(count + 1)] if count else []
    return [numbers[a:b] for a, b in pairwise(cuts)]


def _block(file: IO[bytes], start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)
