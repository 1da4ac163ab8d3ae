"""The procedural world as a data set: real places, painted photos, nothing to download."""

from typing import Any, Final

import pyarrow as pa

from geospot.arrow import number_column, short_text_column
from geospot.data.dataset import GeoDataset
from geospot.data.sample import SAMPLE_SCHEMA, GeoSample, SampleTable
from geospot.data.world.sites import draw_points, sites
from geospot.errors import DataError
from geospot.places import reverse_geocode, unique_labels
from geospot.places.geocode import NameArray

SPLITS: Final = {"train": 10_000, "test": 2_000, "test-places": 2_000}
"""The splits and their default sizes."""

VERSION: Final = 2
"""Of places and looks. It is part of every id, so results on different worlds never rank together."""


class WorldDataset(GeoDataset):
    """A split of the procedural world. The table costs no rendering; images are painted when read."""

    name = "world"
    is_drawn = True

    def __init__(self, split: str, seed: int, size: int) -> None:
        self.split = split
        self.seed = seed
        self._table = _build_table(split, seed, size)

    @property
    def table(self) -> SampleTable:
        """Every sample, by index."""
        return self._table

    def read_image(self, sample: GeoSample) -> bytes:
        """A JPEG of 96 × 96 pixels, the same whenever and wherever it is painted."""
        from geospot.data.world.render import encode, paint
        from geospot.data.world.scene import imagine

        scene = imagine(sample.latitude, sample.longitude, sample.country or "", sample.image)
        return encode(paint(scene, sample.image))


def open_world(split: str, *, seed: int = 0, size: int | None = None) -> WorldDataset:
    """The procedural world.

    `train` and `test` are different draws of the same places; `test-places` stands at places that no
    seed's `train` or `test` comes within 710 km of. `seed` changes the draws, never the look of the
    world nor which places are held out. The first n samples of a larger size are those of size n.

    Args:
        split: `train` (10,000 samples unless `size` says otherwise), `test` (2,000) or `test-places`
            (2,000).
        seed: of the draws.
        size: number of samples; as many as wanted.

    Raises:
        DataError: there is no such split, or the size makes no sense.
    """
    if split not in SPLITS:
        raise DataError(
            f"The world has no split {split!r}.", f"Its splits are {', '.join(SPLITS)}."
        )
    if size is not None and size < 1:
        raise DataError(f"A world of {size} samples makes no sense.", "Ask for at least one.")
    return WorldDataset(split, seed, SPLITS[split] if size is None else size)


def _build_table(split: str, seed: int, size: int) -> SampleTable:
    places = sites(held_out=split == "test-places")
    latitude_N, longitude_N = draw_points(places, f"world/{seed}/{split}", size)
    found = reverse_geocode(latitude_N, longitude_N)
    ids = [f"world{VERSION}-{seed}-{split}-{index:07d}" for index in range(size)]
    labels = [unique_labels(found[index], fixed=True) for index in range(size)]
    degrees = {"latitude": latitude_N, "longitude": longitude_N}
    texts: dict[str, list[str | None]] = {
        "id": list(ids),
        "image": list(ids),
        "city": _known(found.city_N),
        "region": _known(found.region_N),
        "sub_region": _known(found.sub_region_N),
        "country": _known(found.country_N),
        "unique_city": [label.unique_city for label in labels],
        "unique_region": [label.unique_region for label in labels],
        "unique_sub_region": [label.unique_sub_region for label in labels],
        "sequence": [None] * size,
    }
    arrays: list[Any] = [
        number_column(degrees[name]) if name in degrees else short_text_column(texts[name])
        for name in SAMPLE_SCHEMA.names
    ]
    return SampleTable(pa.Table.from_arrays(arrays, schema=SAMPLE_SCHEMA))


def _known(name_N: NameArray) -> list[str | None]:
    return [name or None for name in name_N.tolist()]
