"""From numpy to Arrow columns and back, buffer by buffer.

pyarrow's own ways (`pa.array`, `pa.scalar`, `to_numpy`, a Python value handed to one of `pyarrow.compute`)
look first whether the values are pandas', and import pandas for that wherever it is installed: 40 MB and
0.2 s of processor time for a library that nothing here uses. These don't.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_CHUNK: Final = 10_000
"""Texts a piece: 2 GB are 200 kB each."""

# The stubs know neither numpy's arrays as buffers nor what an array's type is.
_Array: Any = pa.Array
_Chunked: Any = pa.ChunkedArray
_buffer: Any = pa.py_buffer


def number_column(value_N: npt.NDArray[Any]) -> Any:
    """Numbers or truth values as an Arrow array; numbers lie where they lay."""
    if value_N.dtype == np.bool_:
        return number_column(value_N.view(np.uint8)).cast(pa.bool_())
    whole_N = np.ascontiguousarray(value_N, value_N.dtype.newbyteorder("="))
    kind: Any = pa.from_numpy_dtype(whole_N.dtype)
    return _Array.from_buffers(kind, len(whole_N), [None, _buffer(whole_N)])


def text_column(texts: Sequence[str | None]) -> Any:
    """Texts as an Arrow array of `large_string`.

    Raises:
        UnicodeEncodeError: one of them is half a character.
    """
    encoded = [text.encode() if text else b"" for text in texts]
    ends_N = np.fromiter(accumulate(map(len, encoded), initial=0), np.int64, len(texts) + 1)
    there_N = np.fromiter((text is not None for text in texts), np.bool_, len(texts))
    there = None if there_N.all() else _buffer(np.packbits(there_N, bitorder="little"))
    buffers = [there, _buffer(ends_N), _buffer(b"".join(encoded))]
    return _Array.from_buffers(pa.large_string(), len(texts), buffers)


def short_text_column(texts: Sequence[str | None]) -> Any:
    """The same of `string`, of 2 GB at most."""
    return text_column(texts).cast(pa.string())


def text_table(rows: Sequence[Mapping[str, str | None]], names: Sequence[str]) -> pa.Table:
    """Rows of texts as a table of these columns of `string`; what a row lacks is null."""
    columns = [_text_chunks([row.get(name) for row in rows]) for name in names]
    return pa.Table.from_arrays(columns, names=list(names))


def _text_chunks(texts: Sequence[str | None]) -> Any:
    """A column in pieces, none of which comes near the 2 GB that one of `string` can have."""
    starts = range(0, max(len(texts), 1), _CHUNK)
    return pa.chunked_array([short_text_column(texts[at : at + _CHUNK]) for at in starts])


def text_value(text: str) -> Any:
    """One text, as the functions of `pyarrow.compute` take it."""
    return short_text_column([text])[0]


def nothing(kind: Any) -> Any:
    """One null of a type, as the functions of `pyarrow.compute` take it."""
    return cast(Any, pa.nulls(1, kind))[0]


def one_piece(column: Any) -> Any:
    """A chunked array as one array; an array as it is."""
    if not isinstance(column, _Chunked):
        return column
    return column.combine_chunks() if column.num_chunks else cast(Any, pa.nulls(0, column.type))


def numbers_of(column: Any) -> npt.NDArray[Any]:
    """Numbers or truth values of an Arrow column without nulls; read-only where they lie in it."""
    whole = one_piece(column)
    if pa.types.is_boolean(whole.type):
        return numbers_of(whole.cast(pa.uint8())).view(np.bool_)
    return cast("npt.NDArray[Any]", np.from_dlpack(whole))
