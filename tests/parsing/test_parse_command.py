"""`geospot parse` as a program."""

import json
import subprocess
import sys
from pathlib import Path

PARIS = {
    "outcome": "ok",
    "latitude": 48.8566,
    "longitude": 2.3522,
    "city": "Paris",
    "region": None,
    "country": "France",
    "note": None,
}
TEXT = "City: Paris\nCountry: France\nLatitude: 48.8566\nLongitude: 2.3522"


def _geospot(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "geospot", "parse", *arguments],
        input=stdin,
        capture_output=True,
        timeout=240,
        check=False,
    )


def test_a_text_prints_one_object() -> None:
    done = _geospot(TEXT)
    assert done.returncode == 0
    assert json.loads(done.stdout) == PARIS
    assert done.stdout.count(b"\n") == 1


def test_a_text_may_begin_with_a_minus_after_two_dashes() -> None:
    done = _geospot("--", "-33.8688, 151.2093")
    assert json.loads(done.stdout)["latitude"] == -33.8688


def test_a_dash_reads_standard_input() -> None:
    done = _geospot("-", stdin=TEXT.encode())
    assert json.loads(done.stdout) == PARIS


def test_input_that_is_not_utf8_is_read_all_the_same() -> None:
    done = _geospot("-", stdin=b"\xff\xfe 48.8566, 2.3522")
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "ok"


def test_truncated_distrusts_the_last_number() -> None:
    done = _geospot("--truncated", "48.8566, 2.3")
    assert json.loads(done.stdout)["note"] == "length"


def test_rows_come_out_in_order(tmp_path: Path) -> None:
    rows = [{"text": TEXT}, {"text": "Paris, France"}, {"text": "48.8, 2.3", "truncated": True}]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")

    done = _geospot("--jsonl", str(path))

    assert done.returncode == 0
    read = [json.loads(line) for line in done.stdout.splitlines()]
    assert read[0] == PARIS
    assert [row["outcome"] for row in read] == ["ok", "place_only", "unparsed"]


def test_rows_are_printed_while_input_still_comes() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "geospot", "parse", "--jsonl", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for latitude in (10.5, 20.5):
            process.stdin.write(json.dumps({"text": f"{latitude}, 3.5"}).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["latitude"] == latitude
        process.stdin.close()
        assert process.wait(timeout=120) == 0


def test_a_malformed_row_is_one_sentence_with_its_line() -> None:
    for bad, said in (
        (b"{", b"Line 2 is not JSON"),
        (b"[1]", b"Line 2 is not a JSON object"),
        (b'{"answer": "x"}', b"Line 2 has no string under 'text'"),
        (b'{"text": 5}', b"Line 2 has no string under 'text'"),
        (b"\xff\xff", b"Line 2 is not JSON"),
        (b"[" * 100_000, b"Line 2 is not JSON"),
    ):
        done = _geospot("--jsonl", "-", stdin=b'{"text": "48.8566, 2.3522"}\n' + bad + b"\n")
        assert done.returncode == 2
        assert said in done.stderr
        assert b"Traceback" not in done.stderr
        assert len(done.stdout.splitlines()) == 1


def test_no_text_or_both_is_wrong_usage(tmp_path: Path) -> None:
    assert _geospot("text", "--jsonl", str(tmp_path / "x")).returncode == 2
    assert _geospot("--jsonl", str(tmp_path / "none.jsonl")).returncode == 2


def test_hostile_text_is_harmless_on_a_terminal() -> None:
    done = _geospot("City: \x1b[31mParis\u202e\nCountry: France\nLatitude: 1.5\nLongitude: 2.5")
    assert b"\x1b" not in done.stdout
    assert "\u202e".encode() not in done.stdout
    assert json.loads(done.stdout)["country"] == "France"


def test_parsing_loads_nothing_heavy() -> None:
    code = (
        "import sys; from geospot.parsing import parse_geo_response as p; p('48.85, 2.35');"
        "p('City: Paris\\nLatitude: 1.5\\nLongitude: 2.5');"
        "bad = {'numpy', 'pandas', 'pydantic', 'babel', 'PIL', 'scipy'} & set(sys.modules);"
        "assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
