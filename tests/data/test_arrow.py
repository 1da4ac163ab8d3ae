"""Numpy to Arrow and back, and that no pandas comes with it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from geospot.arrow import number_column, numbers_of, text_column, text_value

_OPENS = """
import sys
from geospot.data.open import open_dataset
from geospot.places import reverse_geocode

dataset = open_dataset(sys.argv[1])
table = dataset.table
assert dataset.select(2, 0).table.latitude_N.size == 2
assert reverse_geocode(table.latitude_N, table.longitude_N).country_N.size == 3
print("pandas" in sys.modules)
"""


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.int32, np.bool_])
def test_numbers_go_there_and_back(kind: Any) -> None:
    value_N: npt.NDArray[Any] = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1], kind)[::2]  # not in one piece
    column = number_column(value_N)
    assert column.to_pylist() == value_N.tolist()
    back_N = numbers_of(pa.chunked_array([column.slice(1, 2), column.slice(3)]))
    assert back_N.dtype == value_N.dtype
    assert back_N.tolist() == value_N[1:].tolist()


def test_texts_become_a_column() -> None:
    texts = ["", "Zürich", "東京", ""]
    assert text_column(texts).to_pylist() == texts
    assert text_column([]).to_pylist() == []
    assert text_value("Ōsaka").as_py() == "Ōsaka"


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        text_column(["a", "\ud800"])


def test_what_an_evaluation_opens_and_selects_needs_no_pandas(tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text(
        "id,image,latitude,longitude\n1,a.jpg,46,7\n2,b.jpg,47,8\n3,c.jpg,,8\n4,d.jpg,4,8\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", _OPENS, str(table)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
