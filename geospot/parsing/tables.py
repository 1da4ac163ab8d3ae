"""Tables with a column for latitude and one for longitude: markdown, CSV, tabs."""

import re
from typing import Final, NamedTuple

from geospot.parsing.candidate import Candidate, Places, pair
from geospot.parsing.normalise import plain
from geospot.parsing.placenames import CITY, COUNTRY, REGION, place_value
from geospot.parsing.values import value_at
from geospot.parsing.vocabulary import LATITUDE, LONGITUDE

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
        while index < len(lines) and (is_row := _row(lines[index], header, letter_o)) is not False:
            candidate = is_row or candidate
            position += len(lines[index])
            index += 1
        if candidate is not None:
            found.append(Table(start, position, candidate))
    return found


class _Header(NamedTuple):
    delimiter: str
    columns: dict[str, int]
    width: int


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
        for kind, wanted in _COLUMNS.items():
            if kind not in columns and wanted.fullmatch(cell):
                columns[kind] = number
                break
    if "lat" not in columns or "lon" not in columns:
        return None
    return _Header(delimiter, columns, len(cells))


def _row(line: str, header: _Header, letter_o: str) -> Candidate | None | bool:
    """The candidate of a row, None for a ruler or a row without one, False after the table."""
    if _RULER.fullmatch(line):
        return None if line.strip() else False
    if len(line) > _MAX_LINE or header.delimiter not in line:
        return False
    cells = _cells(line, header.delimiter)
    if len(cells) < max(header.columns["lat"], header.columns["lon"]) + 1:
        return False
    texts = [plain(cells[header.columns[axis]]) for axis in ("lat", "lon")]
    values = [value_at(text, text.lower(), 0) for text in texts]
    places: Places = {
        kind: place_value(cells[column])
        for kind, column in header.columns.items()
        if kind not in {"lat", "lon"} and column < len(cells)
    }
    latitude, longitude = values
    if latitude is None or longitude is None:
        return None
    if latitude.angle is None or longitude.angle is None:
        note = latitude.note or longitude.note
        return Candidate(0, 0, note=note, closed=True, places=places)
    closed = line.endswith("\n") or line.rstrip().endswith("|")
    both = pair(latitude.angle, longitude.angle, letter_o, ("lat", "lon"))
    return Candidate(0, 0, both.latitude, both.longitude, both.note, closed or both.closed, places)
