"""The one shape that every data source is brought into: a sample, and a columnar table of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from geospot.arrow import number_column, numbers_of, short_text_column

# Arrow's own pool keeps most of what reading a large table took for a moment; malloc gives it back.
pa.set_memory_pool(pa.system_memory_pool())

SAMPLE_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("latitude", pa.float64(), nullable=False),
        pa.field("longitude", pa.float64(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("city", pa.string()),
        pa.field("region", pa.string()),
        pa.field("sub_region", pa.string()),
        pa.field("country", pa.string()),
        pa.field("unique_city", pa.string()),
        pa.field("unique_region", pa.string()),
        pa.field("unique_sub_region", pa.string()),
        pa.field("sequence", pa.string()),
    ]
)
"""Columns of a sample table. `image` is a handle that only its own source understands (a zip member,
a path, a URL); `country` is what the data set says, ISO 3166-1 alpha-2 where it is OSV-5M; the
`unique_*` columns are OSV-5M's composed labels (`Region_CC`, …), null elsewhere."""

LABELS: Final = (
    "city",
    "region",
    "sub_region",
    "country",
    "unique_city",
    "unique_region",
    "unique_sub_region",
)
"""The place labels among the columns."""

_BLOCK: Final = 1024  # rows that are Python objects at one time


@dataclass(frozen=True, slots=True)
class GeoSample:
    """One photo with its true place. Degrees, WGS84; labels are None where unknown."""

    id: str
    latitude: float
    longitude: float
    image: str
    city: str | None = None
    region: str | None = None
    sub_region: str | None = None
    country: str | None = None
    unique_city: str | None = None
    unique_region: str | None = None
    unique_sub_region: str | None = None
    sequence: str | None = None

    def labels(self) -> dict[str, str]:
        """The place labels that are known."""
        return {name: value for name in LABELS if (value := getattr(self, name)) is not None}


class SampleTable:
    """N samples with valid truth, column by column, so that five million of them fit in memory.

    Args:
        table: Arrow table of `SAMPLE_SCHEMA`.
        dropped: rows of the source that are not in the table, counted by reason
            (`missing_coordinates`, `not_a_number`, `out_of_range`, `null_island`, `duplicate_id`, …).
    """

    def __init__(self, table: pa.Table, dropped: Mapping[str, int] | None = None) -> None:
        if table.schema != SAMPLE_SCHEMA:
            table = table.select(SAMPLE_SCHEMA.names).cast(SAMPLE_SCHEMA)
        self._table = _sharing_nulls(table.combine_chunks())
        self._row_N: npt.NDArray[np.int64] | None = None  # rows of the Arrow table; None: all
        self.dropped: dict[str, int] = dict(dropped or {})

    @classmethod
    def from_samples(
        cls, samples: Sequence[GeoSample], dropped: Mapping[str, int] | None = None
    ) -> "SampleTable":
        """A table of samples already made one by one; for sources of modest size."""
        columns: list[Any] = []
        for name in SAMPLE_SCHEMA.names:
            values = [getattr(sample, name) for sample in samples]
            columns.append(
                number_column(np.array(values, np.float64))
                if name in ("latitude", "longitude")
                else short_text_column(values)
            )
        return cls(pa.Table.from_arrays(columns, schema=SAMPLE_SCHEMA), dropped)

    def __len__(self) -> int:
        return self._table.num_rows if self._row_N is None else len(self._row_N)

    def __getitem__(self, index: int) -> GeoSample:
        row = index if self._row_N is None else int(self._row_N[index])
        return GeoSample(**self._table.slice(row, 1).to_pylist()[0])

    def __iter__(self) -> Iterator[GeoSample]:
        for block in self._blocks(self._table):
            for row in block.to_pylist():
                yield GeoSample(**row)

    def iter_ids(self) -> Iterator[str]:
        """The ids in table order, without holding them all as Python objects."""
        for block in self._blocks(self._table.select(["id"])):
            yield from cast(list[str], block.column("id").to_pylist())

    @property
    def arrow(self) -> pa.Table:
        """The samples as an Arrow table; a copy where most of another table was taken."""
        return self._table if self._row_N is None else self._table.take(number_column(self._row_N))

    @property
    def ids(self) -> list[str]:
        """The ids in table order."""
        return list(self.iter_ids())

    @property
    def latitude_N(self) -> npt.NDArray[np.float64]:
        """True latitudes in degrees."""
        return self._degrees("latitude")

    @property
    def longitude_N(self) -> npt.NDArray[np.float64]:
        """True longitudes in degrees."""
        return self._degrees("longitude")

    def take(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> "SampleTable":
        """The samples at these indices, in that order."""
        row_N = np.asarray(indices, dtype=np.int64)
        if self._row_N is not None:
            row_N = self._row_N[row_N]
        if 2 * len(row_N) < self._table.num_rows:
            return SampleTable(self._table.take(number_column(row_N)), self.dropped)
        # Most of the rows: whoever owns the table holds it anyway, so it isn't held a second time.
        taken = SampleTable(self._table, self.dropped)
        taken._row_N = row_N
        return taken

    def _blocks(self, table: pa.Table) -> Iterator[pa.Table]:
        for start in range(0, len(self), _BLOCK):
            if self._row_N is None:
                yield table.slice(start, _BLOCK)
            else:
                yield table.take(number_column(self._row_N[start : start + _BLOCK]))

    def _degrees(self, name: str) -> npt.NDArray[np.float64]:
        degrees_N = numbers_of(self._table.column(name))
        return degrees_N if self._row_N is None else degrees_N[self._row_N]


def _sharing_nulls(table: pa.Table) -> pa.Table:
    """The same table; labels that no sample has share one block of memory."""
    nulls = pa.nulls(table.num_rows, pa.string())
    for name in (*LABELS, "sequence"):
        if table.column(name).null_count == table.num_rows:
            table = table.set_column(SAMPLE_SCHEMA.names.index(name), name, nulls)
    return table
