"""Tables with a column for latitude and one for longitude: markdown, CSV, tabs."""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple

from geospot.parsing.candidate import Candidate, Places, pair
from geospot.parsing.labelled import unit_hemisphere
from geospot.parsing.normalise import plain
from geospot.parsing.placenames import place_value
from geospot.parsing.values import value_at
from geospot.parsing.vocabulary import CITY, COUNTRY, LATITUDE, LONGITUDE, REGION

_UNIT = r"\W{0,3}(?:\([^()]{0,40}\))?\W{0,3}"
_COLUMNS: Final = {
    "lat": re.compile(rf"(?:{LATITUDE}){_UNIT}"),
    "lon": re.compile(rf"(?:{LONGITUDE}){_UNIT}"),
    "city": re.compile(rf"(?:{CITY}){_UNIT}"),
    "region": re.compile(rf"(?:{REGION}){_UNIT}"),
    "country": re.compile(rf"(?:{COUNTRY}){_UNIT}"),
}
_RULER: Final = re.compile(r"[\s|:+\-–—=]*")
_MAX_LINE: Final = 2000


class Table(NamedTuple):
    """Where a table stands in the text, and its last row."""

    start: int
    end: int
    candidate: Candidate


def tables(text: str, letter_o: str) -> list[Table]:
    """Every table of `text` whose header names latitude and longitude and that has a row."""
    found: list[Table] = []
    lines = text.splitlines(keepends=True)
    position = index = 0
    while index < len(lines):
        header = _header(lines[index])
        if header is None:
            position += len(lines[index])
            index += 1
            continue
        start = position
        position += len(lines[index])
        index += 1
        candidate: Candidate | None = None
        while index < len(lines) and (cells := _row(lines[index], header)) is not None:
            candidate = _candidate(cells, header, letter_o, lines[index]) or candidate
            position += len(lines[index])
            index += 1
        if candidate is not None:
            found.append(Table(start, position, candidate))
    return found


class _Header(NamedTuple):
    delimiter: str
    columns: dict[str, int]
    units: tuple[str, str]


@lru_cache(maxsize=512)
def _kind(cell: str) -> str:
    """What a column with this heading holds; empty for anything else."""
    return next((kind for kind, wanted in _COLUMNS.items() if wanted.fullmatch(cell)), "")


def _cells(line: str, delimiter: str) -> list[str]:
    stripped = line.strip()
    if delimiter == "|":
        stripped = stripped.strip("|")
    return [cell.strip(" \t*_`\"'") for cell in stripped.split(delimiter)]


def _header(line: str) -> _Header | None:
    if len(line) > _MAX_LINE or any("0" <= char <= "9" for char in line):
        return None
    delimiter = next((sign for sign in ("|", "\t", ";", ",") if sign in line), "")
    if not delimiter or (delimiter == "," and ":" in line):
        return None
    cells = [cell.lower() for cell in _cells(line, delimiter)]
    columns: dict[str, int] = {}
    for number, cell in enumerate(cells[:60]):
        kind = _kind(cell) if len(cell) < 80 else ""
        if kind:
            columns.setdefault(kind, number)
    if "lat" not in columns or "lon" not in columns:
        return None
    units = tuple(_unit(cells[columns[axis]]) for axis in ("lat", "lon"))
    return _Header(delimiter, columns, (units[0], units[1]))


def _unit(cell: str) -> str:
    """The hemisphere of a heading like `Latitude (°S)`."""
    parenthesis = cell[cell.find("(") :].rstrip(" *_`") if "(" in cell else ""
    return unit_hemisphere(parenthesis)


def _row(line: str, header: _Header) -> list[str] | None:
    """The cells of a row, none for a ruler; None after the table."""
    if _RULER.fullmatch(line):
        return [] if line.strip() else None
    if len(line) > _MAX_LINE or header.delimiter not in line:
        return None
    cells = _cells(line, header.delimiter)
    return cells if len(cells) > max(header.columns["lat"], header.columns["lon"]) else None


def _candidate(cells: list[str], header: _Header, letter_o: str, line: str) -> Candidate | None:
    if not cells:
        return None
    texts = [plain(cells[header.columns[axis]]) for axis in ("lat", "lon")]
    latitude, longitude = (value_at(text, text.lower(), 0) for text in texts)
    if latitude is None or longitude is None:
        return None
    places: Places = {
        kind: place_value(cells[column])
        for kind, column in header.columns.items()
        if kind not in {"lat", "lon"} and column < len(cells)
    }
    if latitude.angle is None or longitude.angle is None:
        note = latitude.note or longitude.note
        return Candidate(0, 0, note=note, closed=True, places=places)
    both = pair(latitude.angle, longitude.angle, letter_o, ("lat", "lon"), header.units)
    ended = line.endswith("\n") or line.rstrip().endswith("|")
    return replace(both, closed=ended or both.closed, places=places)
