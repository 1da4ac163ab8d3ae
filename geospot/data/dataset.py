"""What every source offers, whatever it reads from."""

from abc import ABC, abstractmethod

from geospot.data.sample import GeoSample, SampleTable
from geospot.data.selection import Order, Selection, fingerprint, select_by_hash
from geospot.errors import DataError
from geospot.textsafe import printable


class GeoDataset(ABC):
    """A split of a data set: which samples there are, and the bytes of each image.

    `name` and `split` go into fingerprints, so they must not depend on the machine. `order` is
    `hash` where all ids are known beforehand and `stream` where samples come as they are served.
    """

    name: str
    split: str
    order: Order = "hash"
    is_drawn: bool = False
    """Whether images are drawn when they are asked for, and so can't be broken."""

    @property
    @abstractmethod
    def table(self) -> SampleTable:
        """Every sample with valid truth. Raises DataError for a stream, which has no such table."""

    def select(self, limit: int | None, seed: int = 0) -> Selection:
        """The samples to ask: at most `limit`, all of them if None."""
        return select_by_hash(
            self.table, dataset=self.name, split=self.split, limit=limit, seed=seed
        )

    @abstractmethod
    def read_image(self, sample: GeoSample) -> bytes:
        """The original bytes of the image, called from several threads at once.

        Raises:
            ImageError: this image is missing, refused or unreadable; asking again won't help.
            SourceUnavailableError: the source didn't answer; asking again may help.
        """

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open
        """Lets go of open files and connections."""


class StreamedDataset(GeoDataset):
    """A source that is known only as far as it was walked."""

    order: Order = "stream"

    @property
    def table(self) -> SampleTable:
        """Raises DataError: a stream has no table."""
        raise DataError(
            f"{printable(self.name)} is read as a stream, so its rows aren't all known.",
            "Choose a number of images with --limit; the first valid ones are taken.",
        )

    def _selection(self, first: SampleTable, limit: int | None, seed: int) -> Selection:
        """The first samples of the stream, as a selection."""
        return Selection(
            table=first,
            dataset=self.name,
            split=self.split,
            order="stream",
            seed=seed,
            limit=limit,
            available=None,
            fingerprint=fingerprint(self.name, self.split, first.ids, order="stream"),
        )
