"""The answers of an evaluation as columns, read from `samples.jsonl` while it grows, nothing twice.

Of each answer what a list is sorted, filtered and shown by stays in memory; the rest, its text above all, is
read when somebody asks for it. Where lines are no records they are passed over and counted.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geospot.durable import number, parse_row
from geospot.errors import ResultFormatError
from geospot.evaluation.results import EVAL, SAMPLES, SUMMARY, read_json
from geospot.evaluation.standing import section
from geospot.geo import HALF_CIRCUMFERENCE_KM
from geospot.outcomes import OUTCOMES, Outcome
from geospot.places import country_code

_CHUNK: Final = 1 << 19
_FIRST: Final = 256
_SAID: Final = 60
_KINDS: Final = {
    "draw": "i4",
    "outcome": "u1",
    "distance_km": "f8",
    "geoscore": "f8",
    "true_latitude": "f8",
    "true_longitude": "f8",
    "latitude": "f8",
    "longitude": "f8",
    "country": "i4",
    "offset": "i8",
}


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """N answers at one moment. Nothing in it is to be written to."""

    ids: Sequence[str] = ()
    said: Sequence[str] = ()
    """Place names as the answer says them, shortened."""
    countries: Sequence[str] = ()
    """What the column `country` counts in: the labels', where possible as ISO codes; the first is empty."""
    columns_N: Mapping[str, npt.NDArray[Any]] = field(
        default_factory=lambda: {name: np.empty(0, kind) for name, kind in _KINDS.items()}
    )
    passed_over: int = 0
    """Lines that are no records."""
    is_behind: bool = False
    """Whether the file has more than was read so far."""
    revision: int = 0

    def __len__(self) -> int:
        return len(self.columns_N["offset"])

    @property
    def distance_km_N(self) -> npt.NDArray[np.float64]:
        """Great-circle distance; half the circumference for failures."""
        return self.columns_N["distance_km"]

    @property
    def geoscore_N(self) -> npt.NDArray[np.float64]:
        """0 to 5000; a failure 0."""
        return self.columns_N["geoscore"]

    @property
    def outcome_N(self) -> npt.NDArray[np.uint8]:
        """Index into `OUTCOMES`."""
        return self.columns_N["outcome"]

    @property
    def answered_N(self) -> npt.NDArray[np.bool_]:
        """Whether the outcome is `ok`."""
        return self.outcome_N == 0

    def country(self, row: int) -> str:
        """The country that the data set says, as ISO code where it is one; empty where it says none."""
        return self.countries[int(self.columns_N["country"][row])]

    def point(self, row: int, *, true: bool) -> tuple[float, float]:
        """Latitude and longitude in degrees, of the truth or of the answer; NaN where there is none."""
        before = "true_" if true else ""
        columns = self.columns_N
        return float(columns[f"{before}latitude"][row]), float(columns[f"{before}longitude"][row])


