"""What a data set is really like: how many rows, how bad, from where, and whether it leaks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from typing import Any, Final

import numpy as np

from geospot.arrow import numbers_of
from geospot.data.dataset import GeoDataset
from geospot.data.exif import GPS_IFD
from geospot.data.leakage import (
    DEFAULT_DISTANCE,
    Hashes,
    NearDuplicate,
    SharedRows,
    near_duplicates,
    nearest_rows,
    perceptual_hashes,
    shared_rows,
)
from geospot.data.progress import Progress, silent
from geospot.data.sample import GeoSample, SampleTable
from geospot.data.selection import fingerprint
from geospot.errors import ImageError, SourceUnavailableError
from geospot.images import MAX_PIXELS, PILLOW_ERRORS, open_image, pillow_reason

_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, median and largest of some numbers."""

    min: float
    median: float
    max: float


@dataclass(frozen=True, slots=True)
class BadImage:
    """An image that will cost its sample, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImagesReport:
    """What the examined images are like; sizes of those that can be read."""

    examined: int
    unreadable: list[BadImage]
    formats: dict[str, int]
    pixels: Spread | None
    longest_side: Spread | None
    bytes: Spread | None
    with_gps: int
    """Images that say in EXIF where they were taken; geospot cuts that before a model sees them."""


@dataclass(frozen=True, slots=True)
class LeakageReport:
    """What the split shares with another one."""

    against: str
    rows: int
    shared: SharedRows
    images_compared: tuple[int, int]
    """How many images of this split and of the other one were looked at."""
    near_duplicates: list[NearDuplicate]
    """Each image of this split with the one of the other split that looks most like it."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Everything that `geospot data check` says about a split."""

    dataset: str
    split: str
    order: str
    rows: int
    dropped: dict[str, int]
    countries: dict[str, int]
    without_country: int
    limit: int | None
    seed: int
    selected: int
    fingerprint: str
    fingerprint_all: str | None
    """Of all rows, not only the selected ones; None for a stream."""
    images: ImagesReport
    leakage: LeakageReport | None = None


@dataclass(frozen=True, slots=True)
class _Examined:
    """One image as far as it could be read; without `reason` it is fine."""

    id: str
    reason: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    gps: bool = False
    hashes: tuple[int, int] = field(default=(0, 0))


def check(
    dataset: GeoDataset,
    *,
    limit: int | None = 1000,
    seed: int = 0,
    against: GeoDataset | None = None,
    max_distance: int = DEFAULT_DISTANCE,
    progress: Progress = silent,
) -> CheckReport:
    """Looks at every row, and at the images that an evaluation with this limit and seed would ask.

    Args:
        limit: how many images to open; None for all.
        against: another split, to look for leakage. Of its images as many are opened, those taken
            nearest to the examined ones; all of them without a limit.
        max_distance: bits of 64 in which the phashes of near-duplicates may differ.
    """
    selection = dataset.select(limit, seed)
    stream = dataset.order == "stream"
    table = selection.table if stream else dataset.table
    countries, without_country = _countries(table)
    examined = list(_examine(dataset, selection.table, "examining images", progress))
    leakage = None
    if against is not None:
        other = _table(against, limit)
        most = len(other) if limit is None else len(selection)
        near = other.take(nearest_rows(selection.table, other, most))
        others = list(_examine(against, near, f"examining {against.split}", progress))
        leakage = LeakageReport(
            against=against.split,
            rows=len(other),
            shared=shared_rows(table, other),
            images_compared=(len(_fine(examined)), len(_fine(others))),
            near_duplicates=_near_duplicates(_fine(examined), _fine(others), max_distance),
        )
    return CheckReport(
        dataset=dataset.name,
        split=dataset.split,
        order=dataset.order,
        rows=len(table),
        dropped=dict(sorted(table.dropped.items())),
        countries=countries,
        without_country=without_country,
        limit=limit,
        seed=seed,
        selected=len(selection),
        fingerprint=selection.fingerprint,
        fingerprint_all=None
        if stream
        else fingerprint(dataset.name, dataset.split, table.ids, order="hash"),
        images=_images_report(examined),
        leakage=leakage,
    )


