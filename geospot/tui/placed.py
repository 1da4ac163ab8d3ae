"""Answers with their places, in columns: what the map draws, filters and counts by country.

They come from an evaluation or from the rollouts of a run's steps. Of a text nothing is kept: it is read
when somebody asks for it.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geospot.evaluation.following import OUTCOMES, Answers, country_of
from geospot.geo import HALF_CIRCUMFERENCE_KM
from geospot.places import country_code, country_name, reverse_geocode
from geospot.query import Query, Term, Value
from geospot.runs.rollouts import RolloutRecord

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEW: Final = 10
"""Answers below which a country's figures say little."""

KEYS: Final[Mapping[str, Sequence[str]]] = {
    "km": (),
    "outcome": OUTCOMES,
    "country": (),
    "said": (),
    "id": (),
    "reward": (),
    "step": (),
    "group": (),
    "lat": (),
    "lon": (),
}
"""What answers on the map can be filtered by, with the usual values of those that have some. `lat` and `lon`
are the answer's; an evaluation has no reward, step and group."""


@dataclass(frozen=True, eq=False)
class Placed:
    """N answers. Places are (latitude, longitude) in degrees, NaN where there is none."""

    ids: Sequence[str]
    said: Sequence[str]
    """Place names in the answer."""
    countries: Sequence[str]
    """What `country_N` counts in: ISO codes where they are ones; the first is empty."""
    truth_N_L: FloatArray
    place_N_L: FloatArray
    km_N: FloatArray
    """Great-circle distance; half the circumference for failures."""
    outcome_N: NDArray[np.uint8]
    """Index into `OUTCOMES`."""
    country_N: IntArray
    """Of the true place, as the data set says it."""
    source_N: IntArray
    """Where the whole answer is: byte in samples.jsonl, or number within its step."""
    step_N: IntArray | None = None
    """A run's only."""
    group_N: IntArray | None = None
    reward_N: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.km_N)

    def reasons(self, row_M: IntArray) -> Mapping[str, int]:
        """How many of these answers said no place, by outcome."""
        counts = np.bincount(self.outcome_N[row_M], minlength=len(OUTCOMES))
        return {OUTCOMES[n]: int(count) for n, count in enumerate(counts) if n and count}


EMPTY: Final = Placed(
    (), (), ("",), np.empty((0, 2)), np.empty((0, 2)), np.empty(0), np.empty(0, np.uint8),
    np.empty(0, np.int64), np.empty(0, np.int64),
)  # fmt: skip


def of_evaluation(answers: Answers) -> Placed:
    """Answers of an evaluation; places of failures aren't taken, whatever they say."""
    columns = answers.columns_N
    count = len(answers)
    place_N_L = np.column_stack([columns["latitude"], columns["longitude"]])
    place_N_L[~answers.answered_N] = np.nan
    return Placed(
        answers.ids[:count],
        answers.said[:count],
        answers.countries,
        _on_globe(np.column_stack([columns["true_latitude"], columns["true_longitude"]])),
        _on_globe(place_N_L),
        answers.distance_km_N.copy(),
        answers.outcome_N.copy(),
        columns["country"].astype(np.int64),
        columns["offset"].astype(np.int64),
    )


def of_rollouts(records: Sequence[RolloutRecord]) -> Placed:
    """Rollouts of one step or several; of those with several turns every turn."""
    countries: dict[str, int] = {"": 0}

    def numbers(*names: str) -> FloatArray:
        rows = [[_number(getattr(record, name)) for name in names] for record in records]
        return np.array(rows, np.float64).reshape(len(records), len(names))

    ok_N = np.array([str(r.outcome) == "ok" for r in records], bool)
    place_N_L = numbers("latitude", "longitude")
    place_N_L[~ok_N] = np.nan
    km_N = numbers("distance_km")[:, 0]
    codes = [country_of(str(record.labels.get("country") or "")) for record in records]
    return Placed(
        [str(record.sample_id) for record in records],
        [_names(record.place) for record in records],
        countries_in(codes, countries),
        _on_globe(numbers("true_latitude", "true_longitude")),
        _on_globe(place_N_L),
        np.where(ok_N & np.isfinite(km_N), km_N, HALF_CIRCUMFERENCE_KM),
        np.array([OUTCOMES.index(str(r.outcome)) for r in records], np.uint8),
        np.array([countries[code] for code in codes], np.int64),
        np.arange(len(records)),
        np.array([record.step for record in records], np.int64),
        np.array([record.group for record in records], np.int64),
        numbers("reward")[:, 0],
    )


def countries_in(codes: Sequence[str], known: dict[str, int]) -> Sequence[str]:
    """Numbers the codes in `known`, and gives them in the order of their numbers."""
    for code in codes:
        known.setdefault(code, len(known))
    return tuple(known)


