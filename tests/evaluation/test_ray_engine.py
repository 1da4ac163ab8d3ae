"""`geospot eval --engine ray`: workers on a real Ray cluster of this machine, asking over real sockets."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from geospot.errors import PluginError
from geospot.evaluation.results import read_json, read_records
from tests.support.doc_commands import shown
from tests.support.evaluating import begin_geospot, environment, geospot, run, wait_for
from tests.support.vlm_server import Asked, Behaviour, VlmServer

pytestmark = [
    pytest.mark.xdist_group("ray"),  # one cluster at a time is enough for two cores
    pytest.mark.timeout(900),  # a cluster starts within seconds, or within a minute in a crowd
]

_PHOTOS = 64  # eight for each of eight workers, as many as a shard has at the least
_AT_A_TIME = 4
_WORKERS = 8  # the most; each asks one question at a time then


def _answers(asked: Asked) -> Behaviour:
    """Something else for every photo, always the same; one in eight is refused."""
    number = int(asked.digest[:6], 16)
    if number % 8 == 0:
        return Behaviour(text="I can't help with that.")
    return Behaviour(text=f"Latitude: {number % 120 - 60}.5\nLongitude: {number % 340 - 170}.5")


class _Holding(VlmServer):
    """Answers the first dozen; others only once it lets go, and then slowly if so told."""

    def __init__(self, latency_s: float = 0.0) -> None:
        super().__init__(self._hold)
        self.lets_go = threading.Event()
        self.latency_s = latency_s

    def _hold(self, asked: Asked) -> Behaviour:
        if self.log.questions <= 12:
            return _answers(asked)
        latency_s = self.latency_s
        return replace(_answers(asked), once=self.lets_go.is_set, latency_s=latency_s)

    def wait_until_full(self) -> None:
        """Returns once all that may be asked at a time are held: nothing moves any more."""
        wait_for(lambda: self.log.questions >= 12 + _AT_A_TIME)


class _Together(VlmServer):
    """Answers nobody before as many questions are asked as all workers together may ask at a time."""

    def __init__(self) -> None:
        super().__init__(
            lambda asked: replace(_answers(asked), once=lambda: self.log.questions >= _WORKERS)
        )


def _arguments(server: VlmServer, out: Path, *more: object) -> list[str | Path]:
    return [
        "eval", "--backend", "openai", "--model", "some-vlm", "--base-url", server.base_url,
        "--dataset", "world", "--limit", str(_PHOTOS), "--out", out, *map(str, more),
    ]  # fmt: skip


def _shown(server: VlmServer, out: Path) -> list[str | Path]:
    """The command of docs/clusters.md, which has as many workers, with the data set that all have here."""
    [line] = shown("geospot eval --engine ray")
    words = shlex.split(line.replace("http://127.0.0.1:8000/v1", server.base_url))
    return [*words[1:], "--dataset", "world", "--limit", str(_PHOTOS), "--out", out]


def _ray(workers: int) -> tuple[object, ...]:
    return ("--engine", "ray", "--workers", workers)


def _summary(out: Path) -> dict[str, Any]:
    """The summary, less what depends on the clock."""
    summary = read_json(out / "summary.json")
    assert summary is not None
    return {key: value for key, value in summary.items() if key != "seconds"}


@dataclass(frozen=True)
class _Cluster:
    """A Ray cluster of two cores that somebody else has started."""

    process: "subprocess.Popen[str]"
    address: str
    session: Path
    """Where Ray writes its logs."""

    def run(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """`geospot … --ray-address …`, admitted to it."""
        admitted = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        return geospot(*arguments, "--ray-address", self.address, env=admitted | dict(env or {}))

    def workers(self) -> set[int]:
        """The processes of our workers there."""
        members = psutil.Process(self.process.pid).children(recursive=True)
        return {one.pid for one in members if "ShardWorker" in " ".join(_command_of(one))}


_CLUSTER = """
import os, sys
os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_prestart_worker_first_driver": "0",  # this program has no work for any
}
import ray
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
node = ray._private.worker._global_node
print(ray.get_runtime_context().gcs_address, node.get_session_dir_path(), flush=True)
sys.stdin.read()
"""
_KEY = "sk-planted-0123456789"


@pytest.fixture(scope="module")
def cluster() -> Generator[_Cluster]:
    """One for all tests that need none of their own; its machine has a key in its environment."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment({"SOME_KEY": _KEY}),
        text=True,
    )
    assert process.stdout is not None
    address, session = process.stdout.readline().split()
    yield _Cluster(process, address, Path(session))
    assert process.poll() is None  # nobody has ended it
    process.communicate("")


