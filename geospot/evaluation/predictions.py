"""Finished predictions from a CSV or JSON Lines file: what `score` and the replay backend read."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from geospot.data.sample import GeoSample
from geospot.errors import ResultFormatError
from geospot.evaluation.backend import Reply
from geospot.geo import is_on_globe
from geospot.textsafe import printable

_ALIASES: Final = {
    "id": ("id", "sample_id", "image_id"),
    "draw": ("draw",),
    "text": ("text", "answer", "response", "output"),
    "latitude": ("latitude", "lat", "pred_lat", "pred_latitude"),
    "longitude": ("longitude", "lon", "lng", "pred_lon", "pred_lng", "pred_longitude"),
    "true_latitude": ("true_latitude", "true_lat"),
    "true_longitude": ("true_longitude", "true_lon", "true_lng"),
    "true_country": ("true_country",),
    "true_region": ("true_region",),
    "true_city": ("true_city",),
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of a finished file: an answer, and where the file says it, the truth."""

    id: str
    draw: int
    reply: Reply
    truth: GeoSample | None


class Predictions(Mapping[tuple[str, int], Prediction]):
    """Every row of a file, by (id, draw)."""

    def __init__(self, path: Path) -> None:
        """Reads the whole file.

        Raises:
            ResultFormatError: not readable, no id column, or a row that makes no sense, by line.
        """
        self.path = path
        self._rows: dict[tuple[str, int], Prediction] = {}
        for line, row in _rows(path):
            found = _prediction(path, line, row)
            key = (found.id, found.draw)
            if key in self._rows:
                raise ResultFormatError(
                    f"{path}, line {line}: a second answer to {printable(found.id, limit=60)!r}.",
                    "Keep one a sample, or number them in a column `draw`: 0, 1, ….",
                )
            self._rows[key] = found
        if not self._rows:
            raise ResultFormatError(f"{path} has no rows.", "It should have one a prediction.")

    def __getitem__(self, key: tuple[str, int]) -> Prediction:
        return self._rows[key]

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def draws(self) -> int:
        """The most answers that one sample has."""
        return 1 + max(draw for _, draw in self._rows)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their line numbers, as dictionaries."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
                yield from _json_rows(path, file)
                return
            csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # answers may be long
            reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise ResultFormatError(f"{path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ResultFormatError(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from error
    except csv.Error as error:
        raise ResultFormatError(f"{path} is no CSV that can be read: {error}.") from error


def _json_rows(path: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except ValueError as error:
            raise ResultFormatError(f"{path}, line {number}: no JSON ({error}).") from error
        if not isinstance(row, dict):
            raise ResultFormatError(f"{path}, line {number}: not a JSON object.")
        yield number, cast(dict[str, Any], row)


def _prediction(path: Path, line: int, row: Mapping[str, Any]) -> Prediction:
    where = f"{path}, line {line}"
    cells = {name: _cell(row, names) for name, names in _ALIASES.items()}
    if cells["id"] is None:
        raise ResultFormatError(
            f"{where}: no id.",
            f"The columns are {', '.join(printable(str(name), limit=40) for name in row)}; "
            "there must be one called id.",
        )
    if not any(name in row for key in ("text", "latitude", "longitude") for name in _ALIASES[key]):
        raise ResultFormatError(
            f"{where}: neither an answer's text nor coordinates.",
            "There must be a column text, or latitude and longitude.",
        )
    return Prediction(cells["id"], _draw(cells["draw"], where), _reply(cells), _truth(cells, where))


def _cell(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first column of these names, as text; None where it is missing or empty."""
    for name in names:
        value = row.get(name)
        if value is not None and str(value).strip() not in ("", "nan", "NaN", "None", "null"):
            return str(value)
    return None


def _draw(text: str | None, where: str) -> int:
    if text is None:
        return 0
    if not text.strip().isdecimal() or int(text) > 63:
        raise ResultFormatError(f"{where}: draw {printable(text)!r} is no number from 0 to 63.")
    return int(text)


def _reply(cells: Mapping[str, str | None]) -> Reply:
    """Text where there is some, else coordinates; what is neither is an empty answer."""
    if cells["text"] is not None:
        return Reply(cells["text"])
    latitude, longitude = cells["latitude"], cells["longitude"]
    if latitude is None or longitude is None:
        return Reply("")
    try:
        return Reply("", coordinates=(float(latitude), float(longitude)))
    except ValueError:
        return Reply(f"{latitude}, {longitude}")


def _truth(cells: Mapping[str, str | None], where: str) -> GeoSample | None:
    latitude, longitude = cells["true_latitude"], cells["true_longitude"]
    if latitude is None or longitude is None:
        return None
    try:
        place = float(latitude), float(longitude)
    except ValueError:
        place = float("nan"), float("nan")
    if not is_on_globe(*place):
        shown = printable(f"{latitude}, {longitude}", limit=60)
        raise ResultFormatError(f"{where}: the true coordinates {shown} are not on the globe.")
    return GeoSample(
        id=cells["id"] or "",
        latitude=place[0],
        longitude=place[1],
        image="",
        city=cells["true_city"],
        region=cells["true_region"],
        country=cells["true_country"],
    )
