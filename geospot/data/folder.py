"""A folder of photos: with metadata.csv or metadata.jsonl (the imagefolder convention of `datasets`),
or with nothing but the GPS position in their EXIF."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from geospot.arrow import nothing, number_column, short_text_column, text_value
from geospot.data.columns import find_columns, refuse_overrides
from geospot.data.dataset import GeoDataset
from geospot.data.exif import gps_position
from geospot.data.files import FilesDataset, resolve_below
from geospot.data.open import SPLITS
from geospot.data.progress import Progress, silent
from geospot.data.rows import column_names, read_columns
from geospot.data.sample import SampleTable
from geospot.data.truth import valid_rows
from geospot.errors import DataError, ImageError, refuse_if_exhausted
from geospot.textsafe import is_utf8, printable

PHOTO_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
METADATA: Final = ("metadata.csv", "metadata.jsonl")

pc: Any = pyarrow.compute


def open_folder(
    root: Path,
    split: str,
    *,
    columns: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> GeoDataset:
    """The photos below `root`, or below `root/{split}` where there is such a folder.

    Metadata files may be in any folder below; `file_name` is relative to each. Without any, the
    truth is each photo's EXIF position. Ids are the `id` column, else the path relative to the
    split's folder.

    Raises:
        DataError: the photos are in folders of other splits, or a metadata file is malformed.
        ColumnsError: a metadata file has no column for file name or coordinates.
    """
    base = _split_folder(root, split)
    photos, metadata = _walk(base)
    strange = [photo for photo in photos if not is_utf8(photo)]
    photos = [photo for photo in photos if is_utf8(photo)]
    if metadata:
        table = _from_metadata(base, metadata, photos, columns)
    elif base != root and (upper := [root / name for name in METADATA if (root / name).is_file()]):
        table = _from_upper_metadata(root, base, upper[0], columns)
    else:
        refuse_overrides(columns, f"{printable(str(root))}, a folder of photos without metadata,")
        table = _from_exif(base, photos, progress)
    if strange:
        table.dropped["name_not_utf8"] = len(strange)
    return FilesDataset(root.resolve().name, split, base, table)


def has_photos(root: Path) -> bool:
    """Whether a photo or a metadata file is anywhere below."""
    return any(
        name in METADATA or name.lower().endswith(PHOTO_SUFFIXES)
        for _, _, names in os.walk(root, onerror=refuse_if_exhausted)
        for name in names
    )


def _split_folder(root: Path, split: str) -> Path:
    """The folder of the split; the root itself where nothing is divided into splits."""
    if (root / split).is_dir():
        return root / split
    others = [name for name in SPLITS if (root / name).is_dir() and has_photos(root / name)]
    if others:
        raise DataError(
            f"{printable(str(root))} has no split {printable(split)!r}.",
            f"Splits there: {', '.join(others)}; choose with --split.",
        )
    return root


def _walk(base: Path) -> tuple[list[str], list[Path]]:
    """Photos (paths relative to `base`, sorted) and metadata files; hidden folders are left out."""
    photos: list[str] = []
    metadata: list[Path] = []
    for folder, folders, names in os.walk(base, onerror=refuse_if_exhausted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder)
        metadata += [here / name for name in METADATA if name in names][:1]
        photos += [
            (here / name).relative_to(base).as_posix()
            for name in names
            if name.lower().endswith(PHOTO_SUFFIXES) and not name.startswith(".")
        ]
    return sorted(photos), sorted(metadata)


def _from_metadata(
    base: Path, metadata: list[Path], photos: list[str], columns: Mapping[str, str] | None
) -> SampleTable:
    """The rows of every metadata file; photos that no row names are counted."""
    tables: list[pa.Table] = []
    for path in metadata:
        folder = path.parent.relative_to(base).as_posix()
        raw = _read_metadata(path, columns)
        if folder != ".":
            raw = _with_images(raw, _joined(folder, raw.column("image")))
        tables.append(_with_ids(raw))
    raw = pa.concat_tables(tables, promote_options="permissive")
    table = valid_rows(raw)
    named = {os.path.normpath(name) for name in raw.column("image").to_pylist() if name}
    unnamed = sum(os.path.normpath(photo) not in named for photo in photos)
    if unnamed:
        table.dropped["not_in_metadata"] = unnamed
    return table


def _from_upper_metadata(
    root: Path, base: Path, path: Path, columns: Mapping[str, str] | None
) -> SampleTable:
    """The rows of the root's one metadata file that name photos in the split's folder."""
    raw = _read_metadata(path, columns)
    prefix = f"{base.relative_to(root).as_posix()}/"
    starts_so = pc.starts_with(raw.column("image"), prefix)
    raw = raw.filter(pc.fill_null(starts_so, number_column(np.array([False]))[0]))
    raw = _with_images(raw, pc.utf8_slice_codeunits(raw.column("image"), len(prefix)))
    return valid_rows(_with_ids(raw))


def _from_exif(base: Path, photos: list[str], progress: Progress) -> SampleTable:
    positions: list[tuple[float, float] | None] = []
    for done, photo in enumerate(photos, start=1):
        positions.append(_position(base, photo))
        if done % 100 == 0 or done == len(photos):
            progress("reading GPS positions", done, len(photos))
    is_known = number_column(np.array([position is not None for position in positions], np.bool_))
    latitude_N, longitude_N = (
        np.array([position or (0.0, 0.0) for position in positions]).reshape(-1, 2).T
    )
    latitudes, longitudes = (
        pc.if_else(is_known, number_column(degrees_N), nothing(pa.float64()))
        for degrees_N in (latitude_N, longitude_N)
    )
    return valid_rows(
        pa.table(
            {
                "id": short_text_column(photos),
                "image": short_text_column(photos),
                "latitude": latitudes,
                "longitude": longitudes,
            }
        )
    )


def _position(base: Path, photo: str) -> tuple[float, float] | None:
    try:
        return gps_position(resolve_below(base, photo))
    except ImageError:  # a link out of the folder, or gone meanwhile: no truth either way
        return None


def _read_metadata(path: Path, columns: Mapping[str, str] | None) -> pa.Table:
    return read_columns(path, find_columns(column_names(path), columns))


def _with_images(raw: pa.Table, images: Any) -> pa.Table:
    return raw.set_column(raw.column_names.index("image"), "image", images)


def _joined(folder: str, images: Any) -> Any:
    """`folder/image`, null where the image is null or empty."""
    empty = pc.equal(images, text_value(""))
    joined = pc.binary_join_element_wise(text_value(folder), images, text_value("/"))
    return pc.if_else(empty, nothing(pa.string()), joined)


def _with_ids(raw: pa.Table) -> pa.Table:
    """The table, its image paths as ids where it has no ids."""
    if "id" in raw.column_names:
        return raw
    return raw.append_column("id", raw.column("image"))
