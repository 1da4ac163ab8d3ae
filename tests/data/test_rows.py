"""Tables are read as they were written: no cell changes on its way from the file."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geospot.data import rows
from geospot.data.rows import column_names, read_columns
from geospot.errors import DataError
from tests.support.parquet import write_parquet

# What a CSV file can carry: no NUL, and no lone surrogates in UTF-8. A bare carriage return ends a
# line for Python's reader even within quotes when files are opened with universal newlines; here
# they aren't, so it may stay.
CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6
)


_NOT_CHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def write_csv(
    path: Path, records: Sequence[Sequence[str]], *, delimiter: str = ",", encoding: str = "utf-8"
) -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(records)
    return path


@settings(deadline=None, suppress_health_check=_NOT_CHECKED)
@given(
    header=st.lists(NAMES, min_size=2, max_size=4, unique=True),
    data=st.data(),
    suffix=st.sampled_from([".csv", ".tsv"]),
)
def test_every_cell_of_a_csv_comes_back(
    tmp_path: Path, header: list[str], data: st.DataObject, suffix: str
) -> None:
    width = len(header)
    lines = data.draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=6))
    path = write_csv(
        tmp_path / f"t{suffix}", [header, *lines], delimiter="\t" if suffix == ".tsv" else ","
    )

    assert column_names(path) == header
    table = read_columns(path, {str(number): name for number, name in enumerate(header)})

    for number in range(width):
        assert table.column(str(number)).to_pylist() == [line[number] for line in lines]


@settings(deadline=None, suppress_health_check=_NOT_CHECKED)
@given(
    st.lists(st.fixed_dictionaries({"id": st.integers(0, 10**20) | CELLS, "x": CELLS}), max_size=6)
)
def test_every_cell_of_json_lines_comes_back(
    tmp_path: Path, lines: list[dict[str, str | int]]
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n", encoding="utf-8")

    table = read_columns(path, {"id": "id", "text": "x"})

    assert table.column("id").to_pylist() == [str(line["id"]) for line in lines]
    assert table.column("text").to_pylist() == [line["x"] for line in lines]


def test_line_breaks_in_cells_survive_the_reader_s_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrow reads in blocks; where one ends within quotes, the line break there ends no row."""
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 4096)
    cells = [f"one\n{number}\n\ntwo" for number in range(2000)]
    path = write_csv(tmp_path / "t.csv", [["a", "b"], *[[cell, "x"] for cell in cells]])

    assert read_columns(path, {"a": "a"}).column("a").to_pylist() == cells


def test_what_looks_missing_or_numeric_stays_text(tmp_path: Path) -> None:
    cells = ["NA", "", "null", "NaN", "00123", "12345678901234567", "1e5", "true"]
    path = write_csv(tmp_path / "t.csv", [["a", "b"], *[[cell, "x"] for cell in cells]])

    assert read_columns(path, {"a": "a"}).column("a").to_pylist() == cells


def test_a_byte_order_mark_belongs_to_no_column(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [["id", "lat"], ["1", "2"]], encoding="utf-8-sig")

    assert column_names(path) == ["id", "lat"]
    assert read_columns(path, {"id": "id"}).column("id").to_pylist() == ["1"]


def test_semicolons_of_european_spreadsheets_are_seen(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [["Bild", "Breite"], ["a,b", "48.85"]], delimiter=";")

    assert column_names(path) == ["Bild", "Breite"]
    assert read_columns(path, {"image": "Bild"}).column("image").to_pylist() == ["a,b"]


@pytest.mark.parametrize("text", ["id,Ort\n1,Köln\n", "id,Länge\n1,2\n"])
def test_another_encoding_is_refused_with_advice(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("cp1252"))

    with pytest.raises(DataError, match=r"UTF-8.*iconv"):
        read_columns(path, {name: name for name in column_names(path)})


def test_utf16_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("id,lat\n1,2\n".encode("utf-16"))

    with pytest.raises(DataError, match="iconv"):
        column_names(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("id,id\n1,2\n", "two columns called 'id'"),
        ("id,lat\n1,2,3\n", "no well-formed CSV"),
        ("id,lat\n1\n", "no well-formed CSV"),
    ],
)
def test_malformed_csv_is_said_and_not_guessed_at(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)

    with pytest.raises(DataError, match=message):
        read_columns(path, {"id": column_names(path)[0]})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is no JSON"),
        ("[1]", "line 2 is no JSON object but a list"),
        ("[" * 100_000, "line 2"),
    ],
)
def test_malformed_json_lines_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f'{{"id": 1}}\n{line}\n')

    with pytest.raises(DataError, match=message):
        column_names(path)


def test_json_ids_are_never_floats(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": 12345678901234567.0}\n')

    with pytest.raises(DataError, match="floating-point"):
        read_columns(path, {"id": "id"})


def test_nested_columns_are_found_in_json_lines_and_parquet(tmp_path: Path) -> None:
    objects = [{"url": "u", "json": {"lat": 1.5, "country": "NA"}}]
    lines = tmp_path / "t.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in objects))
    parquet = write_parquet(
        tmp_path / "t.parquet", {name: [row[name] for row in objects] for name in objects[0]}
    )

    for path in (lines, parquet):
        assert column_names(path) == ["url", "json.lat", "json.country"]
        table = read_columns(path, {"latitude": "json.lat", "country": "json.country"})
        assert float(str(table.column("latitude")[0])) == 1.5
        assert table.column("country").to_pylist() == ["NA"]


def test_no_parquet_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 is not enough")

    with pytest.raises(DataError, match="as Parquet"):
        column_names(path)
