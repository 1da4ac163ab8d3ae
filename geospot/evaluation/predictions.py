"""Finished predictions from a CSV or JSON Lines file: what `score` and the replay backend read.

Columns (names in any case): `id`; `text`, the raw answer; `latitude`/`lat` and
`longitude`/`lon`/`lng`; optionally `draw` (0 for the first answer), `city`, `region` and `country` as
answered, and the truth in `true_latitude`, `true_longitude`, `true_city`, `true_region` and
`true_country`. An answer's text wins over its coordinates; a row with neither, or whose coordinates
are no numbers, is an empty answer. Coordinates with place names are read as the five lines that the
default prompt asks for, so that the names are scored too. A geospot `samples.jsonl` is such a file.
"""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from geospot.data.sample import GeoSample
from geospot.errors import UsageError
from geospot.evaluation.backend import Reply
from geospot.geo import is_on_globe
from geospot.textsafe import printable

_LATITUDE: Final = ("latitude", "lat")
_LONGITUDE: Final = ("longitude", "lon", "lng")
_TRUE_LATITUDE: Final = ("true_latitude", "true_lat")
_TRUE_LONGITUDE: Final = ("true_longitude", "true_lon", "true_lng")
_PLACES: Final = ("city", "region", "country")
_NEVER_ANSWERED: Final = frozenset(["missing", "transport_error", "image_error"])
"""Outcomes of a `samples.jsonl` line that holds no answer."""
_FIELD_LIMIT: Final = 16 * 1024 * 1024
_DRAWS: Final = 64
_FLOAT_ID: Final = re.compile(r"\d{6,}\.0|\d(\.\d+)?[eE]\+\d+")
"""What a number of six digits or more turns into when a table library reads it as a float."""

_Answer = str | tuple[float, float] | Reply


class Predictions:
    """The answers of a file by (id, draw), and its truths by id where it holds them.

    Args:
        path: a .csv, .jsonl or .ndjson file; all of it is read.
        with_truth: whether every row must hold its true coordinates.

    Raises:
        UsageError: not there, or a row that makes no sense, by its line.
    """

    def __init__(self, path: Path, *, with_truth: bool = False) -> None:
        self.path = path
        self.truths: dict[str, GeoSample] = {}
        self._answers: dict[tuple[str, int], _Answer] = {}
        self._read(with_truth=with_truth)

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def draws(self) -> int:
        """The most answers that one sample has."""
        return 1 + max((draw for _, draw in self._answers), default=0)

    def reply(self, sample_id: str, draw: int) -> Reply | None:
        """The answer as a backend would give it, None where the file has none."""
        answer = self._answers.get((sample_id, draw))
        if answer is None or isinstance(answer, Reply):
            return answer
        return Reply(answer) if isinstance(answer, str) else Reply("", coordinates=answer)

    def _read(self, *, with_truth: bool) -> None:
        seen = 0
        for line, row in _rows(self.path):
            seen += 1
            where = f"{self.path}, line {line}"
            key = _key(row, where)
            if with_truth and key[0] not in self.truths:
                self.truths[key[0]] = _truth(key[0], row, where)
            if row.get("outcome") in _NEVER_ANSWERED:
                continue
            if key in self._answers:
                raise UsageError(
                    f"{where}: a second answer for id {printable(key[0], limit=80)!r}.",
                    "Keep one row an id, or number the answers in a column draw (0, 1, …).",
                )
            self._answers[key] = _answer(row)
        if not seen:
            raise UsageError(f"{self.path} has no rows.", "It should have one a prediction.")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its line number; column names in lower case."""
    readers = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _jsonl_rows, ".ndjson": _jsonl_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path} is no .csv, .tsv or .jsonl.", "Predictions come as one of these.")
    try:
        yield from reader(path)
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}.", "Name a CSV or JSONL of predictions."
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from error


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(_FIELD_LIMIT)
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        file.seek(0)
        rows = csv.reader(file, strict=True, delimiter=_delimiter(path, head))
        try:
            names = [name.strip().lower() for name in next(rows, list[str]())]
            _check_columns(names, path)
            for row in rows:
                if not row:
                    continue
                if len(row) != len(names):
                    raise UsageError(
                        f"{path}, line {rows.line_num}: {len(row)} fields, "
                        f"but the header has {len(names)}.",
                        "Quote texts that contain commas or line breaks.",
                    )
                yield rows.line_num, dict(zip(names, row, strict=True))
        except csv.Error as error:
            raise UsageError(
                f"{path}, line {rows.line_num} is not CSV: {error}.",
                "Quote texts that contain commas, quotes or line breaks.",
            ) from error


def _delimiter(path: Path, head: str) -> str:
    """Tabs in a .tsv; in a .csv the semicolons of some locales, where no comma separates columns."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    return ";" if ";" in head and "," not in head else ","


