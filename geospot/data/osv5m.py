"""OSV-5M (Astruc et al. 2024): ids and labels from its CSV, images straight out of its zips.

The data set's own loading script is refused by every current `datasets`, and all of it is several
hundred gigabytes. Here a split is opened from its CSV and the directories of its zips; an image is
read by one byte range of a zip, on disk or on the hub, when it is asked for.
"""

import errno
import hashlib
import os
import threading
from pathlib import Path
from typing import Final, Protocol

from geospot.data import prepared
from geospot.data.dataset import GeoDataset
from geospot.data.memberjoin import NO_MEMBER
from geospot.data.progress import Progress, silent
from geospot.data.sample import GeoSample, SampleTable
from geospot.data.selection import Selection, ranked_indices, selection_of
from geospot.data.zipindex import Member, RangeReader, is_safe_name, read_member
from geospot.errors import DataError, ImageError, SourceUnavailableError, refuse_if_exhausted
from geospot.images import MAX_BYTES
from geospot.textsafe import printable

HUB_NAME: Final = "osv5m/osv5m"
"""Its repository on the Hugging Face hub."""
NAME: Final = "osv5m"
"""What it is called in fingerprints, wherever it is read from."""


def open_local_osv5m(
    root: Path, split: str, *, cache_dir: Path, progress: Progress = silent
) -> "Osv5mDataset":
    """Opens a folder in OSV-5M's layout.

    Args:
        root: holds `{split}.csv` and `images/{split}/`, in it zips (`NN.zip` with `NN/{id}.jpg`),
            extracted folders (`NN/{id}.jpg`), or some of both.
        split: `train` or `test`, or whatever the CSV is called.
        cache_dir: the joined table of rows and images is kept there, until a file of `root` changes.

    Raises:
        DataError: a file is missing, damaged or can't be read.
    """
    csv, images = root / f"{split}.csv", root / "images" / split
    if not csv.is_file():
        raise DataError(
            f"{printable(str(root))} has no {printable(split)}.csv.",
            f"Splits there: {', '.join(_splits_of(root)) or 'none'}.",
        )
    if not images.is_dir():
        raise DataError(
            f"{printable(str(root))} has {printable(split)}.csv but no folder images/{split}.",
            "Put the zips of the images there, as the data set's repository has them.",
        )
    zips = {path.name: LocalFile(path) for path in sorted(images.glob("*.zip"))}
    folder = cache_dir / "osv5m" / f"local-{_identity([csv, *(z.path for z in zips.values())])}"
    if not prepared.is_finished(folder):
        with prepared.locked(folder):
            prepared.build(folder, csv, list(zips.items()), progress)
    folders = sorted(path for path in images.iterdir() if path.is_dir())
    return Osv5mDataset(
        NAME, split, folder / prepared.PREPARED, _LocalImages(zips, [*folders, images])
    )


def _splits_of(root: Path) -> list[str]:
    """The splits of a folder: a CSV and a folder of images each. ATTRIBUTION.csv is none."""
    return sorted(
        printable(csv.stem) for csv in root.glob("*.csv") if (root / "images" / csv.stem).is_dir()
    )


def open_hub_osv5m(
    split: str, *, revision: str | None = None, cache_dir: Path, progress: Progress = silent
) -> "Osv5mDataset":
    """Opens OSV-5M on the hub; prepares the split first, if that wasn't done.

    Raises:
        DataError: the hub refuses, or what it serves isn't in OSV-5M's layout.
        SourceUnavailableError: the hub doesn't answer and nothing prepared is in the cache.
    """
    from geospot.data.hubosv5m import open_osv5m

    return open_osv5m(split, revision, cache_dir, progress)


def prepare(
    split: str,
    *,
    spec: str = HUB_NAME,
    revision: str | None = None,
    cache_dir: Path,
    progress: Progress = silent,
) -> Path:
    """Builds ahead what the first use of a split would build, and returns the Parquet file.

    Args:
        spec: `osv5m/osv5m`, or a folder in its layout.

    Raises:
        DataError, SourceUnavailableError: as `open_hub_osv5m` and `open_local_osv5m`.
    """
    try:
        if spec == HUB_NAME:
            dataset = open_hub_osv5m(
                split, revision=revision, cache_dir=cache_dir, progress=progress
            )
        else:
            dataset = open_local_osv5m(Path(spec), split, cache_dir=cache_dir, progress=progress)
    except PermissionError as error:
        where = printable(os.fsdecode(error.filename or spec))
        raise DataError(
            f"{where} can't be read ({error.strerror}).", "Mend its permissions."
        ) from error
    dataset.close()
    return dataset.prepared


