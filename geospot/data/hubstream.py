"""A hub data set that is read as a stream: its ids aren't known before it has been walked."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Final, cast

from geospot.arrow import text_table
from geospot.data.columns import find_columns
from geospot.data.dataset import StreamedDataset
from geospot.data.download import Downloader
from geospot.data.hubrows import HubRows
from geospot.data.hubtable import fetch_image
from geospot.data.prepared import locked
from geospot.data.progress import Progress
from geospot.data.remote import HubRepo
from geospot.data.rows import json_text
from geospot.data.sample import GeoSample, SampleTable
from geospot.data.selection import Selection
from geospot.data.spool import Spool, read_spooled
from geospot.data.truth import TEXT_SCHEMA, valid_rows
from geospot.errors import ImageError
from geospot.images import MAX_BYTES

_MARK_EVERY: Final = 32
_ON_HUB, _AT_URL = "hub:", "url:"


class HubStream(StreamedDataset):
    """The first samples of a stream, kept on disk as they come.

    Args:
        open_rows: opens the stream; not called as long as the disk has all that is asked for.
        overrides: field → column, where the user said so.
    """

    def __init__(
        self,
        repo: HubRepo,
        split: str,
        folder: Path,
        open_rows: Callable[[], HubRows],
        overrides: Mapping[str, str] | None,
        progress: Progress,
    ) -> None:
        self.name = repo.repo_id
        self.split = split
        self._repo = repo
        self._folder = folder
        self._open_rows = open_rows
        self._overrides = overrides
        self._progress = progress
        self._downloader = Downloader()

    def select(self, limit: int | None, seed: int = 0) -> Selection:
        """The first `limit` samples with valid truth, in the order of the stream."""
        with locked(self._folder):
            spool = Spool(self._folder)
            ended = bool(spool.position().get("ended"))
            if not ended and (limit is None or spool.count < limit):
                self._take(spool, limit)
            taken = spool.first(limit)
            position = spool.position()
        if limit is not None and taken and len(taken) == limit:
            dropped = taken[-1].dropped
        else:
            dropped = dict(position.get("dropped", {}))
        samples = [GeoSample(**entry.fields) for entry in taken]
        return self._selection(SampleTable.from_samples(samples, dropped), limit, seed)

    def read_image(self, sample: GeoSample) -> bytes:
        """The original bytes of the image; see `GeoDataset.read_image`."""
        handle = sample.image
        if handle.startswith("!"):
            raise ImageError(handle[1:])
        if handle.startswith(_ON_HUB):
            return fetch_image(self._repo, handle.removeprefix(_ON_HUB))
        if handle.startswith(_AT_URL):
            return self._downloader.fetch(handle.removeprefix(_AT_URL))
        return read_spooled(self._folder / "images.bin", handle)

    def close(self) -> None:
        """Lets go of connections."""
        self._downloader.close()

    def _take(self, spool: Spool, limit: int | None) -> None:
        """Walks on from where the spool ends until it has `limit` samples."""
        rows = self._open_rows()
        wanted = find_columns(rows.columns, self._overrides)
        if wanted.get("id") == "__key__" and "json.id" in rows.columns:
            wanted["id"] = "json.id"  # the data set's own, as the reader of tars has it
        mark = spool.position()
        stream = rows.walk(mark.get("state"))
        what = f"stream {self.name}"
        skip = spool.seen - int(mark.get("seen", 0)) if mark.get("state") else spool.seen
        for _ in islice(stream, skip):
            pass
        marked = spool.count
        self._progress(what, spool.count, limit)
        try:
            while limit is None or spool.count < limit:
                row = next(stream, None)
                if row is None:
                    spool.mark(None, ended=True)
                    return
                _append(spool, row, wanted, self._repo)
                self._progress(what, spool.count, limit)
                if spool.count - marked >= _MARK_EVERY:
                    marked = spool.count
                    spool.mark(rows.state(), ended=False)
            spool.mark(rows.state(), ended=False)
        finally:
            stream.close()


def _append(
    spool: Spool, row: Mapping[str, object], wanted: Mapping[str, str], repo: HubRepo
) -> None:
    """Takes the row if its truth is valid, at once: what was fetched is on disk before the next."""
    fields: dict[str, str | None] = {"id": str(spool.seen), "image": "-"}
    for field, column in wanted.items():
        if field != "image":
            fields[field] = json_text(field, row.get(column))
    spool.seen += 1
    valid = valid_rows(text_table([fields], TEXT_SCHEMA.names))
    reason = next(iter(valid.dropped), None)
    if reason is None and valid[0].id in spool.ids:
        reason = "duplicate_id"
    if reason is not None:
        spool.dropped = {**spool.dropped, reason: spool.dropped.get(reason, 0) + 1}
        return
    known = {name: value for name, value in asdict(valid[0]).items() if value is not None}
    spool.append(known, _image(row.get(wanted["image"]), repo))


def _image(value: object, repo: HubRepo) -> bytes | str:
    """The image of a row: its bytes, or a handle to find them by."""
    if isinstance(value, Mapping):
        parts = cast(Mapping[str, object], value)
        value = parts["bytes"] if parts.get("bytes") is not None else parts.get("path")
    if isinstance(value, bytes):
        if len(value) > MAX_BYTES:
            return f"!The image is larger than {MAX_BYTES >> 20} MiB."
        return value
    if not isinstance(value, str) or not value:
        return "!The row has no image."
    if value.startswith(("http://", "https://")):
        return _AT_URL + value
    prefix = f"hf://datasets/{repo.repo_id}@{repo.commit}/"
    return _ON_HUB + value.removeprefix(prefix)


def stream_folder(home: Path, commit: str, split: str, overrides: Mapping[str, str] | None) -> Path:
    """Where the samples of this stream are kept: other columns make other samples."""
    key = json.dumps([split, sorted((overrides or {}).items())])
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    return home / f"{commit}-stream" / digest
