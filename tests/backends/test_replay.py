"""Recorded answers are given back as they were, and bad files are refused with the line."""

import asyncio
import csv
import json
from pathlib import Path

import pytest

from geospot.errors import UsageError
from geospot.evaluation.backend import BackendFault, BackendOptions, Question, Reply
from geospot.prompts import load_prompt
from geospot_backends.replay import ReplayBackend, create


def _open(path: Path) -> ReplayBackend:
    return create(BackendOptions(model=str(path)))


def _ask(backend: ReplayBackend, sample_id: str, draw: int = 0) -> Reply:
    return asyncio.run(
        backend.ask(Question(sample_id, draw, load_prompt("coordinates"), image=None))
    )


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "some-vlm.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["ID", "Text"])
        rows.writerow(["1207955469639614", 'Paris, "the city"\nLatitude: 48.8\nLongitude: 2.3'])
        rows.writerow(["NA", ""])
    backend = _open(path)
    assert backend.model == "some-vlm"
    assert not backend.needs_image
    assert not backend.remote
    answer = _ask(backend, "1207955469639614")
    assert answer == Reply('Paris, "the city"\nLatitude: 48.8\nLongitude: 2.3')
    assert _ask(backend, "NA") == Reply("")


@pytest.mark.parametrize("header", ["latitude,longitude", "lat,lon", "LAT,LNG"])
def test_csv_of_coordinates(tmp_path: Path, header: str) -> None:
    path = _write(
        tmp_path / "a.csv", f"\ufeffid,{header}\r\n7,-33.5,151.25\r\n\r\n8,,\r\n9,x,1\r\n"
    )
    backend = _open(path)
    assert _ask(backend, "7") == Reply("", coordinates=(-33.5, 151.25))
    assert _ask(backend, "8") == Reply("")
    assert _ask(backend, "9") == Reply("")


def test_text_wins_over_coordinates(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "id,text,lat,lon\n1,I can't tell.,5,6\n2,,5,6\n")
    backend = _open(path)
    assert _ask(backend, "1") == Reply("I can't tell.")
    assert _ask(backend, "2") == Reply("", coordinates=(5.0, 6.0))


def test_place_names_come_back_as_the_five_lines(tmp_path: Path) -> None:
    row = {"id": "1", "lat": -33.123456, "lon": 1e-5, "city": "A\nLatitude: 9", "country": "Chile"}
    backend = _open(_write(tmp_path / "a.jsonl", json.dumps(row)))
    assert _ask(backend, "1").text.splitlines() == [
        "City: A\\nLatitude: 9",
        "Country: Chile",
        "Latitude: -33.12345600",
        "Longitude: 0.00001000",
    ]


def test_jsonl_with_numbers_for_ids_and_draws(tmp_path: Path) -> None:
    rows = [
        {"id": 132981045530287, "text": "first"},
        {"id": "132981045530287", "draw": 1, "text": "second"},
        {"id": "x", "latitude": float("nan"), "longitude": 1},
        {"id": "y", "latitude": True, "longitude": 10**400},
    ]
    path = _write(tmp_path / "a.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n\n")
    backend = _open(path)
    assert _ask(backend, "132981045530287") == Reply("first")
    assert _ask(backend, "132981045530287", 1) == Reply("second")
    assert _ask(backend, "x") == Reply("")
    assert _ask(backend, "y") == Reply("")
    assert backend.describe()["answers"] == 4


def test_samples_of_a_result_directory(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "outcome": "ok", "text": "1, 2", "latitude": 1.0, "longitude": 2.0},
        {"id": "b", "outcome": "transport_error", "text": "", "latitude": None},
    ]
    backend = _open(_write(tmp_path / "samples.jsonl", "\n".join(map(json.dumps, rows))))
    assert _ask(backend, "a") == Reply("1, 2")
    with pytest.raises(BackendFault, match=r"samples\.jsonl has no row for b"):
        _ask(backend, "b")


def test_a_missing_row_is_a_missing_answer(tmp_path: Path) -> None:
    backend = _open(_write(tmp_path / "a.csv", "id,text\n1,one\n"))
    with pytest.raises(BackendFault) as fault:
        _ask(backend, "1", 1)
    assert fault.value.kind == "missing"
    with pytest.raises(BackendFault, match="no row for 01"):
        _ask(backend, "01")


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.csv", "", "line 1: a column id"),
        ("a.csv", "id,lat\n1,2\n", "line 1: a column id.*id, lat"),
        ("a.csv", "name,text\n1,2\n", "line 1: a column id"),
        ("a.csv", "id,text\n1,a\n2,b,c\n", "line 3: 3 fields, but the header has 2"),
        ("a.csv", 'id,text\n1,"a\n', "line 2 is not CSV"),
        ("a.csv", "id,text\n1,a\n1,b\n", "line 3: a second answer for id '1'"),
        ("a.csv", "id,text\n,a\n", "line 2: no id"),
        ("a.csv", "id,text,draw\n1,a,x\n", "line 2: the draw 'x'"),
        ("a.jsonl", '{"id": 1, "text": "a"}\n{"id": 2, "te', "line 2 is not JSON"),
        ("a.jsonl", "[1, 2]\n", "line 1 is not a JSON object"),
        ("a.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("a.jsonl", '{"text": "a"}\n', "line 1: no id"),
        ("a.jsonl", '{"id": 1.5, "text": "a"}\n', "floating-point"),
        ("a.csv", "id,text\n518332982744523.0,a\n", "line 2: the id .* floating-point"),
        ("a.txt", "id,text\n", "no .csv, .tsv or .jsonl"),
    ],
)
def test_bad_files_are_refused_with_the_line(
    tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        _open(_write(tmp_path / name, text))


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="answers"):
        create(BackendOptions())
    with pytest.raises(UsageError, match="can't be read"):
        _open(tmp_path / "absent.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes("id,text\n1,Köln\n".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8"):
        _open(path)
