"""A split of OSV-5M made ready once: one Parquet file of the needed columns and each image's place.

Three steps, each in bounded memory and each kept as it ends, so that a killed process goes on where
it stopped: the directory of every zip, the rows with valid truth, and the two joined. A file is
written under another name and renamed when whole: what is there is complete.
"""

import errno
import fcntl
import json
import os
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from csv import Error as CsvError
from csv import reader as csv_reader
from pathlib import Path
from shutil import rmtree
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from geospot.arrow import number_column, short_text_column
from geospot.data.memberjoin import NO_MEMBER, Members, matched, part_of
from geospot.data.progress import Progress
from geospot.data.sample import SAMPLE_SCHEMA, SampleTable
from geospot.data.truth import valid_rows
from geospot.data.zipindex import Member, RangeReader, read_directory
from geospot.errors import ColumnsError, DataError
from geospot.textsafe import printable

FORMAT: Final = "1"
"""Of the cache; raised when it changes, so that older caches are built anew."""
PREPARED: Final = "samples.parquet"
ROWS: Final = "rows.parquet"
FETCHED: Final = "rows.csv"
"""A CSV that was downloaded into the cache; not needed once the split is prepared."""
_MEMBERS: Final = "members"
_JOINING: Final = "join rows and images"
IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp")

_RENAMED: Final = {"sub-region": "sub_region", "unique_sub-region": "unique_sub_region"}
_CSV_BLOCK_BYTES: Final = (2 << 20, 16 << 20, 128 << 20)
"""pyarrow reads 32 such blocks ahead of what is written, so they decide how much memory that takes; a row
that doesn't fit into two of them needs larger ones."""

_ROW_GROUP: Final = 1 << 16
_READERS: Final = 2
_REFUSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_DROPPED: Final = "geospot.dropped"

Column = Any  # arrays and chunked arrays; the stubs leave half of their types unknown
pq: Any = pyarrow.parquet


def build(
    folder: Path, csv: Path, zips: Sequence[tuple[str, RangeReader]], progress: Progress
) -> Path:
    """Writes `folder/samples.parquet` from a CSV and the zips' directories, unless it is there.

    Args:
        folder: where this split's cache is; its unfinished parts are taken up.
        csv: the split's CSV file.
        zips: name (unique, as it will stand in image handles) and reader of every zip.

    Raises:
        DataError: the CSV or a zip can't be read.
        ColumnsError: the CSV has no id or coordinates.
        SourceUnavailableError: a remote zip didn't answer; finished parts are kept.
    """
    target, members = folder / PREPARED, folder / _MEMBERS
    if not target.exists():
        for torn in [*folder.glob(".*.part"), *members.glob(".*.part")]:
            torn.unlink()  # of a process that was killed: the lock is ours, so nobody writes it
        index_members(members, zips, progress)
        _write_rows(csv, folder / ROWS, progress)
        _join(folder, [(name, _part(members, name)) for name, _ in zips], progress)
    tidy(folder)
    return target


def is_finished(folder: Path) -> bool:
    """Whether the split is prepared, and no step towards it was left by a process killed at its end."""
    steps = (folder / name for name in (_MEMBERS, ROWS, FETCHED))
    return (folder / PREPARED).exists() and not (
        os.access(folder, os.W_OK) and any(step.exists() for step in steps)
    )


def tidy(folder: Path) -> None:
    """Removes the steps towards a prepared split, where that is allowed; what is needed of them is in its
    file.
    """
    rmtree(folder / _MEMBERS, ignore_errors=True)
    for name in (ROWS, FETCHED):
        with suppress(OSError):
            (folder / name).unlink()


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Only one process at a time builds in `folder`; the lock goes with the process, also by kill."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "lock").open("a")
    except OSError as error:
        raise _unwritable(folder, error) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DataError(
                    f"The disk of the cache folder {printable(str(folder))} is full.",
                    "Make room or name another folder with GEOSPOT_CACHE; finished parts are kept.",
                ) from error
            if error.errno in _REFUSED and _is_within(folder, error.filename):
                raise _unwritable(folder, error) from error
            raise


def _unwritable(folder: Path, error: OSError) -> DataError:
    why = os.strerror(error.errno) if error.errno else error
    return DataError(
        f"The cache folder {printable(str(folder))} can't be written ({why}).",
        "Name another one with GEOSPOT_CACHE.",
    )


