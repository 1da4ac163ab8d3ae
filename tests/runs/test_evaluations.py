"""An evaluation that goes on is stopped from outside: exactly its process, and no answer is lost."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from geospot.errors import UsageError
from geospot.evaluation.results import EVENTS, read_records
from geospot.runs.evaluations import stop_evaluation, this_process
from geospot.runs.processes import this_host
from tests.support.evaluating import begin_geospot, geospot, summary, wait_for
from tests.support.result_dirs import answered, write_result
from tests.support.vlm_server import Behaviour, VlmServer

RECORD = answered("p", (1.0, 1.0), (2.0, 1.0))


def slower(server: VlmServer) -> Behaviour:
    """After the first questions, one takes long enough for a program to be started meanwhile."""
    asked = server.log.per_image.total()
    return Behaviour(text="52.5, 13.4", latency_s=0.05 if asked < 24 else 1.0)


def slow_evaluation(out: Path, url: str) -> list[str | Path]:
    return [
        *("eval", "--backend", "openai", "--base-url", url, "--model", "some-vlm", "--no-canary"),
        *("--dataset", "world", "--limit", "140", "--concurrency", "4", "--out", out),
    ]


def test_it_finishes_what_is_under_way_and_the_same_command_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with VlmServer() as server:
        server.plan = lambda _: slower(server)
        process = begin_geospot(*slow_evaluation(out, server.base_url))
        wait_for(lambda: (out / "samples.jsonl").is_file() and server.log.per_image.total() > 20)
        done = geospot("runs", "stop", out, "--wait")
        assert f"Asked process {process.pid} of {out}" in done.stdout, done.stderr
        assert process.wait(120) == 130
        kept = {record.id for record in read_records(out / "samples.jsonl")}
        assert summary(out)["not_asked"] == 140 - len(kept) > 0
        assert len(kept) == server.log.per_image.total()  # what was under way was waited for
        with pytest.raises(UsageError, match=r"is over\. There is nothing to stop"):
            stop_evaluation(out)
        server.plan = lambda _: Behaviour(text="52.5, 13.4")
        done = geospot(*slow_evaluation(out, server.base_url))
        assert done.returncode == 0, done.stderr
        assert summary(out)["not_asked"] == 0
        assert server.log.per_image.total() == 140


def test_it_is_ended_at_once_and_what_was_answered_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with VlmServer() as server:
        server.plan = lambda _: slower(server)
        process = begin_geospot(*slow_evaluation(out, server.base_url))
        wait_for(lambda: (out / "samples.jsonl").is_file() and server.log.per_image.total() > 20)
        done = geospot("runs", "stop", "--now", out)
        assert f"Ended process {process.pid}" in done.stdout, done.stderr
        assert process.wait(120) == -9
    assert len(list(read_records(out / "samples.jsonl"))) > 10
    with pytest.raises(UsageError, match="is gone: it ended without saying so"):
        stop_evaluation(out)


@pytest.mark.parametrize(
    ("process", "said"),
    [
        (None, "says nothing of its process"),
        ([1], "says nothing of its process"),
        ({"pid": "1"}, "says nothing of its process"),
        ({"host": "gpu-\x1b17"}, r"belongs to gpu-\\x1b17"),
        ({"pid": -1}, "process -1 .* is gone"),
        ({"birth": "other/1"}, "Nothing was signalled"),
    ],
)
def test_nothing_is_signalled_that_is_not_meant(
    tmp_path: Path, process: dict[str, Any] | list[int] | None, said: str
) -> None:
    result = write_result(tmp_path / "r", [RECORD])
    noted = {**this_process(), **process} if isinstance(process, dict) else process
    line = json.dumps({"event": "session", "process": noted})
    (result / EVENTS).write_text(f'{line}\n{{"torn')
    with pytest.raises(UsageError, match=said):
        stop_evaluation(result)


def test_what_has_ended_or_has_not_asked_yet_is_left_alone(tmp_path: Path) -> None:
    result = write_result(tmp_path / "r", [RECORD])
    (result / EVENTS).unlink(missing_ok=True)
    with pytest.raises(UsageError, match="says nothing of its process"):
        stop_evaluation(result)
    rows = [{"event": "session", "process": this_process()}, {"event": "session_end"}]
    (result / EVENTS).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(UsageError, match="is over"):
        stop_evaluation(result)


def test_what_holds_no_evaluation_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no evaluation"):
        stop_evaluation(tmp_path)


def test_a_process_is_named_so_that_no_other_is_meant() -> None:
    noted = this_process()
    assert (noted["pid"], noted["host"]) == (os.getpid(), this_host())
    assert noted["birth"]
