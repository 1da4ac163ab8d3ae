"""The photos that are trained on: chosen, numbered by country, read, and put to the model."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from geospot.config.learning import WORLD, LearnConfig
from geospot.data import GeoDataset, GeoSample, SampleTable, open_dataset
from geospot.data.columns import parse_overrides
from geospot.data.progress import Progress, silent
from geospot.data.selection import fingerprint
from geospot.data.world import SPLITS as WORLD_SIZES
from geospot.errors import DataError, ImageError
from geospot.images import (
    PILLOW_ERRORS,
    PreparedImage,
    open_image,
    pillow_reason,
    prepare_image,
)
from geospot.learning.order import SampleOrder
from geospot.places import country_code, reverse_geocode
from geospot.prompts import Prompt
from geospot.renderers import Message
from geospot.textsafe import printable

BROKEN_AT_MOST: Final = 64
"""So many photos of whole batches in a row that can't be read: it is the data set. Fewer are passed over,
or a run would come to the same batch again whenever it goes on."""
_HELD_OUT_AT_MOST: Final = 10  # one in so many, where the data set has no further photos


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The chosen photos.

    Attributes:
        samples: those that are trained on.
        held_out: those that come next in the selection, for a test NLL; never trained on.
        fingerprint: of `samples`, as an evaluation's.
        strata: the country of each of `samples` as a number, None unless countries are balanced.
    """

    dataset: GeoDataset
    samples: SampleTable
    held_out: SampleTable
    fingerprint: str
    strata: NDArray[np.int64] | None = None

    def order(self, seed: int) -> SampleOrder:
        """In which order the samples are seen."""
        strata = None if self.strata is None else self.strata.tolist()
        return SampleOrder(len(self.samples), seed, strata=strata)

    def close(self) -> None:
        """Lets go of the data set's files and connections."""
        self.dataset.close()


def open_training_data(
    config: LearnConfig, *, held_out: int = 0, progress: Progress = silent
) -> TrainingData:
    """Opens the data set and chooses `max_samples` photos, and `held_out` more that come after them.

    A data set that hasn't so many gives up the last of its photos to be held out, but no more than
    one in ten. The procedural world is drawn as large as is asked for.

    Raises:
        DataError: there is no such data set, or it has no photo with valid coordinates.
        UsageError: the columns make no sense.
    """
    wanted = config.wanted_photos
    dataset = open_dataset(
        _spec(config.hf_repo, config.split, wanted, held_out),
        config.split,
        columns=parse_overrides(config.columns),
        progress=progress,
    )
    try:
        limit = None if wanted is None else wanted + held_out
        chosen = dataset.select(limit, config.seed).table
        if not len(chosen):
            raise _empty(config, chosen)
        train = _training_share(len(chosen), wanted, held_out)
        samples = chosen.take(np.arange(train))
        return TrainingData(
            dataset=dataset,
            samples=samples,
            held_out=chosen.take(np.arange(train, min(train + held_out, len(chosen)))),
            fingerprint=fingerprint(dataset.name, dataset.split, samples.ids, order=dataset.order),
            strata=country_numbers(samples) if config.balance_by_country else None,
        )
    except BaseException:
        dataset.close()
        raise


def country_numbers(samples: SampleTable) -> NDArray[np.int64]:
    """A number for each sample's country: the label's, or where that names none, the coordinates'.

    Numbers follow the alphabet of the ISO codes, so they don't depend on the order of the samples.
    """
    labels: list[str | None] = samples.arrow.column("country").to_pylist()
    code_of = {label: country_code(label) for label in set(labels) if label is not None}
    codes = [code_of.get(label) if label is not None else None for label in labels]
    unnamed = [index for index, code in enumerate(codes) if code is None]
    if unnamed:
        found = reverse_geocode(samples.latitude_N[unnamed], samples.longitude_N[unnamed])
        for index, code in zip(unnamed, found.country_N.tolist(), strict=True):
            codes[index] = str(code)
    _, number_N = np.unique(np.array(codes, dtype=np.str_), return_inverse=True)
    return number_N.astype(np.int64)


def read_photo(dataset: GeoDataset, sample: GeoSample, max_image_size: int | None) -> PreparedImage:
    """The photo as it goes to a model: without metadata, no longer than `max_image_size` pixels.

    Blocks; call it in a thread.

    Raises:
        ImageError: it is missing, or can't be read to its last pixel: a service would refuse the whole
            batch for it.
        SourceUnavailableError: a remote source didn't answer.
    """
    photo = prepare_image(dataset.read_image(sample), max_image_size)
    if not (photo.changes or dataset.is_drawn):  # what was encoded anew was decoded before
        _check_pixels(photo)
    return photo


def _check_pixels(photo: PreparedImage) -> None:
    try:
        with open_image(photo.data) as image:
            image.load()
    except PILLOW_ERRORS as error:
        raise ImageError(f"The image can't be decoded: {pillow_reason(error)}.") from error


def question(prompt: Prompt, photo: PreparedImage) -> list[Message]:
    """What the model is asked: photo first, then the text, after the system message if there is one."""
    asked: Message = {
        "role": "user",
        "content": [{"type": "image", "image": photo}, {"type": "text", "text": prompt.text}],
    }
    return [{"role": "system", "content": prompt.system}, asked] if prompt.system else [asked]


def _spec(hf_repo: str, split: str, wanted: int | None, held_out: int) -> str:
    """The data set's name; the world's with a size where its usual one doesn't suffice."""
    if hf_repo != WORLD or wanted is None or wanted + held_out <= WORLD_SIZES.get(split, 0):
        return hf_repo
    return f"{WORLD}:size={wanted + held_out}"


def _training_share(available: int, wanted: int | None, held_out: int) -> int:
    """How many of the chosen are trained on; the rest is held out."""
    if wanted is not None and available >= wanted + held_out:
        return wanted
    return available - min(held_out, available // _HELD_OUT_AT_MOST)


def _empty(config: LearnConfig, chosen: SampleTable) -> DataError:
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in chosen.dropped.items())
    return DataError(
        f"{printable(config.hf_repo)}, split {printable(config.split)}, has no photo with valid "
        f"coordinates to train on ({dropped or 'it is empty'}).",
        "`geospot data check` shows more.",
    )
