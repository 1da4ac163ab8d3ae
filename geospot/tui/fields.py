"""Where in an answer's text its coordinates and place names stand, for marking them there.

The reader of answers (`geospot.parsing`) tells what it read and not where, since it reads a normalised text.
Here the values are looked for in the text as it came; what is written in a way that only normalising
reveals isn't found, and then isn't marked.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from geospot.parsing.angle import Angle, angles_in
from geospot.runs.rollouts import RolloutRecord

Kind = Literal["latitude", "longitude", "city", "region", "country"]

_PLACES: Final[Sequence[Kind]] = ("city", "region", "country")
_ROUNDED: Final = 6e-6
"""Degrees by which a value may differ from what was read: positions are kept with five decimals or more."""


@dataclass(frozen=True, slots=True)
class Field:
    """A value that was read, from `start` to `end` of the text."""

    kind: Kind
    start: int
    end: int


def find_fields(record: RolloutRecord, most: int) -> list[Field]:
    """The fields that are found in the first `most` characters of the answer, in the order of the text."""
    text = record.text[:most]
    fields = [*_coordinates(text, record.latitude, record.longitude), *_places(text, record)]
    return sorted(fields, key=lambda field: field.start)


def _coordinates(text: str, latitude: float | None, longitude: float | None) -> Iterator[Field]:
    """The last pair of angles that have these values and stand nearest to one another."""
    if latitude is None or longitude is None:
        return
    angles = list(angles_in(text))
    norths = [angle for angle in angles if _is(angle, latitude)]
    easts = [angle for angle in angles if _is(angle, longitude)]
    pairs = [(n, e) for n in norths[-8:] for e in easts[-8:] if n is not e]
    if not pairs:
        return
    north, east = min(pairs, key=lambda pair: (abs(pair[0].start - pair[1].start), -pair[0].start))
    yield Field("latitude", north.start, north.end)
    yield Field("longitude", east.start, east.end)


def _is(angle: Angle, value: float) -> bool:
    return abs(angle.magnitude - abs(value)) <= _ROUNDED


def _places(text: str, record: RolloutRecord) -> Iterator[Field]:
    for kind in _PLACES:
        name = record.place.get(kind)
        if not name:
            continue
        found = list(re.finditer(re.escape(str(name)), text, re.IGNORECASE))
        labelled = [m for m in found if _is_labelled(text, m.start(), kind)]
        for match in (labelled or found)[-1:]:
            yield Field(kind, match.start(), match.end())


def _is_labelled(text: str, start: int, kind: str) -> bool:
    """Whether the field's own name stands just before, as in `City: ` or `"city": "`."""
    before = text[max(start - len(kind) - 8, 0) : start].casefold()
    return re.search(rf"{kind}\W{{1,8}}\Z", before) is not None
