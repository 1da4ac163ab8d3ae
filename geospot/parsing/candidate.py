"""Two angles put together: on which axis each lies, and whether they are an answer."""

import math
from dataclasses import dataclass, field, replace
from typing import Final

from geospot.parsing.angle import Angle
from geospot.parsing.vocabulary import EASTERN_O, WESTERN_O

Places = dict[str, str | None]
"""`city`, `region`, `country` as written; None where the answer names the label but no place."""

# The example that geospot's own prompt shows; an answer that repeats it repeats the question.
_EXAMPLE: Final = (12.3456, 98.7654)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something in an answer that is, or stands for, a pair of coordinates in degrees.

    `note` says why it is no answer, None where it is one (perhaps one that's out of range). `start`
    and `end` are offsets in the text it was read from; `closed` says that no further character
    could change its last number.
    """

    start: int
    end: int
    latitude: float = math.nan
    longitude: float = math.nan
    note: str | None = None
    closed: bool = False
    places: Places = field(default_factory=dict[str, str | None])


class HemisphereError(ValueError):
    """The hemisphere letter and the sign, or the label, contradict each other."""


def east_or_west(text: str) -> str:
    """What the letter O means in `text`: E (Ost), W (Oeste, Ouest, Ovest), or empty if unclear."""
    folded = text.lower()
    # The ordinal sign stands for degrees only on the keyboards of Spain, Portugal and Italy.
    east, west = bool(EASTERN_O.search(folded)), "º" in text or bool(WESTERN_O.search(folded))
    return "" if east == west else "E" if east else "W"


def signed(angle: Angle, letter_o: str, unit: str = "") -> float:
    """Degrees north or east. NaN for impossible minutes.

    A hemisphere sets the sign once: `-75.07° W` is -75.07. `unit` is a hemisphere that only the
    label gives, as in `Longitude (°W)`; a minus sign may stand beside that one.

    Raises:
        HemisphereError: a minus sign beside north or east, or an O that may be either.
    """
    hemisphere = angle.hemisphere
    if hemisphere == "O":
        hemisphere = "W" if angle.negative else letter_o
        if not hemisphere:
            raise HemisphereError("ambiguous")
    if not hemisphere:
        negative = angle.negative or unit in {"S", "W"}
    elif hemisphere in {"S", "W"}:
        negative = True
    elif angle.negative and angle.magnitude:
        raise HemisphereError("contradiction")
    else:
        negative = False
    return -angle.magnitude if negative else angle.magnitude


def pair(
    first: Angle,
    second: Angle,
    letter_o: str,
    axes: tuple[str, str] = ("", ""),
    units: tuple[str, str] = ("", ""),
) -> Candidate:
    """The candidate that two angles make.

    `axes` are those that labels gave (`lat`, `lon` or empty); without labels and hemispheres
    latitude comes first. A sign or a hemisphere that stands near an angle but can't be told to be its
    own makes the pair ambiguous: never positive by default.
    """
    start, end = min(first.start, second.start), max(first.end, second.end)
    last = first if first.end > second.end else second
    try:
        if (first.doubtful and not units[0]) or (second.doubtful and not units[1]):
            raise HemisphereError("ambiguous")
        if _is_thousands(first, second):
            raise HemisphereError("ambiguous")
        second = _without_phrase(first, second, axes)
        swapped = _longitude_first(first, second, axes)
        values = signed(first, letter_o, units[0]), signed(second, letter_o, units[1])
    except HemisphereError as error:
        return Candidate(start, end, note=str(error), closed=True)
    latitude, longitude = (values[1], values[0]) if swapped else values
    return Candidate(start, end, latitude, longitude, _no_answer(latitude, longitude), last.closed)


def _longitude_first(first: Angle, second: Angle, axes: tuple[str, str]) -> bool:
    found: list[str] = []
    for angle, labelled in zip((first, second), axes, strict=True):
        if labelled and angle.axis and labelled != angle.axis:
            raise HemisphereError("contradiction")
        found.append(labelled or angle.axis)
    if found[0] and found[0] == found[1]:
        raise HemisphereError("contradiction")
    if found[1] == "lat" and not found[0]:
        raise HemisphereError("ambiguous")  # one hemisphere at the end is too little to swap
    return found[0] == "lon" or found[1] == "lat"


def _without_phrase(first: Angle, second: Angle, axes: tuple[str, str]) -> Angle:
    """The second angle; without a phrase behind it that speaks of the first one's hemisphere.

    In `-33.9, 18.4 (southern hemisphere)` the phrase says again what the sign of the latitude says.
    """
    if not (second.phrase and second.axis == "lat" and axes in {("", ""), ("lat", "lon")}):
        return second
    if first.axis == "lon" or (first.negative or first.hemisphere == "S") != (
        second.hemisphere == "S"
    ):
        raise HemisphereError("ambiguous")
    return replace(second, hemisphere="", phrase=False)


def _is_thousands(first: Angle, second: Angle) -> bool:
    """Whether one of them is `1,234` beside a number that is written without a decimal comma."""
    if first.comma == second.comma:
        return False
    return any(
        angle.comma and angle.decimals == 3 and not angle.marked and not angle.hemisphere
        for angle in (first, second)
    )


def _no_answer(latitude: float, longitude: float) -> str | None:
    if math.isnan(latitude) or math.isnan(longitude):
        return "malformed"
    if latitude == 0.0 and longitude == 0.0:
        return "null_island"
    if (abs(latitude), abs(longitude)) == _EXAMPLE:
        return "placeholder"
    return None