def joined(parts: Sequence[Placed]) -> Placed:
    """Answers of several steps, one after the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return EMPTY
    known: dict[str, int] = {"": 0}
    for part in parts:
        countries_in(part.countries, known)

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return Placed(
        [name for part in parts for name in part.ids],
        [said for part in parts for said in part.said],
        tuple(known),
        column("truth_N_L"),
        column("place_N_L"),
        column("km_N"),
        column("outcome_N"),
        np.concatenate([np.array([known[c] for c in p.countries])[p.country_N] for p in parts]),
        column("source_N"),
        column("step_N"),
        column("group_N"),
        column("reward_N"),
    )


def kept(placed: Placed, query: Query) -> IntArray:
    """Rows that fulfil a query. With many answers it takes a while: for a thread."""
    if not query.terms:
        return np.arange(len(placed))
    query = Query(tuple(map(_meant, query.terms)))
    country = [_country_words(code) for code in placed.countries]
    return np.array(
        [
            row
            for row in range(len(placed))
            if query.matches(_Row(placed, row, country), lambda r=row: _searched(placed, r))
        ],
        np.int64,
    )


class _Row(Mapping[str, Value]):
    """An answer as a filter sees it; a field is made when it is asked for."""

    def __init__(self, placed: Placed, row: int, country: Sequence[Collection[str]]) -> None:
        self._placed, self._row, self._country = placed, row, country

    def __getitem__(self, key: str) -> Value:
        placed, row = self._placed, self._row
        columns = {"km": placed.km_N, "reward": placed.reward_N, "step": placed.step_N,
                   "group": placed.group_N, "lat": placed.place_N_L[:, 0],
                   "lon": placed.place_N_L[:, 1]}  # fmt: skip
        if key in columns:
            column = columns[key]
            value = math.nan if column is None else float(column[row])
            return None if math.isnan(value) else value
        if key == "country":
            return self._country[int(placed.country_N[row])]
        if key == "outcome":
            return OUTCOMES[int(placed.outcome_N[row])]
        return {"id": placed.ids, "said": placed.said}[key][row]

    def __iter__(self) -> Iterator[str]:
        return iter(KEYS)

    def __len__(self) -> int:
        return len(KEYS)


def _meant(term: Term) -> Term:
    """Two letters that are a country's code mean just that country, not every name that holds them."""
    is_code = term.key == "country" and term.operator == ":" and len(term.value) == 2
    return replace(term, operator="=") if is_code and country_code(term.value) else term


def _searched(placed: Placed, row: int) -> str:
    country = placed.countries[int(placed.country_N[row])]
    return f"{placed.ids[row]} {placed.said[row]} {country}".casefold()


@dataclass(frozen=True, slots=True)
class CountryFigures:
    """Answers about photos of one country, failures at their worst."""

    code: str
    name: str
    n: int
    median_km: float
    within_750_km: float
    """Share, from 0 to 1."""

    @property
    def is_weak(self) -> bool:
        """Whether there are too few answers to say much."""
        return self.n < FEW


def by_country(placed: Placed, row_M: IntArray) -> list[CountryFigures]:
    """Figures of each country that these answers' photos are from. Blocks for a moment.

    The country is the data set's label; where there is none, that of the city nearest to the true place.
    """
    names, country_M = _countries_of(placed, row_M)
    km_M = placed.km_N[row_M]
    found: list[CountryFigures] = []
    order = np.argsort(country_M, kind="stable")
    ends = np.cumsum(np.bincount(country_M, minlength=len(names)))
    for name, km in zip(names, np.split(km_M[order], ends[:-1]), strict=True):
        if name and len(km):
            shown = country_name(name) or name
            share = float(np.mean(km < 750.0))
            found.append(CountryFigures(name, shown, len(km), float(np.median(km)), share))
    return found


def _countries_of(placed: Placed, row_M: IntArray) -> tuple[Sequence[str], IntArray]:
    """Countries, and which of them each answer's photo is from; the first is none."""
    country_M = placed.country_N[row_M]
    truth_M_L = placed.truth_N_L[row_M]
    known = {code: number for number, code in enumerate(placed.countries)}
    unknown = np.flatnonzero((country_M == 0) & np.isfinite(truth_M_L[:, 0]))
    if len(unknown):
        found = reverse_geocode(truth_M_L[unknown, 0], truth_M_L[unknown, 1]).country_N.tolist()
        countries_in(found, known)
        country_M[unknown] = [known[code] for code in found]
    return tuple(known), country_M


def _on_globe(place_N_L: FloatArray) -> FloatArray:
    """Places, with those that can't be on the globe as NaN: they would be drawn somewhere else."""
    with np.errstate(invalid="ignore"):
        inside_N = (np.abs(place_N_L[:, 0]) <= 90) & (np.abs(place_N_L[:, 1]) <= 180)
    return np.where(inside_N.reshape(-1, 1), place_N_L, np.nan)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if abs(value) < 1e300 else math.nan


def _names(place: Mapping[str, str]) -> str:
    return ", ".join(str(place[k]) for k in ("city", "region", "country") if place.get(k))[:60]


def _country_words(code: str) -> Collection[str]:
    return tuple(word for word in (code, country_name(code) if code else None) if word)
