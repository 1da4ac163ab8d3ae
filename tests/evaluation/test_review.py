"""Traps that reviewers found once: each would have cost a person a number, a night or a key."""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from geospot.config.evaluation import EvalConfig
from geospot.config.load import build
from geospot.data.sample import GeoSample
from geospot.durable import BusyError
from geospot.errors import (
    KeyMissingError,
    ResultMismatchError,
    UnreachableError,
    UsageError,
)
from geospot.evaluation.backend import Reply
from geospot.evaluation.harness import Settings
from geospot.evaluation.judge import judge
from geospot.evaluation.opening import make_backend
from geospot.evaluation.results import ResultDirectory, read_records
from geospot.outcomes import Outcome
from geospot_backends.openai_chat import ChatBackend
from tests.support.evaluating import FAST, Listener, environment, records, run
from tests.support.osv_tree import make_osv_tree
from tests.support.vlm_server import Asked, Behaviour, VlmServer, completion, send_json


def test_a_400_about_a_parameter_is_a_fault_and_no_refusal(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=4)
    body = {"error": {"code": 400, "message": 'Unknown name "safety_settings": no such field'}}
    with VlmServer(lambda _: Behaviour(kind="status", status=400, body=body)) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out")
    assert done.summary["outcomes"]["refusal"] == 0
    assert done.summary["outcomes"]["transport_error"] == 4
    assert done.ending == "incomplete"


def test_a_short_dummy_key_does_not_eat_its_letters_out_of_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_osv_tree(tmp_path / "osv", images=2)
    monkeypatch.setenv("DUMMY", "1")
    with VlmServer(lambda _: Behaviour(text="11.1111, 11.1111")) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out", api_key_env="DUMMY")
    assert done.summary["outcomes"]["ok"] == 2
    assert {r.latitude for r in records(tmp_path / "out").values()} == {11.1111}


@pytest.mark.parametrize("name", ["sk-abc123", "", "1KEY", "MY KEY"])
def test_a_key_given_instead_of_its_variable_is_not_said_again(tmp_path: Path, name: str) -> None:
    with pytest.raises((UsageError, KeyMissingError)) as refusal:
        run("world", "http://127.0.0.1:1/v1", tmp_path / "out", api_key_env=name or "sk-abc123-")
    assert "sk-abc123" not in str(refusal.value)


def test_a_key_with_a_typographic_dash_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD", "sk–abcdefghijklmnop")
    with pytest.raises(KeyMissingError, match="characters that no key has") as refusal:
        run("world", "http://127.0.0.1:1/v1", tmp_path / "out", api_key_env="ODD")
    assert "abcdefghijklmnop" not in str(refusal.value)


def test_another_truth_for_the_same_images_is_another_evaluation(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=1, extracted=True)
    photo = next((tmp_path / "osv").rglob("*.jpg")).read_bytes()
    (tmp_path / "a.jpg").write_bytes(photo)
    (tmp_path / "rows.csv").write_text("id,image,lat,lat2,lon\n1,a.jpg,52.5,10.5,13.4\n")
    with VlmServer() as server:
        where: dict[str, Any] = {"dataset": tmp_path / "rows.csv", "base_url": server.base_url}
        first = run(**where, out=tmp_path / "out")
        with pytest.raises(ResultMismatchError, match="truth_sha"):
            run(**where, out=tmp_path / "out", columns=["lat=lat2"])
        second = run(**where, out=tmp_path / "other", columns=["lat=lat2"])
    assert first.summary["fingerprint"] == second.summary["fingerprint"]
    shas = {done.manifest["dataset"]["truth_sha"] for done in (first, second)}
    assert len(shas) == 2


