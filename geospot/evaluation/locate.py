"""Asks a backend where photos of one's own were taken."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from geospot.config.evaluation import AskConfig
from geospot.data.dataset import GeoDataset
from geospot.data.exif import gps_position
from geospot.data.sample import GeoSample, SampleTable
from geospot.errors import DataError, ImageError, refuse_if_exhausted
from geospot.evaluation.budget import CostCap
from geospot.evaluation.harness import Harness, Settings, Stats
from geospot.evaluation.opening import asked_as_trained, make_backend
from geospot.evaluation.records import SampleRecord
from geospot.geo import is_on_globe
from geospot.outcomes import Outcome
from geospot.textsafe import printable

_AT_ONCE: Final = 8
_UNKNOWN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class Located:
    """A photo and what was answered."""

    photo: Path
    record: SampleRecord | None
    """None if the run ended before the photo's turn."""
    exif_distance_km: float | None
    """Great-circle distance to the position in the photo's own EXIF, which was not sent."""


async def locate(
    photos: Sequence[Path], config: AskConfig, tell: Callable[[str], None] | None = None
) -> list[Located]:
    """One answer a photo, in the order of `photos`.

    Args:
        tell: is told in sentences what the backend waits for.

    Raises:
        BackendError: the backend can't be used.
        DataError: a photo isn't there.
    """
    missing = [photo for photo in photos if not photo.is_file()]
    if missing:
        what = "is a folder, no photo" if missing[0].is_dir() else "isn't there"
        raise DataError(f"{printable(str(missing[0]))} {what}.", "Name image files.")
    backend = make_backend(config, tell=tell)
    asked_as_trained(config, backend)  # a prompt that isn't there shows before anything is opened
    records: dict[int, SampleRecord] = {}
    stats = Stats(total=len(photos))
    try:
        await backend.check()
        config, prompt = asked_as_trained(config, backend)
        harness = Harness(
            backend,
            _Photos(photos),
            prompt,
            Settings(
                concurrency=_AT_ONCE,
                max_retries=config.max_retries,
                max_image_size=config.max_image_size,
                max_tokens=config.max_tokens,
            ),
            on_record=lambda record: records.update({int(record.id): record}),
            on_event=_ignore,
            cost=CostCap(None),
            stats=stats,
        )
        truths = await asyncio.to_thread(lambda: [_position(photo) for photo in photos])
        await harness.run((_sample(index, truth), 0) for index, truth in enumerate(truths))
    finally:
        await backend.aclose()
    if harness.failure is not None:
        raise harness.failure
    return [
        Located(photo, records.get(index), _exif_distance_km(records.get(index), truth))
        for index, (photo, truth) in enumerate(zip(photos, truths, strict=True))
    ]


class _Photos(GeoDataset):
    name = "photos"
    split = "own"

    def __init__(self, photos: Sequence[Path]) -> None:
        self._photos = photos

    @property
    def table(self) -> SampleTable:
        return SampleTable.from_samples([])

    def read_image(self, sample: GeoSample) -> bytes:
        try:
            return self._photos[int(sample.id)].read_bytes()
        except OSError as error:
            refuse_if_exhausted(error)
            raise ImageError(f"The file can't be read: {error.strerror}.") from error


def _position(photo: Path) -> tuple[float, float] | None:
    """Where the photo says it was taken; off the globe or exactly (0, 0) says nothing."""
    found = gps_position(photo)
    return found if found and found != (0.0, 0.0) and is_on_globe(*found) else None


def _sample(index: int, truth: tuple[float, float] | None) -> GeoSample:
    latitude, longitude = truth or (_UNKNOWN, _UNKNOWN)
    return GeoSample(str(index), latitude, longitude, image="")


def _exif_distance_km(
    record: SampleRecord | None, truth: tuple[float, float] | None
) -> float | None:
    if record is None or truth is None or record.outcome is not Outcome.OK:
        return None
    return record.distance_km


def _ignore(_: str, **__: object) -> None:
    """Retries of a few photos are nobody's concern."""
