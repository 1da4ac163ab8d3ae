"""Administrative accuracy: is the answer in the right country, region, sub-region and city?

Two questions that are not the same:

- *where the coordinates are*: the predicted coordinates are reverse geocoded as OSV-5M's labels were,
  and compared with the labels. `official` repeats the authors' evaluation, faults included, so that
  it stands beside published figures; `fixed` mends the faults;
  A failure is wrong at every level;
- *what the answer says*: the place names that the model wrote, beside the labels (`said`). An answer
  without coordinates may still name the right country.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from geospot import places
from geospot.evaluation.records import SampleRecord
from geospot.outcomes import Outcome

LEVELS: Final = ("country", "region", "sub_region", "city")
"""The levels of OSV-5M's administrative accuracy, from the largest to the smallest."""

SAID_LEVELS: Final = ("country", "region", "city")
"""The levels that an answer names."""

_MISSING: Final = "NaN"  # how OSV-5M's composed labels write a part that is missing

MarkArray = npt.NDArray[np.uint8]


class Mark(IntEnum):
    """What becomes of one answer at one level."""

    NO_LABEL = 0
    WRONG = 1
    RIGHT = 2


@dataclass(frozen=True, slots=True)
class Marks:
    """Marks of N answers; one column for each of `LEVELS`, for `said` of `SAID_LEVELS`."""

    official_N_L: MarkArray
    """`WRONG` also where there is no label: the authors' code counts such a row."""
    fixed_N_L: MarkArray
    said_N_L: MarkArray


def mark(records: Sequence[SampleRecord]) -> Marks:
    """Marks of a batch of answers; a few thousand at a time keep memory small and the tree busy."""
    predicted = _predicted_places(records)
    pairs = [
        _compare(record.labels, place) for record, place in zip(records, predicted, strict=True)
    ]
    return Marks(
        official_N_L=_array([official for official, _ in pairs], len(LEVELS)),
        fixed_N_L=_array([fixed for _, fixed in pairs], len(LEVELS)),
        said_N_L=_array([_said(record) for record in records], len(SAID_LEVELS)),
    )


def accuracy(mark_N: MarkArray, total: int | None = None) -> float | None:
    """Share that is right: of the labelled ones, or of `total` where it is given.

    None where no row has a label.
    """
    counted = int(np.count_nonzero(mark_N)) if total is None else total
    return int(np.count_nonzero(mark_N == Mark.RIGHT)) / counted if counted else None


def _predicted_places(records: Sequence[SampleRecord]) -> list[places.Place | None]:
    """The place at each answer's coordinates; None where there is no answer."""
    answered = [
        (i, record.latitude, record.longitude)
        for i, record in enumerate(records)
        if record.outcome is Outcome.OK
        and record.latitude is not None
        and record.longitude is not None
    ]
    found: list[places.Place | None] = [None] * len(records)
    if answered:
        index, latitude, longitude = zip(*answered, strict=True)
        columns = places.reverse_geocode(latitude, longitude)
        for position, i in enumerate(index):
            found[i] = columns[position]
    return found


def _compare(
    labels: Mapping[str, str], place: places.Place | None
) -> tuple[list[Mark], list[Mark]]:
    """Marks of one answer, official and fixed."""
    truth = _composed(labels)
    if place is None:
        official = [Mark.WRONG] * len(LEVELS)
        fixed = [Mark.WRONG if truth[level] else Mark.NO_LABEL for level in LEVELS]
        return official, fixed
    as_official = _by_level(places.unique_labels(place, fixed=False))
    official = [_mark(truth[level] == as_official[level]) for level in LEVELS]
    if truth["country"] == "NA":
        official[0] = Mark.WRONG  # read by the authors' pandas as a missing value, so never right
    if _has_composed_labels(labels):
        as_fixed = _by_level(places.unique_labels(place, fixed=True))
        right = {level: truth[level] == as_fixed[level] for level in LEVELS}
    else:
        right = _known_parts_equal(labels, place)
    fixed = [_mark(right[level]) if truth[level] else Mark.NO_LABEL for level in LEVELS]
    return official, fixed


def _composed(labels: Mapping[str, str]) -> dict[str, str | None]:
    """The data set's labels, unique in the world, by level; None where it has none.

    Where a data set brings no composed labels, they are composed of city, region and country as
    OSV-5M composes its own. A country outside ISO 3166-1 can't be found on the globe: no labels.
    """
    country = places.country_code(labels.get("country", ""))
    if _has_composed_labels(labels):
        unique = {level: labels.get(f"unique_{level}") for level in LEVELS}
        return {level: _present(label) for level, label in unique.items()} | {"country": country}
    if country is None:
        return dict.fromkeys(LEVELS)
    city, sub_region, region = (labels.get(name, "") for name in ("city", "sub_region", "region"))
    place = places.Place(city=city, region=region, sub_region=sub_region, country=country)
    return _by_level(places.unique_labels(place, fixed=True))


def _has_composed_labels(labels: Mapping[str, str]) -> bool:
    return any(f"unique_{level}" in labels for level in LEVELS)


def _present(label: str | None) -> str | None:
    """None for a label that is missing itself (`NaN`, `NaN_Samoa_WS`)."""
    return None if not label or label.split("_", 1)[0] == _MISSING else label


def _by_level(unique: places.UniqueLabels) -> dict[str, str | None]:
    return {
        "country": unique.country,
        "region": unique.unique_region,
        "sub_region": unique.unique_sub_region,
        "city": unique.unique_city,
    }


def _known_parts_equal(labels: Mapping[str, str], place: places.Place) -> dict[str, bool]:
    """Equality for labels that may lack whole levels: a part that isn't known isn't compared."""
    known = {name: labels.get(name) for name in ("city", "sub_region", "region")}
    same = {
        name: label is None or places.same_place(label, getattr(place, name))
        for name, label in known.items()
    }
    country = places.same_country(labels.get("country"), place.country)
    region = country and same["region"]
    sub_region = region and same["sub_region"]
    return {
        "country": country,
        "region": region,
        "sub_region": sub_region,
        "city": sub_region and same["city"],
    }


def _said(record: SampleRecord) -> list[Mark]:
    """Marks of the names in one answer. A name that the answer doesn't give is wrong."""
    marks: list[Mark] = []
    for level in SAID_LEVELS:
        label, name = record.labels.get(level), record.place.get(level)
        equal = places.same_country if level == "country" else places.same_place
        comparable = equal(label, label)  # an unknown country, or no name at all, equals nothing
        marks.append(_mark(equal(name, label)) if comparable else Mark.NO_LABEL)
    return marks


def _mark(right: bool) -> Mark:
    return Mark.RIGHT if right else Mark.WRONG


def _array(rows: Sequence[Sequence[Mark]], columns: int) -> MarkArray:
    return np.array(rows, dtype=np.uint8).reshape(len(rows), columns)
