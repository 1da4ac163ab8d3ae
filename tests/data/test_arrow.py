"""Numpy to Arrow and back, and that no pandas comes with it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from geospot.arrow import (
    number_column,
    numbers_of,
    short_text_column,
    text_column,
    text_table,
    text_value,
)
from tests.support.osv_tree import make_osv_tree
from tests.support.photos import make_photo
from tests.support.tars import Member, write_tar

_OPENS = """
import sys
from geospot.data.open import open_dataset
from geospot.places import reverse_geocode

for source in sys.argv[1:]:
    dataset = open_dataset(source, split="test")
    table = dataset.select(2, 0).table
    assert reverse_geocode(table.latitude_N, table.longitude_N).country_N.size == 2
    print(source, "pandas" in sys.modules)
"""


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.int32, np.bool_])
def test_numbers_go_there_and_back(kind: Any) -> None:
    value_N: npt.NDArray[Any] = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1], kind)[::2]  # not in one piece
    column = number_column(value_N)
    assert column.to_pylist() == value_N.tolist()
    back_N = numbers_of(pa.chunked_array([column.slice(1, 2), column.slice(3)]))
    assert back_N.dtype == value_N.dtype
    assert back_N.tolist() == value_N[1:].tolist()
    swapped_N = value_N.astype(value_N.dtype.newbyteorder(">"))
    assert number_column(swapped_N).to_pylist() == value_N.tolist()


def test_texts_become_a_column() -> None:
    texts = ["", "Zürich", "東京", ""]
    assert text_column(texts).to_pylist() == texts
    assert text_column([]).to_pylist() == []
    assert short_text_column([None, *texts, None]).to_pylist() == [None, *texts, None]
    assert text_value("Ōsaka").as_py() == "Ōsaka"


def test_rows_become_a_table_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geospot.arrow._CHUNK", 2)
    rows: list[dict[str, str | None]] = [{"a": "1"}, {"a": "2", "b": "x"}, {"b": None, "c": "no"}]
    table = text_table(rows, ["a", "b"])
    assert table.to_pydict() == {"a": ["1", "2", None], "b": [None, "x", None]}
    assert table.column("a").num_chunks == 2
    assert text_table([], ["a"]).num_rows == 0


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        text_column(["a", "\ud800"])


def test_what_an_evaluation_opens_and_selects_needs_no_pandas(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv5m", images=8)
    places = {"1": (46.0, 7.0), "2": (47.0, 8.0), "4": (4.0, 8.0)}
    (tmp_path / "photos").mkdir()
    for name, place in places.items():
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(make_photo(name, gps=place))
    rows = [(name, f"photos/{name}.jpg", *place) for name, place in places.items()]
    table, lines = tmp_path / "photos.csv", tmp_path / "photos.jsonl"
    head = ("id", "image", "latitude", "longitude")
    table.write_text("".join(f"{','.join(map(str, row))}\n" for row in (head, *rows)))
    lines.write_text("".join(f"{json.dumps(dict(zip(head, row, strict=True)))}\n" for row in rows))
    shard = tmp_path / "shards" / "test-000.tar"
    members: list[Member] = []
    for name, (latitude, longitude) in places.items():
        members.append((f"{name}.jpg", make_photo(name)))
        members.append((f"{name}.json", {"lat": latitude, "lng": longitude}))
    write_tar(shard, members)
    sources = ("world", tmp_path / "osv5m", tmp_path / "photos", table, lines, shard.parent)
    done = subprocess.run(
        [sys.executable, "-c", _OPENS, *map(str, sources)],
        env=os.environ | {"GEOSPOT_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"{source} False" for source in sources]
