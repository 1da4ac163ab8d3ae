"""Which rows have a true place that can be scored against, and why the others have none.

A row leaves for exactly one reason, the first of `REASONS` that holds, and every one is counted: a
data set that quietly lost a third of its rows is another data set.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from geospot.arrow import nothing, number_column, numbers_of, text_value
from geospot.data.sample import SAMPLE_SCHEMA, SampleTable
from geospot.errors import DataError

REASONS: Final = (
    "missing_id",
    "missing_image",
    "missing_coordinates",
    "not_a_number",
    "out_of_range",
    "null_island",
    "duplicate_id",
)
"""Why a row has no valid truth, in the order in which the reasons are looked for. `null_island` is
exactly (0, 0), which is what broken location services write; `duplicate_id` keeps the first row."""

TEXT_SCHEMA: Final = pa.schema([(name, pa.string()) for name in SAMPLE_SCHEMA.names])
"""The columns as `valid_rows` takes them from a source that is text."""

_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_NAN: Final[Any] = number_column(np.array([np.nan]))[0]

Mask = npt.NDArray[np.bool_]
Column = Any  # a chunked array; its stubs know too few of the calls that Arrow accepts
pc: Any = pyarrow.compute


def valid_rows(raw: pa.Table) -> SampleTable:
    """The rows with valid truth, and how many left for which reason. Five million take seconds.

    Args:
        raw: columns named as in `SAMPLE_SCHEMA`, in any order; others are ignored, absent ones are
            null throughout. Latitude and longitude in degrees, as text or numbers; every other
            column as text or integers. Empty text is null; `NA` and `NaN` are text like any other
            (Namibia is `NA`).

    Raises:
        DataError: the ids are floating point, so the digits of long ones are already lost.
    """
    raw = raw.select([name for name in SAMPLE_SCHEMA.names if name in raw.column_names])
    texts = [name for name in SAMPLE_SCHEMA.names if name not in ("latitude", "longitude")]
    columns = {name: _text(raw, name) for name in texts}
    latitude_N, latitude_given_N = _degrees(raw, "latitude")
    longitude_N, longitude_given_N = _degrees(raw, "longitude")
    broken = {
        "missing_id": _null(columns["id"]),
        "missing_image": _null(columns["image"]),
        "missing_coordinates": ~(latitude_given_N & longitude_given_N),
        "not_a_number": ~(np.isfinite(latitude_N) & np.isfinite(longitude_N)),
        "out_of_range": (np.abs(latitude_N) > 90) | (np.abs(longitude_N) > 180),
        "null_island": (latitude_N == 0) & (longitude_N == 0),
    }
    keep = np.ones(raw.num_rows, dtype=np.bool_)
    dropped: dict[str, int] = {}
    for reason, broken_N in broken.items():
        _drop(keep, broken_N, reason, dropped)
    _drop(keep, _repeated(columns["id"], keep), "duplicate_id", dropped)

    columns["latitude"] = number_column(latitude_N)
    columns["longitude"] = number_column(longitude_N)
    table = pa.Table.from_arrays(
        [columns[name] for name in SAMPLE_SCHEMA.names], names=SAMPLE_SCHEMA.names
    )
    if dropped:
        table = table.filter(number_column(keep))
    return SampleTable(table, dropped)


def _text(raw: pa.Table, name: str) -> Column:
    """Column `name` as text without blanks around it, empty text as null."""
    column = _plain(raw, name)
    if pa.types.is_floating(column.type):
        column = _text_of_floats(column, name)
    column = column.cast(pa.string())
    if name != "image":  # a path may begin or end with a blank, strange as that is
        column = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(column, text_value("")), nothing(pa.string()), column)


def _plain(raw: pa.Table, name: str) -> Column:
    """Column `name` as text or numbers; nulls where it isn't there, or holds lists and the like.

    In JSON those are nothing, too.
    """
    nothing = pa.chunked_array([pa.nulls(raw.num_rows, pa.string())])
    if name not in raw.column_names:
        return nothing
    column = raw.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or pa.types.is_boolean(column.type):
        return nothing
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise DataError(
            f"The column of {name} holds bytes that are no text.",
            f"Name another one with --columns {name}=….",
        ) from error


def _text_of_floats(column: Column, name: str) -> Column:
    """A column that is floating point only because all of it is missing; ids are never accepted."""
    present = pc.if_else(pc.is_nan(column), nothing(column.type), column)
    if name == "id" and present.null_count < len(present):
        raise DataError(
            "The ids are floating-point numbers, which can't hold the digits of a long id.",
            "Store the id column as text or integers, or name another one with --columns id=….",
        )
    return present.cast(pa.string())


def _degrees(raw: pa.Table, name: str) -> tuple[npt.NDArray[np.float64], Mask]:
    """Column `name` as degrees, NaN where it is no number, and where it holds anything at all."""
    column = _plain(raw, name)
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        given_N = ~_null(pc.if_else(pc.equal(column, text_value("")), nothing(column.type), column))
        numeric = pc.if_else(
            pc.match_substring_regex(column, _NUMBER), column, nothing(column.type)
        )
        column = pc.utf8_ltrim(numeric, characters="+")  # Arrow's cast reads no plus sign
    else:
        given_N = ~_null(column)
    degrees = pc.fill_null(column.cast(pa.float64(), safe=False), _NAN)
    return numbers_of(degrees), given_N


def _null(column: Column) -> Mask:
    return numbers_of(pc.is_null(column))


def _drop(keep: Mask, broken_N: Mask, reason: str, dropped: dict[str, int]) -> None:
    """Takes the broken rows out of `keep`, counting those that were still in it."""
    count = int(np.count_nonzero(keep & broken_N))
    if count:
        dropped[reason] = count
        keep &= ~broken_N


def _repeated(ids: Column, keep: Mask) -> Mask:
    """Where an id stands that an earlier kept row has already."""
    repeated_N = np.zeros(len(keep), dtype=np.bool_)
    kept = ids.filter(number_column(keep)).combine_chunks()
    repeated_N[keep] = ~first_of_each(numbers_of(kept.dictionary_encode().indices))
    return repeated_N


def first_of_each(codes_N: npt.NDArray[np.int32]) -> Mask:
    """Where a dictionary code stands for the first time.

    Codes are dealt in order of appearance, so one is new exactly where it is above every code before
    it: no sorting, no Python loop.
    """
    before_N = np.maximum.accumulate(np.concatenate([[-1], codes_N]))[:-1]
    return codes_N > before_N
