"""Tables on the hub that name their images: CSV, TSV, JSON Lines, an imagefolder's metadata.

Read by our own reader and not by `datasets`, which turns Namibia's `NA` into nothing and `00123` into
123. All ids are known beforehand, and an image is fetched when it is asked for.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from geospot.data.dataset import GeoDataset
from geospot.data.download import URL_MARK, Downloader
from geospot.data.prepared import locked
from geospot.data.progress import Progress
from geospot.data.remote import HubRepo, RemoteEntry, download
from geospot.data.sample import GeoSample, SampleTable
from geospot.data.table import open_table
from geospot.data.zipindex import is_safe_name
from geospot.errors import DataError, ImageError, SourceUnavailableError
from geospot.images import MAX_BYTES
from geospot.textsafe import printable

_SUFFIXES: Final = (".csv", ".tsv", ".jsonl")


def table_of(entries: Iterable[RemoteEntry], split: str) -> RemoteEntry | None:
    """The table of a split: metadata in the split's folder, or a file named after it.

    None where there are Parquet files of the split, which hold the images themselves.
    """
    found = {entry.path: entry for entry in entries}
    folders = [f"{split}/", f"data/{split}/"]
    named = [f"{split}", f"data/{split}"]
    parquet = [path for path in found if path.endswith(".parquet")]
    if any(path.startswith((*folders, *(f"{name}-" for name in named))) for path in parquet):
        return None
    candidates = [f"{folder}metadata{suffix}" for folder in folders for suffix in _SUFFIXES]
    candidates += [f"{name}{suffix}" for name in named for suffix in _SUFFIXES]
    return next((found[path] for path in candidates if path in found), None)


class HubTable(GeoDataset):
    """The rows of one table, with images beside it in the repository or at URLs."""

    def __init__(
        self,
        repo: HubRepo,
        split: str,
        entry: RemoteEntry,
        home: Path,
        columns: Mapping[str, str] | None,
        progress: Progress,
    ) -> None:
        self.name = repo.repo_id
        self.split = split
        self._repo = repo
        self._folder = entry.path.rpartition("/")[0]
        local = home / f"{repo.commit}-tables" / entry.path.replace("/", "--")
        with locked(local.parent):
            if not local.exists():
                download(repo.open(entry), local, progress)
        self._table = open_table([local], split, columns=columns, progress=progress).table
        self._downloader = Downloader()

    @property
    def table(self) -> SampleTable:
        """Every sample with valid truth."""
        return self._table

    def read_image(self, sample: GeoSample) -> bytes:
        """The original bytes of the image; see `GeoDataset.read_image`."""
        if URL_MARK in sample.image:
            return self._downloader.fetch(sample.image)
        return fetch_image(self._repo, sample.image, below=self._folder)

    def close(self) -> None:
        """Lets go of connections."""
        self._downloader.close()


def fetch_image(repo: HubRepo, path: str, *, below: str = "") -> bytes:
    """An image that is a file of the repository.

    Args:
        path: as the data has it.
        below: the folder in which it begins.

    Raises:
        ImageError: there is no such file, it is too large, or the path leads out of the repository: the hub
            would be asked for something else then, with the person's token.
        SourceUnavailableError: the hub doesn't answer, or refuses since the data set was opened.
    """
    path = path.removeprefix("./")
    if not is_safe_name(path):
        raise ImageError(f"The path {printable(path, limit=200)!r} leaves its root; refused.")
    try:
        return repo.fetch(f"{below}/{path}".lstrip("/"), MAX_BYTES)
    except SourceUnavailableError:
        raise
    except DataError as error:
        raise SourceUnavailableError(error.message, error.advice) from error