class AnswersTail:
    """Follows the answers of a result directory. Belongs to one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SAMPLES
        self._identity: tuple[int, int] | None = None
        self._revision = 0
        self._clear()

    def look(self, limit: int = _CHUNK) -> Answers:
        """Reads about `limit` bytes of what is new, and gives all answers so far."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                if identity != self._identity or status.st_size < self._offset:
                    self._clear()
                    self._revision += self._identity is not None
                    self._identity = identity
                file.seek(self._offset)
                data = file.read(limit)
                if len(data) == limit:
                    data += file.readline()
                is_behind = self._offset + len(data) < status.st_size
        except OSError:
            if self._identity is not None:
                self._clear()
                self._identity = None
                self._revision += 1
            return self._answers(is_behind=False)
        whole = data[: data.rfind(b"\n") + 1]
        if whole:
            self._add(whole)
            self._revision += 1
        return self._answers(is_behind=is_behind)

    def _clear(self) -> None:
        self._offset = self._used = self._passed_over = 0
        self._ids: list[str] = []
        self._said: list[str] = []
        self._countries: dict[str, int] = {"": 0}
        self._columns = {name: np.empty(_FIRST, kind) for name, kind in _KINDS.items()}
        self._failed: dict[tuple[str, int], int] = {}

    def _answers(self, *, is_behind: bool) -> Answers:
        used = self._used
        return Answers(
            self._ids,
            self._said,
            tuple(self._countries),
            {name: column[:used] for name, column in self._columns.items()},
            self._passed_over,
            is_behind,
            self._revision,
        )

    def _add(self, data: bytes) -> None:
        """Lines into columns; an answer takes the row of the transport error that it comes after."""
        fresh: list[dict[str, Any]] = []
        for line in data.split(b"\n")[:-1]:
            offset, self._offset = self._offset, self._offset + len(line) + 1
            row = parse_row(line)
            values = None if row is None else self._values(row, offset)
            if row is None or values is None:
                self._passed_over += bool(line.strip())
                continue
            key = (values.pop("id"), values["draw"])
            said = values.pop("said")
            place = self._failed.pop(key, None)
            if place is None:
                place = self._used + len(fresh)
                fresh.append(values)
                self._ids.append(key[0])
                self._said.append(said)
            else:
                self._replace(place, values, said, fresh)
            if values["outcome"] == _TRANSPORT:
                self._failed[key] = place
        self._extend(fresh)

    def _replace(
        self, place: int, values: dict[str, Any], said: str, fresh: list[dict[str, Any]]
    ) -> None:
        self._said[place] = said
        if place >= self._used:
            fresh[place - self._used] = values
            return
        for name, value in values.items():
            self._columns[name][place] = value

    def _extend(self, fresh: Sequence[Mapping[str, Any]]) -> None:
        end = self._used + len(fresh)
        for name, column in self._columns.items():
            if end > len(column):
                more = np.empty(max(end, len(column) * 3 // 2) - len(column), _KINDS[name])
                column = self._columns[name] = np.concatenate([column, more])
            column[self._used : end] = [values[name] for values in fresh]
        self._used = end

    def _values(self, row: Mapping[str, Any], offset: int) -> dict[str, Any] | None:
        """What is kept of a record, failures at their worst; None where it isn't one."""
        name, outcome = row.get("id"), row.get("outcome")
        if not isinstance(name, str) or outcome not in OUTCOMES:
            return None
        index = OUTCOMES.index(outcome)
        distance_km, geoscore = number(row.get("distance_km")), number(row.get("geoscore"))
        is_scored = index == 0 and math.isfinite(distance_km) and math.isfinite(geoscore)
        country = country_of(_text(section(row, "labels").get("country")))
        place = section(row, "place")
        said = ", ".join(
            text for level in ("city", "region", "country") if (text := _text(place.get(level)))
        )
        draw = row.get("draw")
        return {
            "id": name,
            "said": said[:_SAID],
            "draw": draw if isinstance(draw, int) and 0 <= draw < 1 << 31 else 0,
            "outcome": index,
            "distance_km": distance_km if is_scored else HALF_CIRCUMFERENCE_KM,
            "geoscore": geoscore if is_scored else 0.0,
            "true_latitude": number(row.get("true_latitude")),
            "true_longitude": number(row.get("true_longitude")),
            "latitude": number(row.get("latitude")),
            "longitude": number(row.get("longitude")),
            "country": self._countries.setdefault(country, len(self._countries)),
            "offset": offset,
        }


class ResultFiles:
    """eval.json and summary.json of a result, read when they change. Belongs to one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamps: dict[str, tuple[int, int, int]] = {}
        self._documents: dict[str, Mapping[str, Any] | None] = {}
        self._was_there = False
        self.problem = ""

    def look(self) -> bool:
        """Whether anything is new."""
        changed = False
        problems: list[str] = []
        for name in (EVAL, SUMMARY):
            stamp = self._stamp(name)
            if self._stamps.get(name) == stamp:
                continue
            changed = True
            try:
                self._documents[name] = read_json(self._folder / name)
                self._stamps[name] = stamp
            except ResultFormatError as error:
                problems.append(str(error))
        if not os.path.isdir(self._folder):  # noqa: PTH112 — never raises
            yet = "any more" if self._was_there else "yet; it is shown as soon as it is there"
            problems = [f"There is no folder {self._folder} {yet}."]
        else:
            self._was_there = True
        problem = " ".join(problems)
        changed, self.problem = changed or problem != self.problem, problem
        return changed

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Content of eval.json; empty where there is none."""
        return self._documents.get(EVAL) or {}

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """Content of summary.json."""
        return self._documents.get(SUMMARY)

    def _stamp(self, name: str) -> tuple[int, int, int]:
        try:
            status = (self._folder / name).stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_ino, status.st_mtime_ns, status.st_size)


def read_answer(folder: Path, offset: int) -> Mapping[str, Any] | None:
    """The whole record at an offset of `samples.jsonl`; None where there is none (any more)."""
    try:
        with (folder / SAMPLES).open("rb") as file:
            file.seek(offset)
            return parse_row(file.readline())
    except OSError:
        return None


def find_answers(folder: Path, sample_id: str) -> list[Mapping[str, Any]]:
    """The records of one image, in the order of their lines. Blocks: it looks through the file."""
    found: list[Mapping[str, Any]] = []
    try:
        with (folder / SAMPLES).open("rb") as file:
            for line in file:
                # Our writer puts the id first; a foreign line is parsed whatever it begins with.
                if line.startswith(b'{"id":"') and not _may_be(line, sample_id):
                    continue
                row = parse_row(line)
                if row is not None and row.get("id") == sample_id:
                    found.append(row)
    except OSError:
        return found
    return found


_TRANSPORT: Final = OUTCOMES.index(Outcome.TRANSPORT_ERROR)


def _may_be(line: bytes, sample_id: str) -> bool:
    """Whether a line may be about an id; escapes are left to the parser."""
    start = line[7 : 7 + 4 * len(sample_id) + 1]
    return b"\\" in start or start.startswith(sample_id.encode("utf-8", "replace") + b'"')


@lru_cache(maxsize=10_000)
def country_of(label: str) -> str:
    """The ISO code of a data set's label of a country; the label itself where it is none's."""
    return (country_code(label) if label else None) or label


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
