"""Which member of which zip is the image of which row, for millions of both.

Ids are matched by hash tables of one last digit after the other, and members are kept as numbers
(27 bytes each) until a batch of rows is written: five million rows join in well under a gigabyte.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from geospot.arrow import number_column, numbers_of, one_piece, short_text_column, text_value
from geospot.data.truth import first_of_each
from geospot.data.zipindex import Member

NO_MEMBER: Final = "-"
"""The handle of an image that is in no zip."""
_TWICE: Final = (
    "!Its file name is in the zips more than once, so it isn't clear which image is meant"
)
_JPG, _DOT, _SLASH, _TAB = map(text_value, ("jpg", ".", "/", "\t"))
_NUMBERS: Final = {
    "offset": np.int64,
    "span": np.uint32,
    "compressed": np.uint32,
    "size": np.uint32,
    "method": np.uint8,
    "crc": np.uint32,
}
PART_SCHEMA: Final = pa.schema(
    [("id", pa.string()), *((name, pa.int64()) for name in _NUMBERS), ("special", pa.string())]
)
"""One zip's members: `special` is the whole handle where it isn't `NN/{id}.jpg` in `NN.zip`."""

Column = Any  # arrays and chunked arrays; the stubs leave half of their types unknown
Codes = npt.NDArray[np.int32]
pc: Any = pyarrow.compute
pq: Any = pyarrow.parquet


def part_of(zip_name: str, members: Sequence[tuple[str, Member]]) -> pa.Table:
    """The ids and members of one zip as a table to keep."""
    stem = zip_name.removesuffix(".zip")
    columns: dict[str, list[Any]] = {name: [] for name in PART_SCHEMA.names}
    for sample_id, member in members:
        plain = member.problem is None and member.name == f"{stem}/{sample_id}.jpg"
        columns["id"].append(sample_id)
        columns["special"].append(None if plain else member.handle(zip_name))
        for name in _NUMBERS:
            columns[name].append(getattr(member, name) if plain else 0)
    numbers = [number_column(np.array(columns[name], np.int64)) for name in _NUMBERS]
    texts = [short_text_column(columns[name]) for name in ("id", "special")]
    return pa.Table.from_arrays([texts[0], *numbers, texts[1]], schema=PART_SCHEMA)


class Members:
    """All members of all zips, M of them. Handle 0 is none, handle 1 ambiguous, m + 2 member m.

    Args:
        parts: the zips' names and the Parquet files of their `part_of` tables.
    """

    def __init__(self, parts: Sequence[tuple[str, Path]]) -> None:
        self._zips: Column = short_text_column([name for name, _ in parts])
        self._stems: Column = short_text_column([name.removesuffix(".zip") for name, _ in parts])
        rows = [int(pq.read_metadata(path).num_rows) for _, path in parts]
        total = sum(rows)
        self._zip_M = np.repeat(np.arange(len(parts), dtype=np.uint16), rows)
        self._numbers = {name: np.empty(total, dtype) for name, dtype in _NUMBERS.items()}
        self._special: dict[int, str] = {}
        ids: list[Column] = [pa.nulls(0, pa.string())]
        first = 0
        for _, path in parts:
            table: Column = pq.ParquetFile(path).read(use_threads=False)
            last = first + len(table)
            ids += table.column("id").chunks
            for name, values_M in self._numbers.items():
                values_M[first:last] = numbers_of(table.column(name))
            special = table.column("special")
            for index in np.flatnonzero(numbers_of(pc.is_valid(special))):
                self._special[first + int(index)] = special[int(index)].as_py()
            first = last
        self.ids: Column = pa.chunked_array(ids)
        self._special_S = np.fromiter(self._special, dtype=np.int64)

    def handles(self, handle_B: Codes, ids: Column) -> Column:
        """The image handles of a batch of B rows, whose ids these are."""
        found_B = handle_B >= 2
        if not len(self._zip_M):
            return short_text_column([NO_MEMBER] * len(handle_B))
        member_B = np.where(found_B, handle_B.astype(np.int64) - 2, 0)
        zip_B: Column = number_column(self._zip_M[member_B])
        file = pc.binary_join_element_wise(ids, _JPG, _DOT)
        name = pc.binary_join_element_wise(self._stems.take(zip_B), file, _SLASH)
        numbers = [number_column(values_M[member_B]) for values_M in self._numbers.values()]
        texts = [pc.cast(number, pa.string()) for number in numbers]
        made = pc.binary_join_element_wise(self._zips.take(zip_B), name, *texts, _TAB)
        without = pc.if_else(
            number_column(handle_B == 1), text_value(_TWICE), text_value(NO_MEMBER)
        )
        made = pc.if_else(number_column(found_B), made, without)
        special_B = found_B & np.isin(member_B, self._special_S)
        if special_B.any():
            others = [self._special[int(member)] for member in member_B[special_B]]
            made = pc.replace_with_mask(made, number_column(special_B), short_text_column(others))
        return made


def matched(row_ids: Column, member_ids: Column) -> tuple[Codes, npt.NDArray[np.bool_]]:
    """For each of N rows, which handle is its own, and whether it is the first row of its id.

    Args:
        row_ids, member_ids: chunked arrays of text.
    """
    handle_N = np.zeros(len(row_ids), dtype=np.int32)
    keep_N = np.ones(len(row_ids), dtype=np.bool_)
    row_digit_N, member_digit_M = _last_digit(row_ids), _last_digit(member_ids)
    for digit in range(11):
        rows_R, ids = _of_digit(row_ids, row_digit_N, digit)
        members_K, known = _of_digit(member_ids, member_digit_M, digit)
        keep_N[rows_R] = first_of_each(numbers_of(pc.dictionary_encode(ids).indices))
        encoded: Column = pc.dictionary_encode(known)
        codes_K = numbers_of(encoded.indices)
        first_U = members_K[first_of_each(codes_K)]
        often_U = np.bincount(codes_K, minlength=len(first_U)) > 1
        handle_U = np.append(np.where(often_U, 1, first_U + 2), 0)  # the last: not found
        found_R = _places(ids, encoded.dictionary, -1)
        handle_N[rows_R] = handle_U[found_R]
    return handle_N, keep_N


def _of_digit(ids: Column, digit_N: npt.NDArray[np.int8], digit: int) -> tuple[Codes, Column]:
    """Where the ids of a digit stand, and they themselves in one piece."""
    where = np.flatnonzero(digit_N == digit).astype(np.int32)
    return where, one_piece(ids.filter(number_column(digit_N == digit)))


def _last_digit(ids: Column) -> npt.NDArray[np.int8]:
    """0 to 9, and 10 for ids that end with something else."""
    digits = short_text_column([str(digit) for digit in range(10)])
    return _places(pc.utf8_slice_codeunits(ids, start=-1), digits, 10).astype(np.int8)


def _places(column: Column, known: Column, missing: int) -> Codes:
    """Where the texts of a column stand among those that are known."""
    nowhere = number_column(np.array([missing], np.int32))[0]
    return numbers_of(pc.fill_null(pc.index_in(column, value_set=known), nowhere))