def test_summaries_are_equal_for_one_two_and_eight_workers_and_for_none(
    tmp_path: Path, cluster: _Cluster
) -> None:
    """On a cluster that runs already, which is used and stays; with eight, more than it has cores, by
    the command of the page.

    None is answered before all ask: no worker can have done what was another's.
    """
    with VlmServer(_answers) as server:
        none = geospot(*_arguments(server, tmp_path / "0"))
    assert none.returncode == 0, none.stderr
    expected = _summary(tmp_path / "0")
    assert expected["outcomes"]["refusal"] > 0
    for workers in (1, 2, _WORKERS):
        out = tmp_path / str(workers)
        with _Together() as server:
            is_shown = workers == _WORKERS
            asked = _shown(server, out) if is_shown else _arguments(server, out, *_ray(workers))
            done = cluster.run(*asked, "--concurrency", str(_WORKERS))
        assert done.returncode == 0, done.stderr
        said = f"Starting {workers} workers on the Ray cluster at {cluster.address}."
        assert said in done.stderr
        assert set(server.log.per_image.values()) == {1}
        assert _summary(out) == expected


def test_a_worker_that_is_killed_costs_nothing_that_it_had_handed_over(
    tmp_path: Path, cluster: _Cluster
) -> None:
    out = tmp_path / "out"
    others = cluster.workers()  # of an evaluation that has just ended
    with _Holding() as server, ThreadPoolExecutor(1) as aside:
        arguments = _arguments(server, out, *_ray(2), "--concurrency", _AT_A_TIME)
        running = aside.submit(cluster.run, *arguments)
        kept = _wait_for_records(out, 6)
        server.wait_until_full()
        before = Counter(server.log.per_image)
        os.kill(min(cluster.workers() - others), signal.SIGKILL)
        server.lets_go.set()
        done = running.result()
    assert done.returncode == 0, done.stderr
    assert "A worker died" in done.stderr
    records = list(read_records(out / "samples.jsonl"))
    assert len({record.id for record in records}) == len(records) == _PHOTOS
    again = [digest for digest, times in server.log.per_image.items() if times > 1]
    assert kept <= _PHOTOS
    # Asked twice is at most what was under way at the dead worker: two requests.
    assert len(again) <= 2
    assert all(before[digest] for digest in again)


