"""A small data set in OSV-5M's own layout, made from a seed: the CSV, the zips, real JPEGs."""

import csv
import random
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Final, NamedTuple

from geospot.data.sample import GeoSample
from tests.support.photos import make_photo

HEADER: Final = [
    *("id", "latitude", "longitude", "thumb_original_url", "country", "sequence", "captured_at"),
    *("lon_bin", "lat_bin", "cell", "region", "sub-region", "city", "land_cover", "road_index"),
    *("drive_side", "climate", "soil", "dist_sea"),
    *(f"quadtree_10_{size}" for size in (5000, 25000, 1000, 50000, 12500, 500, 2500)),
    *("unique_region", "unique_sub-region", "unique_city", "unique_country"),
    *("creator_username", "creator_id"),
]
"""The 32 columns of the official CSV, in their order."""

BAD_ROWS: Final = {
    "missing_coordinates": ("", ""),
    "null_island": ("0.0", "0.0"),
    "out_of_range": ("91.5", "12.25"),
    "not_a_number": ("north", "east"),
    "duplicate_id": ("1.5", "1.5"),
}
"""Reason and coordinates of the bad rows, dealt in this order; `duplicate_id` repeats the first id."""


class Place(NamedTuple):
    latitude: float
    longitude: float
    city: str
    sub_region: str
    region: str
    country: str


PLACES: Final = (
    Place(-22.55941, 17.08323, "Windhoek", "", "Khomas", "NA"),
    Place(48.85341, 2.3488, "Paris", "Paris", "Ile-de-France", "FR"),
    Place(-23.5475, -46.63611, "São Paulo", "São Paulo", "Sao Paulo", "BR"),
    Place(-43.95353, -176.55973, "Waitangi", "", "Chatham Islands", "NZ"),
    Place(35.0211, 135.75385, "Kyoto", "Kyoto Shi", "Kyoto", "JP"),
    Place(64.13548, -21.89541, "Reykjavik", "", "Capital Region", "IS"),
    Place(38.89511, -77.03637, "Washington, D.C.", "", "Washington, D.C.", "US"),
    Place(18.46633, -66.10572, "San Juan", "San Juan Antiguo Barrio", "San Juan", "PR"),
    Place(-1.28333, 36.81667, "Nairobi", "Starehe", "Nairobi Area", "KE"),
    Place(1.28967, 103.85007, "Singapore", "", "", "SG"),
    Place(-16.7992, 179.93, "Waiyevo", "Cakaudrove", "Northern", "FJ"),
    Place(68.43838, 17.42718, "Narvik", "Narvik", "Nordland", "NO"),
)
"""Real places; some lack a part of their name, one is on the date line's doorstep, one is `NA`."""


def make_osv_tree(
    root: Path,
    *,
    split: str = "test",
    images: int = 12,
    zips: int = 2,
    seed: int = 0,
    extracted: bool = False,
    bad_rows: int = 0,
    exif: bool = False,
) -> list[GeoSample]:
    """Writes `{split}.csv` and `images/{split}/` below `root`, and returns the truth.

    Args:
        root: the data set's folder; other splits in it are left alone.
        images: photos with valid truth, spread over the places round-robin with some noise.
        zips: archives `NN.zip` (or folders `NN`) that the photos are spread over.
        extracted: write `images/{split}/NN/{id}.jpg` instead of zips.
        bad_rows: rows without valid truth, of the kinds in `BAD_ROWS` in turn, after every good row.
        exif: give the photos EXIF with their GPS position.

    Returns:
        the valid samples in the CSV's order; `image` is `NN/{id}.jpg`, the member's name.
    """
    samples = list(islice(_samples(random.Random(f"{split}:{seed}")), images))
    placed = [
        replace(sample, image=f"{index * zips // images:02d}/{sample.id}.jpg")
        for index, sample in enumerate(samples)
    ]
    _write_csv(root / f"{split}.csv", placed, bad_rows)
    _write_images(root / "images" / split, placed, seed, extracted=extracted, exif=exif)
    return placed


def _samples(rng: random.Random) -> Iterator[GeoSample]:
    for number, place in enumerate(cycle(PLACES)):
        unique_region = f"{place.region}_{place.country}" if place.region else None
        unique_sub_region = (
            f"{place.sub_region}_{place.region}_{place.country}" if place.sub_region else None
        )
        parts = (place.city, place.sub_region, place.region, place.country)
        yield GeoSample(
            id=str(rng.randrange(10 ** (14 + number % 3), 10 ** (15 + number % 3))),
            latitude=round(place.latitude + rng.uniform(-0.05, 0.05), 12),
            longitude=round(place.longitude + rng.uniform(-0.05, 0.05), 12),
            image="",
            city=place.city,
            region=place.region or None,
            sub_region=place.sub_region or None,
            country=place.country,
            unique_city="_".join(part or "NaN" for part in parts),
            unique_region=unique_region,
            unique_sub_region=unique_sub_region,
            sequence=f"{rng.getrandbits(64):016x}",
        )


def _write_csv(path: Path, samples: list[GeoSample], bad_rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER, restval="")
        writer.writeheader()
        for sample in samples:
            writer.writerow(_row(sample))
        for number, (reason, (latitude, longitude)) in enumerate(
            islice(cycle(BAD_ROWS.items()), bad_rows)
        ):
            sample_id = samples[0].id if reason == "duplicate_id" else str(9 * 10**15 + number)
            writer.writerow({"id": sample_id, "latitude": latitude, "longitude": longitude})


def _row(sample: GeoSample) -> dict[str, str]:
    return {
        "id": sample.id,
        "latitude": repr(sample.latitude),
        "longitude": repr(sample.longitude),
        "thumb_original_url": "",
        "country": sample.country or "",
        "sequence": sample.sequence or "",
        "captured_at": "1600000000000",
        "region": sample.region or "",
        "sub-region": sample.sub_region or "",
        "city": sample.city or "",
        "unique_region": sample.unique_region or "",
        "unique_sub-region": sample.unique_sub_region or "",
        "unique_city": sample.unique_city or "",
        "unique_country": sample.country or "",
    }


def _write_images(
    folder: Path, samples: list[GeoSample], seed: int, *, extracted: bool, exif: bool
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    archives = sorted({sample.image.partition("/")[0] for sample in samples})
    for archive in archives:
        members = {
            sample.image: make_photo(
                f"{seed}:{sample.id}", gps=(sample.latitude, sample.longitude) if exif else None
            )
            for sample in samples
            if sample.image.startswith(f"{archive}/")
        }
        if extracted:
            for name, data in members.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(data)
            continue
        with zipfile.ZipFile(folder / f"{archive}.zip", "w", zipfile.ZIP_STORED) as out:
            for name, data in members.items():
                out.writestr(name, data)
