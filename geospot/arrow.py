"""From numpy to Arrow columns and back, buffer by buffer.

pyarrow's own ways (`pa.array`, `pa.scalar`, `to_numpy`, a Python value handed to one of `pyarrow.compute`)
look first whether the values are pandas', and import pandas for that wherever it is installed: 40 MB and
0.2 s of processor time for a library that nothing here uses. These don't.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# The stubs know neither numpy's arrays as buffers nor what an array's type is.
_Array: Any = pa.Array
_buffer: Any = pa.py_buffer


def number_column(value_N: npt.NDArray[Any]) -> Any:
    """Numbers or truth values as an Arrow array; numbers lie where they lay."""
    if value_N.dtype == np.bool_:
        return number_column(value_N.view(np.uint8)).cast(pa.bool_())
    whole_N = np.ascontiguousarray(value_N)
    kind: Any = pa.from_numpy_dtype(whole_N.dtype)
    return _Array.from_buffers(kind, len(whole_N), [None, _buffer(whole_N)])


def text_column(texts: Sequence[str]) -> Any:
    """Texts as an Arrow array of `large_string`.

    Raises:
        UnicodeEncodeError: one of them is half a character.
    """
    encoded = [text.encode() for text in texts]
    ends_N = np.fromiter(accumulate(map(len, encoded), initial=0), np.int64, len(texts) + 1)
    buffers = [None, _buffer(ends_N), _buffer(b"".join(encoded))]
    return _Array.from_buffers(pa.large_string(), len(texts), buffers)


def text_value(text: str) -> Any:
    """One text, as the functions of `pyarrow.compute` take it."""
    return text_column([text]).cast(pa.string())[0]


def nothing(kind: Any) -> Any:
    """One null of a type, as the functions of `pyarrow.compute` take it."""
    return cast(Any, pa.nulls(1, kind))[0]


def numbers_of(column: Any) -> npt.NDArray[Any]:
    """Numbers or truth values of an Arrow column without nulls; read-only where they lie in it."""
    whole: Any = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    if pa.types.is_boolean(whole.type):
        return numbers_of(whole.cast(pa.uint8())).view(np.bool_)
    return cast("npt.NDArray[Any]", np.from_dlpack(whole))
