"""Rows of CSV, TSV, JSON Lines and Parquet files as they were written.

Nothing is guessed about values: `NA` stays Namibia, `00123` stays an id, an empty cell stays empty.
That is why CSV goes through Arrow with every column declared text, and not through a reader that
infers types.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa

from geospot.arrow import text_table
from geospot.data.columns import find_columns, flatten
from geospot.errors import DataError, refuse_if_exhausted
from geospot.textsafe import printable

# The longest row that Arrow's CSV reader can take. Where a block ends between the two characters of a
# quoted "\r\n", Arrow 26 loses the second one: at worst a line break in a label every 16 MiB.
_BLOCK_BYTES: Final = 16 * 1024 * 1024


def column_names(path: Path) -> list[str]:
    """The columns of a file in their order; what is nested under `json` as `json.latitude`.

    Raises:
        DataError: the file can't be read as what its suffix says.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_names(path)
    if suffix == ".jsonl":
        names: dict[str, None] = {}
        for row in json_lines(path):
            names |= dict.fromkeys(row)
        return list(names)
    return _csv_header(path)


def read_columns(path: Path, wanted: Mapping[str, str]) -> pa.Table:
    """The wanted columns, renamed: `wanted` is new name → column. Text, or numbers from Parquet.

    Raises:
        DataError: the file can't be read as what its suffix says.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path, wanted)
    if suffix == ".jsonl":
        return table_of_rows(json_lines(path), wanted)
    return _read_csv(path, wanted)


def names_an_image(path: Path, overrides: Mapping[str, str] | None = None) -> bool:
    """Whether a column of the file names images; OSV-5M's own CSV has none."""
    return "image" in find_columns(column_names(path), overrides, required=())


def table_of_rows(rows: Iterator[dict[str, object]], wanted: Mapping[str, str]) -> pa.Table:
    """Rows of JSON values as a table of text columns; `wanted` is new name → key of the row."""
    kept = [
        {field: json_text(field, row.get(name)) for field, name in wanted.items()} for row in rows
    ]
    return text_table(kept, list(wanted))


def json_text(field: str, value: object) -> str | None:
    """A JSON value as text: numbers as they read back exactly, lists and objects as nothing."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # a lone surrogate fits no Arrow column
    if isinstance(value, float) and field == "id":
        raise DataError(
            f"The id {value!r} is a floating-point number, which can't hold the digits of a long id.",
            "Write ids as text or as integers.",
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return repr(value)


def json_lines(path: Path) -> Iterator[dict[str, object]]:
    """The objects of a JSON Lines file, flattened; empty lines are skipped.

    Raises:
        DataError: a line is no JSON object; says which.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield flatten(json_object(line, f"{printable(str(path))}, line {number}"))


def json_object(data: bytes, where: str) -> dict[str, object]:
    """One JSON object. Raises DataError, naming `where`, for anything else."""
    try:
        value: object = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON: {printable(str(error), limit=200)}.") from error
    if not isinstance(value, dict):
        raise DataError(f"{where} is no JSON object but a {type(value).__name__}.")
    return cast(dict[str, object], value)


def _csv_header(path: Path) -> list[str]:
    """The first record of a CSV or TSV file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=_delimiter(path)), cast(list[str], []))
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise DataError(f"{printable(str(path))} is no CSV: {error}.") from error
    if not header:
        raise DataError(
            f"{printable(str(path))} is empty.", "It needs a first line of column names."
        )
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(
            f"{printable(str(path))} has two columns called {printable(repeated[0], limit=80)!r}.",
            "Give each column a name of its own.",
        )
    return header


def _delimiter(path: Path) -> str:
    """Tab for .tsv; else a comma, or the semicolon of European spreadsheets."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open("rb") as file:
        first = file.readline(_BLOCK_BYTES)
    return ";" if b";" in first and b"," not in first else ","


def _read_csv(path: Path, wanted: Mapping[str, str]) -> pa.Table:
    from pyarrow import csv as arrow_csv

    header = _csv_header(path)
    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(
                delimiter=_delimiter(path), newlines_in_values=True
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in header},
                include_columns=list(dict.fromkeys(wanted.values())),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise _not_utf8(path) from error
        raise DataError(
            f"{printable(str(path))} is no well-formed CSV: {printable(str(error), limit=300)}.",
            "Each row needs as many cells as the first line has names; quote cells with a delimiter.",
        ) from error
    return _renamed(table, wanted)


def _not_utf8(path: Path) -> DataError:
    return DataError(
        f"{printable(str(path))} isn't in UTF-8.",
        "Convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 OLD.csv > NEW.csv",
    )


def _renamed(table: pa.Table, wanted: Mapping[str, str]) -> pa.Table:
    return pa.Table.from_arrays(
        [table.column(name) for name in wanted.values()], names=list(wanted)
    )


def parquet_file(path: Path) -> Any:
    """The open Parquet file. Raises DataError where it is none."""
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        refuse_if_exhausted(error)
        raise DataError(
            f"{printable(str(path))} can't be read as Parquet: {printable(str(error), limit=200)}."
        ) from error


def _parquet_names(path: Path) -> list[str]:
    with parquet_file(path) as file:
        schema: pa.Schema = file.schema_arrow
    names: list[str] = []
    for field in cast(Sequence[Any], schema):
        if pa.types.is_struct(field.type) and field.name.casefold() == "json":
            inner_fields = cast(Sequence[Any], field.type)
            names += [f"{field.name}.{inner.name}" for inner in inner_fields]
        else:
            names.append(field.name)
    return names


def _read_parquet(path: Path, wanted: Mapping[str, str]) -> pa.Table:
    from pyarrow import compute

    arrow_compute: Any = compute
    columns: list[Any] = []
    with parquet_file(path) as file:
        for name in wanted.values():
            if name in file.schema_arrow.names:
                columns.append(file.read(columns=[name]).column(name))
            else:  # nested: json.latitude
                outer, _, inner = name.partition(".")
                struct = file.read(columns=[name]).column(outer)
                columns.append(arrow_compute.struct_field(struct, inner))
    return pa.Table.from_arrays(columns, names=list(wanted))
