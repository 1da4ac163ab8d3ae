"""The result directory: nothing lost, nothing mixed, torn ends mended."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from geospot.durable import BusyError
from geospot.errors import ResultFormatError, ResultMismatchError, UsageError
from geospot.evaluation.records import SampleRecord
from geospot.evaluation.results import ResultDirectory, read_records, write_json
from geospot.outcomes import Outcome

MANIFEST: dict[str, Any] = {
    "backend": {"name": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"},
    "dataset": {"name": "d", "split": "test", "fingerprint": "f"},
    "prompt": {"sha": "p"},
    "config": {"samples": 1, "max_tokens": 512, "temperature": 0.0, "extra_body": {}},
}


def record(sample_id: str, outcome: Outcome = Outcome.OK, **more: Any) -> SampleRecord:
    return SampleRecord(
        id=sample_id, outcome=outcome, true_latitude=1.0, true_longitude=2.0, **more
    )


def filled(path: Path, *records: SampleRecord) -> Path:
    directory = ResultDirectory.open(path, MANIFEST, resume=True)
    for one in records:
        directory.append(one)
    directory.close()
    return path / "samples.jsonl"


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    hostile = 'a\x1b[31m\u2028 \ud800 \x00 ‮ \r\n "\\ 🌍'
    written = record("1", text=hostile, latitude=1.5, longitude=-2.5, place={"city": "Ü"}, draw=3)
    lines = filled(tmp_path / "r", written)
    assert lines.read_bytes().count(b"\n") == 1
    assert list(read_records(lines)) == [written]


@pytest.mark.parametrize("cut", [1, 2, 20, 100])
def test_a_torn_last_line_is_cut_and_everything_before_it_kept(tmp_path: Path, cut: int) -> None:
    lines = filled(tmp_path / "r", record("1"), record("2"), record("3", text="x" * 100))
    whole = lines.read_bytes()
    lines.write_bytes(whole[:-cut])
    assert [r.id for r in read_records(lines)] == ["1", "2"]
    filled(tmp_path / "r", record("4"))
    assert [r.id for r in read_records(lines)] == ["1", "2", "4"]


def test_a_file_that_is_one_torn_line_is_emptied(tmp_path: Path) -> None:
    lines = filled(tmp_path / "r", record("1", text="y" * 200_000))
    lines.write_bytes(lines.read_bytes()[:-1])
    filled(tmp_path / "r", record("2"))
    assert [r.id for r in read_records(lines)] == ["2"]


def test_only_the_latest_of_a_sample_that_failed_in_transport_counts(tmp_path: Path) -> None:
    lines = filled(
        tmp_path / "r",
        record("1", Outcome.TRANSPORT_ERROR, error="first"),
        record("2"),
        record("1", Outcome.TRANSPORT_ERROR, error="second"),
        record("3", Outcome.TRANSPORT_ERROR),
        record("3", Outcome.REFUSAL),
        record("4", text='he said "transport_error"'),
    )
    found = {(r.id, r.outcome, r.error) for r in read_records(lines)}
    assert found == {
        ("1", Outcome.TRANSPORT_ERROR, "second"),
        ("2", Outcome.OK, None),
        ("3", Outcome.REFUSAL, None),
        ("4", Outcome.OK, None),
    }


def test_a_line_that_is_no_record_is_named_and_not_passed_over(tmp_path: Path) -> None:
    lines = filled(tmp_path / "r", record("1"), record("2"))
    first, second = lines.read_bytes().splitlines(keepends=True)
    lines.write_bytes(first + b"{}\n" + second)
    with pytest.raises(ResultFormatError, match="Line 2"):
        list(read_records(lines))


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("backend", "model", "other"),
        ("dataset", "fingerprint", "g"),
        ("prompt", "sha", "q"),
        ("config", "temperature", 1.0),
        ("config", "extra_body", {"top_p": 0.5}),
    ],
)
def test_another_configuration_is_refused_with_its_differences(
    tmp_path: Path, section: str, name: str, value: Any
) -> None:
    filled(tmp_path / "r", record("1"))
    other = MANIFEST | {section: MANIFEST[section] | {name: value}}
    with pytest.raises(ResultMismatchError) as refusal:
        ResultDirectory.open(tmp_path / "r", other, resume=True)
    assert f"{section}.{name}" in str(refusal.value)
    assert repr(value) in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_how_hard_the_server_is_asked_may_change(tmp_path: Path) -> None:
    filled(tmp_path / "r", record("1"))
    other = MANIFEST | {"config": MANIFEST["config"] | {"concurrency": 3, "max_cost": 9.0}}
    ResultDirectory.open(tmp_path / "r", other, resume=True).close()


def test_no_resume_renames_the_old_directory_and_loses_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "r", record("old"))
    for _ in range(2):
        ResultDirectory.open(tmp_path / "r", MANIFEST, resume=False).close()
    kept = sorted(tmp_path.glob("r.aside-*"))
    assert len(kept) == 2
    ids = [r.id for folder in kept for r in read_records(folder / "samples.jsonl")]
    assert ids == ["old"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(UsageError, match="isn't a result directory"):
        ResultDirectory.open(tmp_path, MANIFEST, resume=True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_processes_cannot_write_into_one_directory(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from geospot.evaluation.results import ResultDirectory\n"
        f"d = ResultDirectory.open(pathlib.Path({str(tmp_path / 'r')!r}), {MANIFEST!r}, resume=True)\n"
        "print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(BusyError):
            ResultDirectory.open(tmp_path / "r", MANIFEST, resume=True)
        holder.kill()
    ResultDirectory.open(tmp_path / "r", MANIFEST, resume=True).close()


def test_a_json_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "summary.json"
    write_json(target, {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(target, {"a": float("nan")})
    assert json.loads(target.read_text()) == {"a": 1}


@pytest.mark.parametrize("name", ["eval.json", "summary.json"])
def test_what_a_kill_left_of_a_file_that_was_replaced_is_cleared(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out"
    ResultDirectory.open(path, MANIFEST, resume=True).close()
    left = path / f".{name}.4711.tmp"
    left.write_text('{"format": ')
    ResultDirectory.open(path, MANIFEST, resume=True).close()
    assert not left.exists()
    left.write_text('{"format": ')
    ResultDirectory.reopen(path).close()
    assert not left.exists()
