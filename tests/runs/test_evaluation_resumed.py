"""An evaluation that was stopped goes on as it was told, and nothing else is started."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from geospot.errors import UsageError
from geospot.evaluation.results import EVENTS, SAMPLES, SUMMARY, read_records
from geospot.runs.evaluations import (
    goes_on,
    has_died,
    resume_evaluation,
    settings_again,
    this_process,
)
from tests.support.evaluating import geospot, summary, wait_for
from tests.support.result_dirs import answered, write_result


def stopped(tmp_path: Path, *events: dict[str, Any], n: int = 2) -> Path:
    """One answer of `n`, and these events."""
    result = write_result(tmp_path / "r", [answered("p", (1.0, 1.0), (2.0, 1.0))], n=n)
    (result / EVENTS).write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return result


def session(**noted: Any) -> dict[str, Any]:
    told = {"backend": "prior", "limit": 2, "out": "elsewhere", "resume": False, "dry_run": False}
    return {"event": "session", "process": {**this_process(told), "birth": "gone", **noted}}


def test_it_is_told_the_same_and_goes_on_in_its_directory(tmp_path: Path) -> None:
    newest = session(said={"backend": "prior", "limit": 3, "out": "elsewhere", "resume": False})
    result = stopped(tmp_path, session(), newest, {"event": "session_end"})
    told = {"backend": "prior", "limit": 3, "out": result}
    assert settings_again(result) == (told, Path.cwd())


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([], "doesn't say how it was started"),
        ([session(said=None)], "doesn't say how it was started"),
        ([session(cwd=5), {"event": "session_end"}], "doesn't say how it was started"),
        ([session(host="gpu-\x1b17")], r"belongs to gpu-\\x1b17"),
        ([session(cwd="/no/such/folder")], "/no/such/folder, where .* isn't there any more"),
        ([session(birth=this_process()["birth"])], r"is going on: process \d+\. Stop it first"),
        ([session(said={"backend": "prior", "evil": 1})], "evil"),
    ],
)
def test_what_cant_be_gone_on_with_is_one_sentence(
    tmp_path: Path, events: list[dict[str, Any]], sentence: str
) -> None:
    result = stopped(tmp_path, *events)
    with pytest.raises(UsageError, match=sentence):
        resume_evaluation(result)


def test_what_is_complete_or_no_evaluation_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is complete"):
        resume_evaluation(stopped(tmp_path, session(), n=1))
    with pytest.raises(UsageError, match="holds no evaluation"):
        resume_evaluation(tmp_path)


def test_whether_it_goes_on(tmp_path: Path) -> None:
    alive = session(birth=this_process()["birth"])
    assert goes_on(stopped(tmp_path / "alive", session(), {"event": "session_end"}, alive))
    assert not goes_on(stopped(tmp_path / "gone", session()))
    over = stopped(tmp_path / "over", alive, {"event": "session_end"})
    assert goes_on(over)  # its figures are older than its last word: it is still making new ones
    with pytest.raises(UsageError, match=r"It writes its figures, and ends by itself"):
        resume_evaluation(over)
    at = (over / EVENTS).stat().st_mtime_ns
    os.utime(over / SUMMARY, ns=(at, at))
    assert not goes_on(over)


def test_whether_it_has_died(tmp_path: Path) -> None:
    ended = {"event": "session_end"}
    assert has_died(stopped(tmp_path / "killed", session()))
    assert not has_died(stopped(tmp_path / "alive", session(birth=this_process()["birth"])))
    assert not has_died(stopped(tmp_path / "elsewhere", session(host="gpu-17")))
    result = stopped(tmp_path / "ended", session(), ended)
    (result / SUMMARY).touch()
    assert not has_died(result)
    (result / SUMMARY).unlink()
    assert has_died(result)  # while it made its figures


def test_the_shell_goes_on_where_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prompt.txt").write_text("Where is this?")
    out = tmp_path / "r"
    monkeypatch.chdir(tmp_path)
    settings = [
        "--backend",
        "prior",
        "--dataset",
        "world",
        "--limit",
        "6",
        "--prompt",
        "prompt.txt",
    ]
    done = geospot("eval", *settings, "--out", "r")
    assert done.returncode == 0, done.stderr
    asked = {record.id for record in read_records(out / SAMPLES)}
    first = (out / SAMPLES).read_bytes().splitlines(keepends=True)[:2]
    (out / SAMPLES).write_bytes(b"".join(first))
    (out / SUMMARY).unlink()
    monkeypatch.chdir("/")
    refused = geospot("runs", "resume", out, "limit=7")
    assert refused.returncode == 2
    assert "goes on as it was told" in refused.stderr
    done = geospot("runs", "resume", out)
    assert done.returncode == 0, done.stderr
    wait_for((out / SUMMARY).is_file)
    assert summary(out)["complete"] is True
    assert (out / SAMPLES).read_bytes().startswith(b"".join(first))
    assert {record.id for record in read_records(out / SAMPLES)} == asked