def _is_within(folder: Path, name: object) -> bool:
    """Whether a file that was refused is the cache's, and none of the data set; pyarrow, which writes only
    here, gives no name.
    """
    return name is None or Path(str(name)).is_relative_to(folder)


def index_members(
    folder: Path, zips: Sequence[tuple[str, RangeReader]], progress: Progress
) -> None:
    """One Parquet file of ids and image handles a zip, each kept as soon as it is read."""
    folder.mkdir(exist_ok=True)
    missing = [(name, reader) for name, reader in zips if not _part(folder, name).exists()]
    done = len(zips) - len(missing)
    progress("read zip directories", done, len(zips))

    def index(item: tuple[str, RangeReader]) -> None:
        name, reader = item
        members: list[tuple[str, Member]] = []
        for member in read_directory(reader):
            base = member.name.replace("\\", "/").rpartition("/")[2]
            stem, dot, suffix = base.rpartition(".")
            if (dot + suffix).lower() in IMAGE_SUFFIXES and not base.startswith("._"):
                members.append((stem, member))
        with _whole(_part(folder, name)) as part:
            pq.write_table(part_of(name, members), part, compression="zstd")

    with ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(index, missing):
            done += 1
            progress("read zip directories", done, len(zips))


def dropped_rows(prepared: Path) -> dict[str, int]:
    """How many rows of the CSV aren't in the prepared file, by reason."""
    metadata: dict[bytes, bytes] = _open(prepared).metadata.metadata or {}
    return dict(json.loads(metadata.get(_DROPPED.encode(), b"{}")))


def write_text(target: Path, text: str) -> None:
    """Writes a small file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with _whole(target) as part:
        part.write_text(text, encoding="utf-8")


def row_count(prepared: Path) -> int:
    """How many rows a prepared file has."""
    return _open(prepared).metadata.num_rows


def all_rows(prepared: Path) -> SampleTable:
    """Every row of a prepared file."""
    source = _open(prepared)
    columns = [  # one after the other, as putting the pieces of a column together takes it twice
        source.read(columns=[name]).column(0).combine_chunks() for name in SAMPLE_SCHEMA.names
    ]
    return SampleTable(pa.Table.from_arrays(columns, schema=SAMPLE_SCHEMA), dropped_rows(prepared))


def iter_ids(prepared: Path) -> Iterator[str]:
    """All ids of a prepared file in its order, without holding them all."""
    for batch in _open(prepared).iter_batches(_ROW_GROUP, columns=["id"]):
        yield from cast(list[str], batch.column(0).to_pylist())


def take_rows(prepared: Path, wanted_K: npt.NDArray[np.int64]) -> SampleTable:
    """The rows at these indices in that order, reading no row group that has none of them."""
    order_K = np.argsort(wanted_K, kind="stable")
    ordered_K = wanted_K[order_K]
    source = _open(prepared)
    parts: list[pa.Table] = [pa.Table.from_batches([], schema=SAMPLE_SCHEMA)]
    first = 0
    for group in range(source.num_row_groups):
        last = first + source.metadata.row_group(group).num_rows
        begin, end = np.searchsorted(ordered_K, [first, last])
        if begin < end:
            local_K: Column = number_column(ordered_K[begin:end] - first)
            parts.append(source.read_row_group(group).take(local_K).replace_schema_metadata())
        first = last
    back_K = np.empty_like(order_K)
    back_K[order_K] = np.arange(len(order_K))
    restore_K: Column = number_column(back_K)
    return SampleTable(pa.concat_tables(parts).take(restore_K), dropped_rows(prepared))


def _open(path: Path) -> Any:
    """The Parquet file; only a damaged disk or an editor's hand can have spoilt it."""
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{printable(str(path))} in the cache can't be read: {printable(str(error), limit=200)}.",
            "Delete it; it is built again.",
        ) from error


def _write_rows(csv: Path, target: Path, progress: Progress) -> None:
    """The rows of the CSV with valid truth, every column as text until it is checked."""
    if target.exists():
        return
    for block_bytes in _CSV_BLOCK_BYTES:
        try:
            _write_rows_by(block_bytes, csv, target, progress)
            break
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error) or block_bytes == _CSV_BLOCK_BYTES[-1]:
                raise _no_csv(csv, error) from error