def test_a_directory_in_use_is_not_set_aside(tmp_path: Path) -> None:
    manifest: dict[str, Any] = {"backend": {"name": "x"}}
    holder = (
        "import sys, pathlib\n"
        "from geospot.evaluation.results import ResultDirectory\n"
        f"d = ResultDirectory.open(pathlib.Path({str(tmp_path / 'r')!r}), {manifest!r}, resume=True)\n"
        "print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(BusyError):
            ResultDirectory.open(tmp_path / "r", manifest, resume=False)
        process.kill()
    assert (tmp_path / "r" / "eval.json").exists()


def test_a_kill_before_the_first_eval_json_does_not_block_the_directory(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").touch()
    (tmp_path / "out" / ".eval.json.123.tmp").write_text('{"format": ')
    with VlmServer() as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out")
    assert done.ending == "complete"
    assert not list((tmp_path / "out").glob(".eval.json.*"))


def test_a_full_disk_leaves_whole_lines_and_says_what_to_do(tmp_path: Path) -> None:
    """The limit on file sizes stands in for the disk: the write that crosses it is cut short."""
    program = (
        "import pathlib, resource, signal\n"
        "from geospot.errors import GeospotError\n"
        "from geospot.evaluation.results import ResultDirectory\n"
        "from tests.evaluation.test_results import MANIFEST, record\n"
        f"d = ResultDirectory.open(pathlib.Path({str(tmp_path / 'r')!r}), MANIFEST, resume=True)\n"
        "d.append(record('1', text='x' * 100))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "for name in '234':\n"
        "    try: d.append(record(name, text='y' * 900))\n"
        "    except GeospotError as error: print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "try: d.append(record('5'))\n"
        "except GeospotError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=environment(),
    )
    assert done.stdout.count("Make room on the disk") == 4, done.stderr
    lines = tmp_path / "r" / "samples.jsonl"
    assert lines.read_bytes().endswith(b"\n")
    assert [r.id for r in read_records(lines)] == ["1"]


def test_a_retry_after_of_zero_still_waits(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=1)
    eager = Behaviour(kind="status", status=429, headers=(("retry-after", "0"),))
    plan = [eager] * 6 + [Behaviour()]
    settings = Settings(concurrency=1, backoff_s=0.1, backoff_max_s=0.2)
    with VlmServer(lambda asked: plan[asked.attempt]) as server:
        run(tmp_path / "osv", server.base_url, tmp_path / "out", settings=settings)
        times = server.log.times
    assert len(times) == 7
    assert times[-1] - times[0] > 6 * 0.05


def test_a_minute_holds_no_more_requests_after_a_pause_either(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=24)
    pause = Behaviour(kind="status", status=429, headers=(("retry-after", "1.0"),))

    def plan(_: Asked) -> Behaviour:
        return pause if len(server.log.asked) == 4 else Behaviour()

    settings = Settings(concurrency=16, rpm=1200, backoff_s=0.01)
    with VlmServer(plan) as server:
        run(tmp_path / "osv", server.base_url, tmp_path / "out", settings=settings)
        times = server.log.times
    later = [moment - times[3] for moment in times[4:] if moment >= times[3] + 1.0]
    assert len(later) >= 24 + 1 - 4 - 15
    # 20 a second: none was saved up during the pause, however late the last of them came.
    assert later[-1] >= 1.0 + (len(later) - 2) / 20


def test_tokens_are_counted_against_tpm_as_the_server_counts_them(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=12)
    # 10,000 tokens an answer take 0.1 s of this budget; by the first guess it would be 0.01 s.
    usage = {"prompt_tokens": 9000, "completion_tokens": 1000}
    body = completion(Behaviour()) | {"usage": usage}
    settings = Settings(concurrency=1, tpm=6_000_000)
    with VlmServer(lambda _: Behaviour(kind="raw", body=body)) as server:
        run(tmp_path / "osv", server.base_url, tmp_path / "out", settings=settings)
        times = server.log.times
    assert times[-1] - times[0] > 0.5


def test_max_cost_without_a_count_of_tokens_stops_and_says_so(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=30)
    message = {"role": "assistant", "content": "52.5, 13.4"}
    uncounted = Behaviour(kind="raw", body={"choices": [{"index": 0, "message": message}]})
    with VlmServer(lambda _: uncounted) as server:
        done = run(
            tmp_path / "osv",
            server.base_url,
            tmp_path / "out",
            max_cost=1.0,
            price_in=1.0,
            price_out=1.0,
        )
    assert done.ending == "incomplete"
    assert "counts no tokens" in (done.reason or "")
    assert done.summary["not_asked"] > 10


def test_a_host_that_swallows_packets_is_found_within_ten_seconds(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        port = silent.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:  # a full backlog drops what comes after
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with pytest.raises(UnreachableError, match="Nothing answers"):
            run(tmp_path / "no-such-data-set", f"http://127.0.0.1:{port}/v1", tmp_path / "out")
        for filler in fillers:
            filler.close()


def test_a_bug_in_a_backend_keeps_the_answers_under_way_and_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_osv_tree(tmp_path / "osv", images=12)
    asked = 0
    ask = ChatBackend.ask

    async def buggy(self: ChatBackend, question: Any) -> Reply:
        nonlocal asked
        asked += question.prompt.name != "canary"
        if asked == 5:
            while asked < FAST.concurrency:  # noqa: ASYNC110 - the others are under way
                await asyncio.sleep(0.01)
            raise ValueError("a bug of the fifth")
        return await ask(self, question)

    monkeypatch.setattr(ChatBackend, "ask", buggy)
    with (
        VlmServer(lambda _: Behaviour(latency_s=0.3)) as server,
        pytest.raises(ValueError, match="the fifth"),
    ):
        run(tmp_path / "osv", server.base_url, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["outcomes"]["ok"] == len(records(tmp_path / "out"))
    assert 4 <= found["outcomes"]["ok"] == asked - 1  # all that were asked, but for the fifth
    assert found["complete"] is False


def test_a_canary_that_the_server_lost_is_no_blindness_and_is_asked_again(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=2)

    class Faulty(VlmServer):
        broken = True

        async def _chat(self, request: Any, headers: Any, writer: Any) -> bool:
            if self.broken and "Which number" in json.dumps(request):
                return await send_json(writer, 400, {"error": {"message": "not today"}})
            return await super()._chat(request, headers, writer)

    view = Listener()
    server = Faulty()
    with server:
        first = run(tmp_path / "osv", server.base_url, tmp_path / "out", view=view)
        assert first.summary["canary"]["passed"] is None
        assert first.ending == "complete"
        assert any("got no answer" in warning for warning in view.warned)
        server.broken = False
        second = run(tmp_path / "osv", server.base_url, tmp_path / "out")
        assert server.log.per_image.total() == 2
    assert second.summary["canary"]["passed"] is True


@pytest.mark.parametrize("name", ["model", "messages", "stream", "n"])
def test_extra_body_cannot_change_what_is_recorded(name: str) -> None:
    config = build(
        EvalConfig, {"model": "m", "base_url": "http://127.0.0.1:1", "extra_body": {name: 1}}
    )
    with pytest.raises(UsageError, match=name):
        make_backend(config)


@pytest.mark.parametrize("name", ["rpm", "tpm", "timeout", "price_in", "temperature", "max_cost"])
@pytest.mark.parametrize("value", ["inf", "nan", "1e400"])
def test_numbers_are_finite(name: str, value: str) -> None:
    with pytest.raises(UsageError):
        build(EvalConfig, {"price_in": 1, "price_out": 1, name: value})


def test_a_boolean_is_no_limit() -> None:
    with pytest.raises(UsageError, match="limit"):
        build(EvalConfig, {"limit": True})


def test_null_island_in_numbers_is_no_answer() -> None:
    sample = GeoSample("1", 1.0, 1.0, "")
    record = judge(sample, Reply("", coordinates=(0.0, 0.0)))
    assert (record.outcome, record.note, record.geoscore) == (Outcome.UNPARSED, "null_island", 0.0)
    beyond = judge(sample, Reply("", coordinates=(91.0, 0.0)))
    assert beyond.outcome is Outcome.OUT_OF_RANGE


def test_a_huge_answer_is_read_and_leaves_the_others_alone(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=3)
    with VlmServer(
        lambda _: Behaviour(text="x" * 300_000 + "\nLatitude: 1.5\nLongitude: 2.5")
    ) as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out")
    assert done.summary["outcomes"]["ok"] == 3


def test_a_question_of_ones_own_is_a_prompt(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", images=1)
    with VlmServer() as server:
        done = run(tmp_path / "osv", server.base_url, tmp_path / "out", prompt="Where is it?")
        assert server.log.asked[0].body["messages"][0]["content"][1]["text"] == "Where is it?"
    assert done.manifest["prompt"]["name"] == "inline"
    with pytest.raises(UsageError, match="no prompt 'jsn'"):
        run(tmp_path / "osv", server.base_url, tmp_path / "out2", prompt="jsn")
