"""A CSV, TSV, JSON Lines or Parquet table with a column of image paths, of URLs, or of image bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

from geospot.arrow import short_text_column
from geospot.data.columns import find_columns
from geospot.data.dataset import GeoDataset
from geospot.data.download import URL_MARK, Downloader
from geospot.data.files import read_below
from geospot.data.progress import Progress, silent
from geospot.data.rows import column_names, parquet_file, read_columns
from geospot.data.sample import GeoSample, SampleTable
from geospot.data.truth import valid_rows
from geospot.errors import DataError, ImageError, refuse_if_exhausted
from geospot.images import MAX_BYTES

pc: Any = pyarrow.compute

_ROWS_AT_ONCE: Final = 64  # images in memory while one is looked for in a Parquet row group


def open_table(
    paths: Sequence[Path],
    split: str,
    *,
    columns: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> GeoDataset:
    """The rows of the files, one after the other.

    Paths in the table are relative to the folder of the first file and may not leave it. Ids are
    the `id` column, else the path or URL as it stands in the table, else the file's and row's number:
    where images lie in Parquet itself, and there is no path, or not one of its own for each.

    Raises:
        DataError: a file is malformed.
        ColumnsError: image or coordinates can't be found among the columns.
    """
    tables: list[pa.Table] = []
    byte_columns: dict[int, str] = {}
    has_ids = False
    for number, path in enumerate(paths):
        progress("reading tables", number, len(paths))
        wanted = find_columns(column_names(path), columns)
        has_ids |= "id" in wanted
        if path.suffix.lower() == ".parquet" and _holds_bytes(path, wanted["image"]):
            byte_columns[number] = wanted["image"]
            tables.append(_rows_with_bytes(number, path, wanted))
        else:
            raw = read_columns(path, wanted)
            tables.append(raw if "id" in wanted else raw.append_column("id", raw.column("image")))
    progress("reading tables", len(paths), len(paths))
    name = _name(paths[0], split)
    if byte_columns and len(byte_columns) < len(paths):
        raise DataError(
            f"Some of the Parquet files of {name!r} hold images, others only name them."
        )
    raw = pa.concat_tables(tables, promote_options="permissive")
    if byte_columns and not has_ids and pc.count_distinct(raw.column("id")).as_py() < len(raw):
        # Shards whose images are called alike: they aren't the same images.
        raw = raw.set_column(raw.column_names.index("id"), "id", raw.column("image"))
    table = valid_rows(raw)
    if byte_columns:
        return ParquetBytesDataset(name, split, paths, list(byte_columns.values()), table)
    return PathsDataset(name, split, paths[0].parent, table)


class PathsDataset(GeoDataset):
    """Samples whose images are files below the table's folder, or at URLs."""

    def __init__(self, name: str, split: str, root: Path, table: SampleTable) -> None:
        self.name = name
        self.split = split
        self.root = root
        self._table = table
        urls = pc.any(pc.match_substring(table.arrow.column("image"), URL_MARK)).as_py()
        self._downloader = Downloader() if urls else None

    @property
    def table(self) -> SampleTable:
        return self._table

    def read_image(self, sample: GeoSample) -> bytes:
        if self._downloader is not None and URL_MARK in sample.image:
            return self._downloader.fetch(sample.image)
        return read_below(self.root, sample.image)

    def close(self) -> None:
        if self._downloader is not None:
            self._downloader.close()


class ParquetBytesDataset(GeoDataset):
    """Samples whose images are in the Parquet files themselves, as `datasets` writes them.

    Handles are `file:row`. Parquet can't be entered in the middle of a row group, so an image costs
    reading on average half of its group, a few rows at a time; no more than those are held.
    """

    def __init__(
        self,
        name: str,
        split: str,
        paths: Sequence[Path],
        image_columns: Sequence[str],
        table: SampleTable,
    ) -> None:
        self.name = name
        self.split = split
        self._paths = paths
        self._image_columns = image_columns
        self._table = table

    @property
    def table(self) -> SampleTable:
        return self._table

    def read_image(self, sample: GeoSample) -> bytes:
        number, row = (int(part) for part in sample.image.split(":"))
        try:
            with parquet_file(self._paths[number]) as file:
                value = _cell(file, row, self._image_columns[number])
        except (DataError, pa.ArrowException, OSError) as error:
            refuse_if_exhausted(error)
            raise ImageError(f"The image can't be read from the Parquet file: {error}") from error
        data: object = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise ImageError("The image's cell in the Parquet file is empty.")
        if len(data) > MAX_BYTES:
            raise ImageError(f"The image has {len(data):,} bytes, more than {MAX_BYTES:,}.")
        return data


def _cell(file: Any, row: int, column: str) -> dict[str, object] | bytes | None:
    """The cell in a row of the file, read through the row group that it is in."""
    group = 0
    while row >= (rows := file.metadata.row_group(group).num_rows):
        row -= rows
        group += 1
    before = 0
    for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[column]):
        if row < before + batch.num_rows:
            return cast(dict[str, object] | bytes | None, batch.column(0)[row - before].as_py())
        before += batch.num_rows
    return None


def _holds_bytes(path: Path, column: str) -> bool:
    """Whether the column holds images rather than their names; bytes as such or `{bytes, path}`."""
    with parquet_file(path) as file:
        kind: Any = file.schema_arrow.field(column).type
    if pa.types.is_struct(kind):
        if "bytes" in [field.name for field in cast(Sequence[Any], kind)]:
            return True
        raise DataError(
            f"Column {column!r} of {path.name} is a structure without image bytes.",
            "Name the column with the image's path, URL or bytes: --columns image=….",
        )
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _rows_with_bytes(number: int, path: Path, wanted: Mapping[str, str]) -> pa.Table:
    """Everything but the images themselves, with handles `file:row`."""
    raw = read_columns(path, {field: name for field, name in wanted.items() if field != "image"})
    handles = short_text_column([f"{number}:{row}" for row in range(raw.num_rows)])
    raw = raw.append_column("image", handles)
    if "id" in wanted:
        return raw
    return raw.append_column("id", _paths_inside(path, wanted["image"]) or handles)


def _paths_inside(path: Path, column: str) -> pa.StringArray | None:
    """The `path` beside each image's bytes, where each image has one of its own; they serve as ids."""
    with parquet_file(path) as file:
        kind: Any = file.schema_arrow.field(column).type
        if not pa.types.is_struct(kind):
            return None
        if "path" not in [field.name for field in cast(Sequence[Any], kind)]:
            return None
        structs: Any = file.read(columns=[f"{column}.path"]).column(column)
    inside: list[str | None] = [cell and cell["path"] for cell in structs.to_pylist()]
    whole = all(inside) and len(set(inside)) == len(inside)
    return short_text_column(inside) if whole else None


def _name(path: Path, split: str) -> str:
    """What the data set is called: its folder where the file is only a split of it, else the file."""
    if path.stem == split or path.stem.startswith(f"{split}-"):
        folder = path.resolve().parent
        return folder.parent.name if folder.name == "data" else folder.name
    return path.stem