def _write_rows_by(block_bytes: int, csv: Path, target: Path, progress: Progress) -> None:
    counts: Counter[str] = Counter()
    total = csv.stat().st_size
    what = f"read {csv.name}"
    with csv.open("rb") as source, _writer(target) as writer:
        for batch in _csv_batches(source, csv, block_bytes, counts):
            rows = valid_rows(batch)
            counts.update(rows.dropped)
            writer.write_table(rows.arrow, row_group_size=_ROW_GROUP)
            progress(what, source.tell(), total)
        writer.add_key_value_metadata({_DROPPED: json.dumps(counts)})
    progress(what, total, total)


def _csv_batches(
    source: Any, csv: Path, block_bytes: int, counts: Counter[str]
) -> Iterator[pa.Table]:
    header = _header(csv)
    wanted = {name: _RENAMED.get(name, name) for name in header}
    columns = [name for name in header if wanted[name] in SAMPLE_SCHEMA.names and name != "image"]

    def skip(_: object) -> Literal["skip"]:
        counts["malformed_row"] += 1
        return "skip"

    reader = pyarrow.csv.open_csv(
        source,
        read_options=pyarrow.csv.ReadOptions(block_size=block_bytes),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=columns,
            column_types=dict.fromkeys(columns, pa.string()),
            strings_can_be_null=False,
        ),
    )
    for batch in reader:
        table = pa.Table.from_batches([batch])
        table = table.rename_columns([wanted[name] for name in table.column_names])
        handles = short_text_column([NO_MEMBER]).take(number_column(np.zeros(len(table), np.int8)))
        yield table.append_column("image", handles)


def _no_csv(csv: Path, error: Exception) -> DataError:
    return DataError(
        f"{printable(str(csv))} can't be read as CSV: {printable(str(error), limit=200)}.",
        "Download it again, or repair the line that it names.",
    )


def _header(csv: Path) -> list[str]:
    """The column names of the first line, checked for those that can't be done without."""
    try:
        with csv.open("rb") as source:
            first = source.readline(1 << 20)
        names = next(csv_reader([first.decode("utf-8-sig").rstrip("\r\n")]), list[str]())
    except OSError as error:
        raise DataError(f"{printable(str(csv))} can't be read ({error.strerror}).") from error
    except (UnicodeDecodeError, CsvError) as error:
        raise _no_csv(csv, error) from error
    missing = [name for name in ("id", "latitude", "longitude") if name not in names]
    if missing:
        raise ColumnsError(
            f"{printable(str(csv))} lacks the column {missing[0]!r} that OSV-5M's CSV files have.",
            f"Its columns are: {printable(', '.join(names), limit=400) or 'none'}.",
        )
    if len(set(names)) != len(names):
        raise ColumnsError(f"{printable(str(csv))} has two columns of one name.", "Rename one.")
    return names


def _join(folder: Path, parts: Sequence[tuple[str, Path]], progress: Progress) -> None:
    """Gives every row the handle of its image; the first of rows with one id stays."""
    rows = _open(folder / ROWS)
    total = rows.metadata.num_rows
    progress(_JOINING, 0, total)
    members = Members(parts)
    handle_N, keep_N = matched(rows.read(columns=["id"]).column("id"), members.ids)
    counts = Counter(dropped_rows(folder / ROWS))
    if repeated := int(np.count_nonzero(~keep_N)):
        counts["duplicate_id"] += repeated
    at, done = SAMPLE_SCHEMA.get_field_index("image"), 0
    with _writer(folder / PREPARED) as writer:
        for batch in rows.iter_batches(_ROW_GROUP):
            here = slice(done, done + len(batch))
            table = pa.Table.from_batches([batch]).replace_schema_metadata()
            handles = members.handles(handle_N[here], batch.column("id"))
            table = table.set_column(at, pa.field("image", pa.string(), False), handles)
            writer.write_table(table.filter(number_column(keep_N[here])))
            done += len(batch)
            progress(_JOINING, done, total)
        writer.add_key_value_metadata({_DROPPED: json.dumps(counts)})


def _part(folder: Path, name: str) -> Path:
    return folder / f"{name}.parquet"


@contextmanager
def _writer(target: Path) -> Generator[Any]:
    """A Parquet writer of samples, for a file that appears when it is whole."""
    with _whole(target) as part, pq.ParquetWriter(part, SAMPLE_SCHEMA, compression="zstd") as out:
        yield out


@contextmanager
def _whole(target: Path) -> Generator[Path]:
    """A path to write to; what was written takes the name `target` once it is whole."""
    part = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