class Images(Protocol):
    """Where the images of a split are."""

    def zip(self, name: str) -> RangeReader:
        """The zip of this name."""
        ...

    def outside_zips(self, sample: GeoSample) -> bytes | None:
        """An image that is in no zip, if it is anywhere."""
        ...

    def close(self) -> None:
        """Lets go of open files."""
        ...


class Osv5mDataset(GeoDataset):
    """A prepared split. Holds no table until one is asked for: choosing 1,000 of 4.89 million
    images reads the ids once and then the chosen rows.
    """

    def __init__(self, name: str, split: str, path: Path, images: Images) -> None:
        self.name = name
        self.split = split
        self.prepared = path
        self._images = images
        self._table: SampleTable | None = None

    @property
    def table(self) -> SampleTable:
        """Every sample with valid truth; about 300 bytes of memory each."""
        if self._table is None:
            self._table = prepared.all_rows(self.prepared)
        return self._table

    def select(self, limit: int | None, seed: int = 0) -> Selection:
        """The samples to ask: at most `limit`, all of them if None."""
        chosen = ranked_indices(prepared.iter_ids(self.prepared), limit=limit, seed=seed)
        return selection_of(
            prepared.take_rows(self.prepared, chosen),
            dataset=self.name,
            split=self.split,
            limit=limit,
            seed=seed,
            available=prepared.row_count(self.prepared),
        )

    def read_image(self, sample: GeoSample) -> bytes:
        """The original bytes of the image; see `GeoDataset.read_image`."""
        if sample.image == NO_MEMBER:
            data = self._images.outside_zips(sample)
            if data is None:
                name = printable(sample.id, limit=40)
                raise ImageError(f"There is no image of {name} in images/{self.split}.")
            return data
        if sample.image.startswith("!"):
            raise ImageError(sample.image[1:] + ".")
        container, member = Member.from_handle(sample.image)
        try:
            return read_member(self._images.zip(container), member)
        except SourceUnavailableError:
            raise
        except DataError as error:  # refused in the middle of a run: not the fault of the image
            raise SourceUnavailableError(error.message, error.advice) from error
        except OSError as error:
            refuse_if_exhausted(error)
            raise ImageError(f"{container} can't be read ({error.strerror or error}).") from error

    def close(self) -> None:
        """Lets go of open files and connections."""
        self._images.close()


class LocalFile:
    """A file on disk, read by ranges from several threads; opened when first read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._fd: int | None = None

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.path.stat().st_size

    @property
    def label(self) -> str:
        """Its path."""
        return printable(str(self.path))

    def read_range(self, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`."""
        with self._lock:
            if self._fd is None:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        pieces: list[bytes] = []
        while length > 0:  # one read returns 2 GiB at most, and less where it is interrupted
            piece = os.pread(self._fd, length, start)
            if not piece:
                raise OSError(errno.EIO, "the file ends too early", str(self.path))
            pieces.append(piece)
            start, length = start + len(piece), length - len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Closes the file; the next read opens it again."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


class _LocalImages:
    """Zips and extracted folders on disk."""

    def __init__(self, zips: dict[str, LocalFile], folders: list[Path]) -> None:
        self._zips = zips
        self._folders = folders

    def zip(self, name: str) -> RangeReader:
        return self._zips[name]

    def outside_zips(self, sample: GeoSample) -> bytes | None:
        """The extracted image, looked for in every folder: no list of five million is needed."""
        if not is_safe_name(sample.id) or "/" in sample.id:
            raise ImageError(f"The id {printable(sample.id, limit=80)!r} is no file name; refused.")
        for folder in self._folders:
            for suffix in prepared.IMAGE_SUFFIXES:
                try:
                    with (folder / (sample.id + suffix)).open("rb") as file:
                        data = file.read(MAX_BYTES + 1)
                except FileNotFoundError:
                    continue
                except OSError as error:  # a folder of this name, or an id too long for one
                    refuse_if_exhausted(error)
                    name = printable(sample.id, limit=40)
                    raise ImageError(f"{name} can't be read ({error.strerror}).") from error
                if len(data) > MAX_BYTES:
                    raise ImageError(f"{file.name} is larger than {MAX_BYTES >> 20} MiB.")
                return data
        return None

    def close(self) -> None:
        for file in self._zips.values():
            file.close()


def _identity(files: list[Path]) -> str:
    """16 hexadecimal digits that change with any of these files' path, size or time of change."""
    lines = [prepared.FORMAT]
    for path in files:
        stat = path.stat()
        lines.append(f"{path.resolve()}\t{stat.st_size}\t{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
