"""Parquet files for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

_parquet: Any = pyarrow.parquet  # its stubs are unknown in part


def write_parquet(
    path: Path, columns: Mapping[str, Sequence[Any]], *, rows_a_group: int = 1000
) -> Path:
    """Writes the columns, their types told by their values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _parquet.write_table(pa.table(dict(columns)), path, row_group_size=rows_a_group)
    return path