def _check_columns(names: list[str], path: Path) -> None:
    has_answer = "text" in names or (
        not set(_LATITUDE).isdisjoint(names) and not set(_LONGITUDE).isdisjoint(names)
    )
    if "id" not in names or not has_answer:
        there = printable(", ".join(names), limit=300) or "none"
        raise UsageError(
            f"{path}, line 1: a column id, and text or latitude and longitude, are needed.",
            f"The columns there are: {there}.",
        )


def _jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(
                    f"{path}, line {number} is not JSON: {error}.",
                    "Each line must be one JSON object.",
                ) from error
            if not isinstance(row, dict):
                raise UsageError(
                    f"{path}, line {number} is not a JSON object.",
                    'Write lines such as {"id": "17", "text": "…"}.',
                )
            yield number, {str(k).lower(): v for k, v in cast(dict[Any, Any], row).items()}


def _key(row: Mapping[str, Any], where: str) -> tuple[str, int]:
    raw_id = row.get("id")
    if isinstance(raw_id, float) or (
        isinstance(raw_id, str) and _FLOAT_ID.fullmatch(raw_id.strip())
    ):
        raise UsageError(
            f"{where}: the id {printable(str(raw_id), limit=40)} has become a floating-point number.",
            "Long ids lose digits so; write the id column as text (in pandas: astype(str) on reading).",
        )
    sample_id = str(raw_id).strip() if isinstance(raw_id, str | int) else ""
    if not sample_id or isinstance(raw_id, bool):
        raise UsageError(
            f"{where}: no id.", "Every row needs the id of its sample, as a text or a whole number."
        )
    draw = str(row.get("draw", "0")).strip() or "0"
    if not (draw.isascii() and draw.isdecimal()):
        raise UsageError(
            f"{where}: the draw {printable(draw, limit=40)!r} is no number.", "Count from 0."
        )
    if len(draw) > 2 or int(draw) >= _DRAWS:
        raise UsageError(f"{where}: draw {printable(draw, limit=40)} is too many.", "Count from 0.")
    return sample_id, int(draw)


def _answer(row: Mapping[str, Any]) -> _Answer:
    text = row.get("text")
    if row.get("refused") is True or row.get("truncated") is True:  # as `samples.jsonl` says it
        said = text if isinstance(text, str) else ""
        return Reply(
            said, truncated=row.get("truncated") is True, refused=row.get("refused") is True
        )
    if isinstance(text, str) and text.strip():
        return text
    latitude, longitude = _number(row, _LATITUDE), _number(row, _LONGITUDE)
    if latitude is None or longitude is None:
        return ""
    named = [
        f"{name.capitalize()}: {printable(value.strip())}"
        for name in _PLACES
        if isinstance(value := row.get(name), str) and value.strip()
    ]
    if not named:
        return latitude, longitude
    return "\n".join([*named, f"Latitude: {latitude:.8f}", f"Longitude: {longitude:.8f}"])


def _number(row: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    """The first of these columns that is there, as a finite number."""
    raw = next((row[name] for name in names if name in row), None)
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _truth(sample_id: str, row: Mapping[str, Any], where: str) -> GeoSample:
    latitude, longitude = _number(row, _TRUE_LATITUDE), _number(row, _TRUE_LONGITUDE)
    if latitude is None or longitude is None:
        raise UsageError(
            f"{where}: no true coordinates.",
            "Add true_latitude and true_longitude, or name the data set with --dataset.",
        )
    if not is_on_globe(latitude, longitude):
        raise UsageError(
            f"{where}: the true coordinates {latitude}, {longitude} are not on the globe.",
            "Degrees, latitude up to 90 and longitude up to 180.",
        )
    city, region, country = (
        value.strip() if isinstance(value := row.get(f"true_{level}"), str) else ""
        for level in _PLACES
    )
    return GeoSample(
        id=sample_id,
        latitude=latitude,
        longitude=longitude,
        image="",
        city=city or None,
        region=region or None,
        country=country or None,
    )
