"""WebDataset tars on this machine: one pass finds every member, then an image is one read.

A sample is what shares a key, the part of a member's name up to the first dot of its last component:
`KEY.jpg` and `KEY.json`. Photos of one place in several headings are samples of their own, `KEY/000`
and so on, whether they are called `KEY.000.jpg` or `KEY/000.jpg`.
"""

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa

from geospot.arrow import text_table
from geospot.data.columns import find_columns, flatten, same_column
from geospot.data.dataset import GeoDataset
from geospot.data.progress import Progress, silent
from geospot.data.rows import json_object, json_text
from geospot.data.sample import GeoSample, SampleTable
from geospot.data.truth import TEXT_SCHEMA, valid_rows
from geospot.errors import DataError, ImageError, refuse_if_exhausted
from geospot.images import MAX_BYTES
from geospot.textsafe import printable

IMAGE_TYPES: Final = ("jpg", "jpeg", "png", "webp")
_MAX_JSON_BYTES: Final = 1024 * 1024
_BLOCK: Final = 512
_HEADING: Final = re.compile(r"\d{1,3}")
_NO_IMAGE: Final = "none"
_COORDINATES: Final = ("latitude", "longitude")

Row = dict[str, str | None]


def open_webdataset(
    tars: Sequence[Path],
    split: str,
    *,
    columns: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> GeoDataset:
    """The samples of all the tars, in their order.

    Ids are the JSON's `id`, else the key; of several headings, `KEY/000`. Samples without JSON or
    without coordinates in it leave, counted; JSON without an image stays and is an ImageError.

    Raises:
        DataError: a tar is compressed, cut off or damaged; says which and where.
        ColumnsError: no JSON of any tar has coordinates.
    """
    reader = _JsonReader(columns)
    tables: list[pa.Table] = []
    total, before = sum(path.stat().st_size for path in tars), 0
    for number, path in enumerate(tars):
        groups: dict[str, _Group] = {}
        for count, member in enumerate(_index(path)):
            _put(groups, member, number, reader)
            if count % 1000 == 0:
                progress("indexing tars", before + member.offset, total)
        tables.append(text_table(list(_rows(groups)), TEXT_SCHEMA.names))
        before += path.stat().st_size
    progress("indexing tars", total, total)
    reader.check()
    table = valid_rows(pa.concat_tables(tables))
    if reader.unreadable:
        table.dropped["unreadable_json"] = reader.unreadable
    return WebDataset(_name(tars[0], split), split, tars, table)


class WebDataset(GeoDataset):
    """Samples in tars; handles are `tar:offset:size`, so that an image is one read."""

    def __init__(self, name: str, split: str, tars: Sequence[Path], table: SampleTable) -> None:
        self.name = name
        self.split = split
        self._tars = tars
        self._table = table

    @property
    def table(self) -> SampleTable:
        return self._table

    def read_image(self, sample: GeoSample) -> bytes:
        if sample.image == _NO_IMAGE:
            raise ImageError(f"The tars hold no image of {printable(sample.id, limit=200)}.")
        number, offset, size = (int(part) for part in sample.image.split(":"))
        if size > MAX_BYTES:
            raise ImageError(f"The image has {size:,} bytes, more than {MAX_BYTES:,}.")
        try:
            with self._tars[number].open("rb", buffering=0) as file:
                file.seek(offset)
                data = _read_fully(file, size)
        except OSError as error:
            refuse_if_exhausted(error)
            raise ImageError(
                f"{self._tars[number].name} can't be read: {error.strerror}."
            ) from error
        if len(data) < size:
            raise ImageError(f"{self._tars[number].name} has become shorter since it was opened.")
        return data


@dataclass(frozen=True, slots=True)
class _Member:
    """An image or JSON in a tar, and where its bytes are. `kind` is what follows the key's dot."""

    key: str
    kind: str
    offset: int
    size: int
    json: bytes | None = None


@dataclass(slots=True)
class _Group:
    """What shares a key: handles of images by kind (`jpg`, `000.jpg`), and the JSON's fields."""

    images: dict[str, str] = field(default_factory=dict[str, str])
    row: Row | None = None


class _JsonReader:
    """Reads a sample's JSON into fields, and remembers what became of all of them."""

    def __init__(self, overrides: Mapping[str, str] | None) -> None:
        self.unreadable = 0
        self._overrides = overrides or {}
        self._names: dict[str, None] = {}
        self._mappings: dict[tuple[str, ...], dict[str, str]] = {}
        self._found_coordinates = False

    def read(self, data: bytes) -> Row | None:
        """The sample's fields; None, counted, for what is no JSON object."""
        try:
            values = flatten(json_object(data, "the JSON"))
        except DataError:
            self.unreadable += 1
            return None
        wanted = self._mapping(tuple(values))
        return {name: json_text(name, values[column]) for name, column in wanted.items()}

    def check(self) -> None:
        """Raises ColumnsError where no JSON had coordinates, or none had what --columns names."""
        required = () if self._found_coordinates or not self._names else _COORDINATES
        find_columns(self._names, self._overrides, required=required)

    def _mapping(self, names: tuple[str, ...]) -> dict[str, str]:
        """Which key is what; worked out once, as the samples of a data set have the same keys."""
        if names not in self._mappings:
            self._names |= dict.fromkeys(names)
            here = {
                said: column
                for said, column in self._overrides.items()
                if any(same_column(column, name) for name in names)
            }
            found = find_columns(names, here, required=())
            self._found_coordinates |= found.keys() >= set(_COORDINATES)
            if len(self._mappings) > 1000:  # keys that differ in every sample
                self._mappings.clear()
            self._mappings[names] = found
        return self._mappings[names]


def _index(path: Path) -> Iterator[_Member]:
    """The images and the JSON of a tar, in order."""
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise DataError(
                f"{printable(str(path))} is compressed, so no image in it can be read by itself.",
                f"Unpack it (photos hardly gain by compression): gunzip {printable(path.name)}",
            )
        file.seek(0)
        for info in _plain_files(path, file):
            folder, slash, name = info.name.removeprefix("./").rpartition("/")
            stem, _, kind = name.partition(".")
            kind = kind.lower()
            key, offset, size = f"{folder}{slash}{stem}", info.offset_data, info.size
            if kind == "json":
                file.seek(offset)
                yield _Member(key, kind, offset, size, file.read(min(size, _MAX_JSON_BYTES)))
            elif kind.rpartition(".")[2] in IMAGE_TYPES:
                yield _Member(key, kind, offset, size)


def _plain_files(path: Path, file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """The plain files in a tar, which must be whole.

    Python's tarfile takes damage after the first member for the end of the archive, which would
    quietly lose the rest of the data set. So where it stops, the mark of the end must stand.
    """
    last, offset = "its beginning", -1
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # pyright: ignore[reportAttributeAccessIssue] - it would keep them all
                if info.size < 0 or tar.offset <= offset:
                    raise tarfile.ReadError("a size makes no sense")
                last, offset = printable(info.name, limit=200), tar.offset
                if info.isreg():
                    yield info
            offset = tar.offset
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        raise _damaged(path, last, str(error)) from error
    file.seek(offset)
    end = file.read(_BLOCK)
    if end != bytes(_BLOCK):
        what = "it is cut off" if len(end) < _BLOCK else "what follows is no tar header"
        raise _damaged(path, last, f"{what} (byte {offset:,})")


def _damaged(path: Path, last: str, what: str) -> DataError:
    return DataError(
        f"{printable(str(path))} is damaged after {last}: {what}.",
        "Get the file again; compare its size or checksum with the original's.",
    )


def _put(groups: dict[str, _Group], member: _Member, tar: int, reader: _JsonReader) -> None:
    group = groups.setdefault(member.key, _Group())
    if member.json is None:
        group.images.setdefault(member.kind, f"{tar}:{member.offset}:{member.size}")
    elif group.row is None:
        group.row = reader.read(member.json)


def _rows(groups: Mapping[str, _Group]) -> Iterator[Row]:
    """One row an image; JSON that no image belongs to is a row without one."""
    shared = _shared_rows(groups)
    used: set[int] = set()
    for key, group in groups.items():
        folder, _, last = key.rpartition("/")
        for kind, handle in _one_a_heading(group.images).items():
            row, sample_id = group.row, (group.row or {}).get("id") or key
            if "." in kind:
                sample_id = f"{key}/{kind.partition('.')[0]}"
            elif row is None and _HEADING.fullmatch(last) and folder in shared:
                row, sample_id = shared[folder], key
            used.add(id(row))
            yield {**(row or {}), "id": sample_id, "image": handle}
    for key, group in groups.items():
        if group.row and not group.images and id(group.row) not in used:
            yield {**group.row, "id": group.row.get("id") or key, "image": _NO_IMAGE}


def _one_a_heading(images: Mapping[str, str]) -> dict[str, str]:
    """The images that are photos: one without a heading, and one a heading; not `seg.png`."""
    chosen: dict[str, tuple[str, str]] = {}
    for image_type in IMAGE_TYPES:
        for kind, handle in images.items():
            heading, _, suffix = kind.rpartition(".")
            if suffix == image_type and (not heading or _HEADING.fullmatch(heading)):
                chosen.setdefault(heading, (kind, handle))
    return dict(sorted(chosen.values()))


def _shared_rows(groups: Mapping[str, _Group]) -> dict[str, Row]:
    """JSON that stands beside a folder of headings (`KEY.json`) or in it (`KEY/meta.json`)."""
    shared = {key: group.row for key, group in groups.items() if group.row and not group.images}
    for key, row in list(shared.items()):
        folder, _, last = key.rpartition("/")
        if folder and not _HEADING.fullmatch(last):
            shared.setdefault(folder, row)
    return shared


def _read_fully(file: FileIO, size: int) -> bytes:
    """`size` bytes, or as many as there are: a single read may return less."""
    data = bytearray()
    while len(data) < size and (piece := file.read(size - len(data))):
        data += piece
    return bytes(data)


def _name(path: Path, split: str) -> str:
    """What the data set is called: a single tar by its name, shards and splits by their folder."""
    folder = path.resolve().parent
    if folder.name == split:
        return folder.parent.name
    shard = re.fullmatch(rf"{re.escape(split)}([-_.].*)?|.*\d+", path.stem)
    return folder.name if shard else path.stem
