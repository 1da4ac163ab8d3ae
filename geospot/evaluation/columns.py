"""Answers as columns: a stream of records becomes a few arrays of about 60 bytes an answer."""

import hashlib
from array import array
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
from geospot.outcomes import Outcome

IntArray = npt.NDArray[np.int64]

OUTCOMES: Final = tuple(Outcome)

_BATCH: Final = 2_048  # records held at a time, until they are geocoded


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


def collect(records: Iterable[SampleRecord]) -> Columns:
    """Reads a stream of records once, in any order.

    Where a sample has several lines, one with an answer of the model counts rather than a transport
    error, and otherwise the last.
    """
    columns = _Growing()
    stream = iter(records)
    while batch := list(islice(stream, _BATCH)):
        columns.extend(batch)
    return columns.finish()


class _Growing:
    """The columns while they grow; plain arrays, which double their room and hold no objects."""

    def __init__(self) -> None:
        self.key = bytearray()
        self.draw, self.outcome = array("q"), array("B")
        self.distance_km, self.latitude, self.longitude = array("d"), array("d"), array("d")
        self.official, self.fixed, self.said = bytearray(), bytearray(), bytearray()
        self.country, self.continent = array("H"), array("H")
        self.countries: dict[str, int] = {}
        self.continents: dict[str, int] = {}
        self.usage: Counter[str] = Counter()

    def extend(self, batch: Sequence[SampleRecord]) -> None:
        for record in batch:
            # The order of answers hangs on this hash, and 16 bytes are less than most ids.
            self.key += hashlib.blake2b(
                record.id.encode("utf-8", "surrogatepass"), digest_size=16
            ).digest()
            self.draw.append(record.draw)
            self.outcome.append(OUTCOMES.index(record.outcome))
            self.distance_km.append(record.distance_km)
            self.latitude.append(np.nan if record.latitude is None else record.latitude)
            self.longitude.append(np.nan if record.longitude is None else record.longitude)
            self.usage.update(record.usage)
        marks = mark(batch)
        self.official += marks.official_N_L.tobytes()
        self.fixed += marks.fixed_N_L.tobytes()
        self.said += marks.said_N_L.tobytes()
        for country, continent in _true_places(batch):
            self.country.append(self.countries.setdefault(country, len(self.countries)))
            self.continent.append(self.continents.setdefault(continent, len(self.continents)))

    def finish(self) -> Columns:
        n = len(self.draw)
        key_N_K = np.frombuffer(bytes(self.key), dtype="<u8").reshape(n, 2)
        draw_N = _numbers(self.draw)
        outcome_N = _numbers(self.outcome)
        has_reply = outcome_N != OUTCOMES.index(Outcome.TRANSPORT_ERROR)
        order = np.lexsort((has_reply, draw_N, key_N_K[:, 1], key_N_K[:, 0]))  # a stable sort
        key, draw = key_N_K[order], draw_N[order]
        new_image = np.append(True, (key[1:] != key[:-1]).any(axis=1))[:n]
        new_sample = new_image | np.append(True, draw[1:] != draw[:-1])[:n]
        last_line = np.append(new_sample[1:], True)[:n]
        rows = order[last_line]

        def kept(values: Any) -> Any:
            return _numbers(values)[rows]

        def marks(values: bytearray, levels: int) -> MarkArray:
            return np.frombuffer(bytes(values), np.uint8).reshape(n, levels)[rows]

        return Columns(
            image_N=(np.cumsum(new_image) - 1)[last_line],
            draw_N=draw_N[rows],
            outcome_N=outcome_N[rows],
            distance_km_N=kept(self.distance_km),
            latitude_N=kept(self.latitude),
            longitude_N=kept(self.longitude),
            official_N_L=marks(self.official, len(LEVELS)),
            fixed_N_L=marks(self.fixed, len(LEVELS)),
            said_N_L=marks(self.said, len(SAID_LEVELS)),
            country_N=kept(self.country),
            countries=tuple(self.countries),
            continent_N=kept(self.continent),
            continents=tuple(self.continents),
            usage=dict(sorted(self.usage.items())),
        )


def _numbers(values: "array[Any]") -> Any:
    kind = np.float64 if values.typecode == "d" else np.int64
    return np.frombuffer(values, dtype=values.typecode).astype(kind)


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