def _countries(table: SampleTable) -> tuple[dict[str, int], int]:
    """Images by country as the data set has it, most first, and how many have none."""
    column: Any = table.arrow.column("country").combine_chunks()
    encoded = column.dictionary_encode()
    codes_N = numbers_of(encoded.indices.drop_null())
    counts: list[int] = np.bincount(codes_N, minlength=len(encoded.dictionary)).tolist()
    names: list[str] = encoded.dictionary.to_pylist()
    ranked = sorted(zip(names, counts, strict=True), key=lambda item: (-item[1], item[0]))
    return dict(ranked), len(table) - len(codes_N)


def _examine(
    dataset: GeoDataset, table: SampleTable, what: str, progress: Progress
) -> Iterator[_Examined]:
    """Every image of the table opened and decoded, a few at a time."""

    def examine(sample: GeoSample) -> _Examined:
        try:
            return _look_at(sample.id, dataset.read_image(sample))
        except (ImageError, SourceUnavailableError) as error:
            return _Examined(sample.id, reason=error.message)

    samples = iter(table)
    done = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        while batch := list(islice(samples, 4 * _THREADS)):
            yield from pool.map(examine, batch)
            done += len(batch)
            progress(what, done, len(table))


def _look_at(sample_id: str, data: bytes) -> _Examined:
    try:
        with open_image(data) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return _Examined(sample_id, reason=f"Absurdly large: {width} × {height} pixels.")
            gps = bool(image.getexif().get_ifd(GPS_IFD))
            image.load()  # only now is it known that it isn't cut off
            kind = image.format or "unknown"
        with open_image(data) as again:
            hashes = perceptual_hashes(again)
    except ImageError as error:
        return _Examined(sample_id, reason=error.message)
    except PILLOW_ERRORS as error:
        return _Examined(sample_id, reason=f"Can't be decoded: {pillow_reason(error)}.")
    return _Examined(sample_id, "", kind, width, height, len(data), gps, hashes)


def _images_report(examined: Sequence[_Examined]) -> ImagesReport:
    fine = _fine(examined)
    return ImagesReport(
        examined=len(examined),
        unreadable=[BadImage(one.id, one.reason) for one in examined if one.reason],
        formats=dict(Counter(one.format for one in fine).most_common()),
        pixels=_spread([one.width * one.height for one in fine]),
        longest_side=_spread([max(one.width, one.height) for one in fine]),
        bytes=_spread([one.bytes for one in fine]),
        with_gps=sum(one.gps for one in fine),
    )


def _spread(numbers: Sequence[int]) -> Spread | None:
    return Spread(min(numbers), median(numbers), max(numbers)) if numbers else None


def _table(dataset: GeoDataset, limit: int | None) -> SampleTable:
    """Every row of the data set; of a stream, which has no such table, the first `limit`."""
    return dataset.select(limit).table if dataset.order == "stream" else dataset.table


def _fine(examined: Sequence[_Examined]) -> list[_Examined]:
    return [one for one in examined if not one.reason]


def _near_duplicates(
    fine: Sequence[_Examined], fine_others: Sequence[_Examined], max_distance: int
) -> list[NearDuplicate]:
    return near_duplicates(
        [one.id for one in fine],
        _hashes(fine),
        [one.id for one in fine_others],
        _hashes(fine_others),
        max_distance,
    )


def _hashes(examined: Sequence[_Examined]) -> tuple[Hashes, Hashes]:
    return (
        np.array([one.hashes[0] for one in examined], dtype=np.uint64),
        np.array([one.hashes[1] for one in examined], dtype=np.uint64),
    )