def test_it_goes_on_with_another_number_of_workers_and_leaves_no_orphans(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with _Holding() as server:
        more = (*_ray(2), "--concurrency", _AT_A_TIME)
        process = begin_geospot(*_arguments(server, out, *more))
        _wait_for_records(out, 6)
        # Ray's own agents look for their raylet once a minute, and end then.
        members = psutil.Process(process.pid).children(recursive=True)
        heard = [address for member in members for address in _heard_by(member)]
        assert heard
        assert {address.removeprefix("::ffff:") for address in heard} == {"127.0.0.1"}
        cluster = [child for child in members if "Agent" not in " ".join(_command_of(child))]
        process.kill()
        process.wait()
        there = len(list(read_records(out / "samples.jsonl")))
        assert 6 <= there < _PHOTOS
        _, alive = psutil.wait_procs(cluster, timeout=180)
        assert cluster
        assert not alive
        server.lets_go.set()
        asked_before = sum(server.log.per_image.values())
        done = geospot(*_arguments(server, out, *_ray(1)))
        assert done.returncode == 0, done.stderr
        assert sum(server.log.per_image.values()) == asked_before + _PHOTOS - there
        whole = geospot(*_arguments(server, tmp_path / "whole"))
        assert whole.returncode == 0, whole.stderr
    assert _summary(out) == _summary(tmp_path / "whole")


def test_ctrl_c_keeps_what_is_under_way(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with _Holding(latency_s=1.5) as server:
        more = (*_ray(2), "--concurrency", _AT_A_TIME)
        process = begin_geospot(*_arguments(server, out, *more))
        _wait_for_records(out, 6)
        process.send_signal(signal.SIGINT)
        server.lets_go.set()
        _, said = process.communicate(timeout=240)
        asked = len(server.log.per_image)
    assert process.returncode == 130, said
    assert len(list(read_records(out / "samples.jsonl"))) == asked
    assert asked < _PHOTOS


def test_a_refused_key_ends_it_in_one_sentence_and_is_nowhere_on_disk(
    tmp_path: Path, cluster: _Cluster
) -> None:
    """Refused once a worker has asked: before that the program itself would have ended."""

    def revoke(asked: Asked) -> Behaviour:
        server.key = "another"
        return _answers(asked)

    with VlmServer(revoke, key=_KEY) as server:
        arguments = _arguments(server, tmp_path / "out", *_ray(2), "--api-key-env", "SOME_KEY")
        done = cluster.run(*arguments, env={"SOME_KEY": _KEY})
    assert server.log.questions > 0
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "SOME_KEY" in done.stderr
    assert _KEY not in done.stderr + done.stdout
    assert any(cluster.session.rglob("*.log"))
    for path in (*(tmp_path / "out").rglob("*"), *cluster.session.rglob("*")):
        with suppress(FileNotFoundError):  # what Ray leaves may be going just now
            assert not path.is_file() or _KEY.encode() not in path.read_bytes()


def test_without_ray_the_advice_is_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it can't be imported
    with (
        VlmServer(_answers) as server,
        pytest.raises(PluginError, match="isn't installed: ray") as missing,
    ):
        run("world", server.base_url, tmp_path / "out", limit="3", engine="ray", workers=2)
    assert "geospot-vlm[ray]" in missing.value.advice


def test_no_cluster_at_the_address(tmp_path: Path) -> None:
    with VlmServer(_answers) as server:
        done = geospot(
            *_arguments(server, tmp_path / "out", *_ray(2), "--ray-address", "127.0.0.1:9")
        )
    assert done.returncode != 0
    assert "There is no Ray cluster at 127.0.0.1:9." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("is_counted", [True, False])
def test_the_cost_limit_ends_all_workers(
    tmp_path: Path, cluster: _Cluster, is_counted: bool
) -> None:
    message = {"role": "assistant", "content": "52.5, 13.4"}
    uncounted = Behaviour(kind="raw", body={"choices": [{"index": 0, "message": message}]})
    prices = ("--price-in", 1000, "--price-out", 2500, "--max-cost", 20)  # one dollar an answer
    with VlmServer(lambda _: Behaviour() if is_counted else uncounted) as server:
        more = (*_ray(2), *prices, "--limit", 200)
        done = cluster.run(*_arguments(server, tmp_path / "out", *more))
    assert done.returncode == 3, done.stderr
    because = "the cost limit is reached" if is_counted else "the server counts no tokens"
    assert because in done.stderr
    # Each worker begins with eight requests, whose cost nobody knows.
    assert server.log.questions <= (20 + 2 * 8 if is_counted else 2 * 2 * 8)


def test_a_server_that_is_gone_ends_all_workers(tmp_path: Path, cluster: _Cluster) -> None:
    gone = Behaviour(kind="status", status=500)
    with VlmServer(lambda _: gone) as server:
        more = (*_ray(2), "--max-retries", 0, "--limit", 80)
        done = cluster.run(*_arguments(server, tmp_path / "out", *more))
    assert done.returncode == 3, done.stderr
    assert "20 samples in a row got no answer" in done.stderr
    assert server.log.questions < 80  # though no shard has more than ten


def _wait_for_records(out: Path, count: int) -> int:
    """How many records there are, as soon as there are so many."""
    ends_s = time.monotonic() + 240
    while time.monotonic() < ends_s:
        samples = out / "samples.jsonl"
        there = samples.read_bytes().count(b"\n") if samples.is_file() else 0
        if there >= count:
            return there
        time.sleep(0.02)
    raise AssertionError("no records came")


def _heard_by(process: psutil.Process) -> list[str]:
    """The addresses at which it listens; some of Ray's processes live for a moment only."""
    with suppress(psutil.Error):
        connections = process.net_connections("tcp")
        return [one.laddr.ip for one in connections if one.status == "LISTEN"]
    return []


def _command_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []
