"""Answers as columns: a stream of records becomes a few arrays of 68 bytes an answer."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geospot import places
from geospot.evaluation.admin import LEVELS, SAID_LEVELS, MarkArray, mark
from geospot.evaluation.metrics import BoolArray
from geospot.evaluation.records import SampleRecord
from geospot.geo import FloatArray
from geospot.outcomes import OUTCOMES, Outcome

IntArray = npt.NDArray[np.integer[Any]]

_BATCH: Final = 1_024  # records held at a time, until they are geocoded

_KINDS: Final = {
    "key_high": "u8",
    "key_low": "u8",
    "draw": "i4",
    "outcome": "u1",
    "distance_km": "f8",
    "latitude": "f8",
    "longitude": "f8",
    "official": f"{len(LEVELS)}u1",
    "fixed": f"{len(LEVELS)}u1",
    "said": f"{len(SAID_LEVELS)}u1",
    "country": "i4",
    "continent": "i4",
}
"""What is kept of an answer, and as which numpy type: what is small for one is much for millions."""


@dataclass(frozen=True)
class Columns:
    """N answers, each (id, draw) once, in an order that depends on ids and draws alone."""

    image_N: IntArray
    """Which image each answer belongs to: 0 … M−1."""
    draw_N: IntArray
    outcome_N: IntArray
    """Index into `OUTCOMES`."""
    distance_km_N: FloatArray
    latitude_N: FloatArray
    """Predicted, degrees; NaN where nothing was answered."""
    longitude_N: FloatArray
    official_N_L: MarkArray
    fixed_N_L: MarkArray
    said_N_L: MarkArray
    country_N: IntArray
    """Index into `countries`: where the image was taken."""
    countries: tuple[str, ...]
    """ISO 3166-1 alpha-2, or the data set's own name for a country that isn't in it."""
    continent_N: IntArray
    """Index into `continents`."""
    continents: tuple[str, ...]
    usage: dict[str, int]
    """Everything that was counted by the server, summed over all lines."""

    def __len__(self) -> int:
        return self.image_N.size

    @property
    def images(self) -> int:
        """How many different images there are."""
        return int(self.image_N.max(initial=-1)) + 1

    @property
    def answered_N(self) -> BoolArray:
        """Whether the outcome is `ok`."""
        return self.outcome_N == OUTCOMES.index(Outcome.OK)


def collect(records: Iterable[SampleRecord], expected: int) -> Columns:
    """Reads a stream of records once, in any order.

    Where a sample has several lines, one with an answer of the model counts rather than a transport
    error, and otherwise the last.

    Args:
        expected: about how many there are; room is made for so many.
    """
    columns = _Growing(expected)
    stream = iter(records)
    for record in stream:
        columns.extend([record, *islice(stream, _BATCH - 1)])  # nothing holds a batch that is done
    return columns.finish()


class _Growing:
    """The columns while they are filled, each one block of memory that is put in order by itself."""

    def __init__(self, expected: int) -> None:
        self.filled = 0
        self.columns = {name: np.empty(expected, kind) for name, kind in _KINDS.items()}
        self.countries: dict[str, int] = {}
        self.continents: dict[str, int] = {}
        self.usage: Counter[str] = Counter()

    def extend(self, batch: Sequence[SampleRecord]) -> None:
        key_B_K = np.frombuffer(b"".join(map(_key, batch)), dtype="<u8").reshape(-1, 2)
        marks = mark(batch)
        codes = [self._codes(country, continent) for country, continent in _true_places(batch)]
        self._append(
            key_high=key_B_K[:, 0],
            key_low=key_B_K[:, 1],
            draw=[record.draw for record in batch],
            outcome=[OUTCOMES.index(record.outcome) for record in batch],
            distance_km=[record.distance_km for record in batch],
            latitude=[record.latitude for record in batch],
            longitude=[record.longitude for record in batch],
            official=marks.official_N_L,
            fixed=marks.fixed_N_L,
            said=marks.said_N_L,
            country=[country for country, _ in codes],
            continent=[continent for _, continent in codes],
        )
        for record in batch:
            self.usage.update(record.usage)

    def finish(self) -> Columns:
        order = self._order()
        return Columns(
            image_N=order.image_N,
            draw_N=self._taken("draw", order),
            outcome_N=self._taken("outcome", order),
            distance_km_N=self._taken("distance_km", order),
            latitude_N=self._taken("latitude", order),
            longitude_N=self._taken("longitude", order),
            official_N_L=self._taken("official", order),
            fixed_N_L=self._taken("fixed", order),
            said_N_L=self._taken("said", order),
            country_N=self._taken("country", order),
            countries=tuple(self.countries),
            continent_N=self._taken("continent", order),
            continents=tuple(self.continents),
            usage=dict(sorted(self.usage.items())),
        )

    def _append(self, **values: Any) -> None:
        """Equally many values for every column; None as a number is NaN."""
        begin = self.filled
        self.filled += len(values["draw"])
        for name, column in self.columns.items():
            if self.filled > len(column):  # a sample may have several lines
                more = np.empty(max(self.filled, 2 * len(column)) - len(column), _KINDS[name])
                column = self.columns[name] = np.concatenate([column, more])
            column[begin : self.filled] = values[name]

    def _codes(self, country: str, continent: str) -> tuple[int, int]:
        return (
            self.countries.setdefault(country, len(self.countries)),
            self.continents.setdefault(continent, len(self.continents)),
        )

    def _order(self) -> "_Order":
        """The order by hash of the id and draw, and of each answer the line that counts."""
        high_M, low_M = (self.columns.pop(name)[: self.filled] for name in ("key_high", "key_low"))
        draw_M, outcome_M = (self.columns[name][: self.filled] for name in ("draw", "outcome"))
        replied_M = outcome_M != OUTCOMES.index(Outcome.TRANSPORT_ERROR)
        order_M = np.lexsort((replied_M, draw_M, low_M, high_M))  # a stable sort
        new_image_M = _changes(high_M[order_M]) | _changes(low_M[order_M])
        new_sample_M = new_image_M | _changes(draw_M[order_M])
        counts_M = np.append(new_sample_M[1:], True)[: self.filled]
        image_M = np.cumsum(new_image_M, dtype=np.int32) - 1
        return _Order(order_M[counts_M], image_M[counts_M])

    def _taken(self, name: str, order: "_Order") -> npt.NDArray[Any]:
        return self.columns.pop(name)[order.line_N]


@dataclass(frozen=True, slots=True)
class _Order:
    """The lines that count, in their order, and which image each belongs to."""

    line_N: IntArray
    image_N: IntArray


def _key(record: SampleRecord) -> bytes:
    """The order of answers hangs on this hash, and 16 bytes are less than most ids."""
    return hashlib.blake2b(record.id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _changes(value_M: npt.NDArray[Any]) -> BoolArray:
    """Where a value differs from the one before it; the first does."""
    return np.append(True, value_M[1:] != value_M[:-1])[: len(value_M)]


def _true_places(batch: Sequence[SampleRecord]) -> Iterator[tuple[str, str]]:
    """Country and continent where each photo was taken.

    The country is the data set's label, as ISO code where it is one; where there is no label, that
    of the city nearest to the true coordinates. A country of no known continent gets that city's.
    """
    nearest = places.reverse_geocode(
        [record.true_latitude for record in batch], [record.true_longitude for record in batch]
    ).country_N
    for record, near in zip(batch, nearest, strict=True):
        label = record.labels.get("country") or str(near)
        country = places.country_code(label) or label
        yield country, places.continent(country) or places.continent(str(near)) or "unknown"
