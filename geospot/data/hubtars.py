"""WebDataset tars on the hub: the beginning of each is copied as far as it is needed, and no further.

The copies are whole tars of complete samples, so that everything about them – which image belongs to
which JSON, headings, ids – is left to the reader of local tars. To go on, the end is cut off and the
remote tar is taken up at that byte.
"""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from geospot.data.dataset import GeoDataset, StreamedDataset
from geospot.data.prepared import locked, write_text
from geospot.data.progress import Progress
from geospot.data.remote import HubFile, HubRepo, RemoteEntry
from geospot.data.sample import GeoSample, SampleTable
from geospot.data.selection import Selection
from geospot.data.webdataset import IMAGE_TYPES, open_webdataset
from geospot.errors import DataError, ImageError
from geospot.textsafe import printable

_FETCH_BYTES: Final = 2 << 20
_NOTE_EVERY: Final = 64
_END_OF_TAR: Final = bytes(1024)


class HubTars(StreamedDataset):
    """The first samples of the tars of a split, in the order of their names."""

    def __init__(
        self,
        repo: HubRepo,
        split: str,
        tars: Sequence[RemoteEntry],
        home: Path,
        columns: Mapping[str, str] | None,
        progress: Progress,
    ) -> None:
        self.name = repo.repo_id
        self.split = split
        self._columns = columns
        self._progress = progress
        self._folder = home / f"{repo.commit}-tars" / split.replace("/", "--")
        self._copies = [
            TarCopy(repo.open(entry), self._folder / f"{number:06d}.tar")
            for number, entry in enumerate(sorted(tars, key=lambda entry: entry.path))
        ]
        self._copied: GeoDataset | None = None

    def select(self, limit: int | None, seed: int = 0) -> Selection:
        """The first `limit` samples with valid truth, in the order of the tars.

        The counts of bad rows are of all that was copied so far, which may be a little more.
        """
        with locked(self._folder):
            for copy in self._copies:
                copy.repair()
            table = self._copy(limit)
        if limit is not None and len(table) > limit:
            table = table.take(range(limit))
        return self._selection(table, limit, seed)

    def read_image(self, sample: GeoSample) -> bytes:
        """The original bytes of the image; see `GeoDataset.read_image`."""
        if self._copied is None:
            raise ImageError(f"{printable(sample.id, limit=80)} was not selected from this stream.")
        return self._copied.read_image(sample)

    def _copy(self, limit: int | None) -> SampleTable:
        """Copies until `limit` samples are valid or the tars end, and indexes what there is."""
        table = self._indexed()
        while limit is None or len(table) < limit:
            unfinished = next((copy for copy in self._copies if not copy.complete), None)
            if unfinished is None:
                break
            self._progress(f"stream {self.name}", len(table), limit)
            unfinished.extend(None if limit is None else limit - len(table))
            table = self._indexed()
        self._progress(f"stream {self.name}", len(table), limit)
        return table

    def _indexed(self) -> SampleTable:
        paths = [copy.path for copy in self._copies if copy.path.exists()]
        if not paths:
            return SampleTable.from_samples([])
        self._copied = open_webdataset(paths, self.split, columns=self._columns)
        return self._copied.table


class TarCopy:
    """A remote tar's beginning as a whole tar on disk. Survives a kill at any moment."""

    def __init__(self, remote: HubFile, path: Path) -> None:
        self.path = path
        self.complete = False
        self._copied = 0
        self._remote = remote
        self._note = path.with_suffix(".json")

    def repair(self) -> None:
        """Finds out how far the copy is, and makes a whole tar of what a killed process left.

        Under the lock: what was noted before may be long past, and others read from the copy.
        """
        noted: dict[str, int] = json.loads(self._note.read_text()) if self._note.exists() else {}
        self._copied = int(noted.get("copied", 0))
        self.complete = bool(noted.get("complete", False))
        if self.path.exists() and not self.complete:
            if self._copied:
                self._stop(self._copied, complete=False)
            else:
                self.path.unlink()

    def extend(self, images: int | None) -> None:
        """Copies at least so many images more, and the rest of their samples; all of it if None.

        Raises:
            DataError: this is no tar, or it is damaged.
        """
        with self.path.open("ab") as file:
            file.truncate(self._copied)
        source: Any = _Copying(self._remote, self._copied, self.path)
        label = self._remote.label
        count, last_key = 0, None
        try:
            with tarfile.open(fileobj=source, mode="r|", bufsize=tarfile.BLOCKSIZE) as tar:
                for info in tar:
                    tar.members = []  # pyright: ignore[reportAttributeAccessIssue] - it keeps them all
                    key, is_image = _told_by_name(info.name)
                    if key != last_key and last_key is not None:
                        if images is not None and count >= images:
                            self._stop(source.start + info.offset, complete=False)
                            return
                        if count % _NOTE_EVERY == 0:
                            self._remember(source.start + info.offset, complete=False)
                    last_key = key
                    count += is_image
        except tarfile.TarError as error:
            raise DataError(
                f"{label} is no tar that can be read: {printable(str(error), limit=200)}.",
                "Its file on the hub may be damaged.",
            ) from error
        self._stop(None, complete=True)

    def _stop(self, end: int | None, *, complete: bool) -> None:
        """Ends the copy after `end` bytes of the remote tar; where the remote one ends, if None."""
        size = self.path.stat().st_size if end is None else end
        self._remember(size, complete=complete)
        with self.path.open("r+b") as file:
            file.truncate(size)
            file.seek(size)
            file.write(_END_OF_TAR)

    def _remember(self, size: int, *, complete: bool) -> None:
        self._copied, self.complete = size, complete
        write_text(self._note, json.dumps({"copied": size, "complete": complete}))


class _Copying:
    """A file object over the remote tar that writes down whatever is read from it."""

    def __init__(self, remote: HubFile, start: int, path: Path) -> None:
        self.start = start
        self._remote = remote
        self._at = start
        self._fetched = io.BytesIO()
        self._path = path

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end."""
        data = self._fetched.read(size)
        while len(data) < size and self._at < self._remote.size:
            length = min(_FETCH_BYTES, self._remote.size - self._at)
            fetched = self._remote.read_range(self._at, length)
            with self._path.open("ab") as file:
                file.write(fetched)
            self._at += length
            self._fetched = io.BytesIO(fetched)
            data += self._fetched.read(size - len(data))
        return data


def _told_by_name(name: str) -> tuple[str, bool]:
    """What a member belongs to (its path up to the last component's first dot), and if it's a photo."""
    folder, slash, last = name.rpartition("/")
    stem, _, kind = last.partition(".")
    suffix = kind.lower().rpartition(".")[2]
    return folder + slash + stem, suffix in IMAGE_TYPES
