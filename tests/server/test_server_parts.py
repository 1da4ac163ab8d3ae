"""Parts of the server that a client only meets when something goes wrong."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from geospot_backends.local import operations, sessions
from geospot_backends.local.api import EngineUserError
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.futures import (
    KEEP_DELIVERED_S,
    KEEP_UNCLAIMED_S,
    FutureStore,
    Payload,
    UnknownRequestError,
)
from geospot_backends.local.server import EmbeddedServer
from geospot_backends.local.turns import GAP_S, Turns
from tests.support.scripted_engine import BASE, ScriptedEngine


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_request_that_never_comes_fails_those_that_wait_for_it() -> None:
    clock = Clock()
    turns = Turns(clock)
    log: list[str] = []

    def arrive(number: int) -> None:
        def fail(error: EngineUserError) -> None:
            log.append(f"failed {number}: {error.message}")

        turns.arrive(number, lambda: log.append(f"started {number}"), fail)

    arrive(1)
    arrive(3)
    arrive(4)
    clock.now_s += GAP_S - 1
    turns.sweep()
    assert log == ["started 1"]
    clock.now_s += 2
    turns.sweep()
    assert [line.partition(":")[0] for line in log[1:]] == ["failed 3", "failed 4"]
    assert "request 2, which never came" in log[1]
    arrive(2)
    assert "turn has passed" in log[3]
    arrive(5)
    assert log[4] == "started 5"


def test_results_are_forgotten_in_time() -> None:
    async def check() -> None:
        clock = Clock()
        store = FutureStore(clock)
        for name in ("collected", "never"):
            assert store.open(name)
            assert not store.open(name)
            store.settle(name, Payload(b"{}"))
        assert store.open("pending")
        assert await store.wait("pending", 0.01) is None
        assert await store.wait("collected", 1) == Payload(b"{}")
        clock.now_s += KEEP_DELIVERED_S + 1
        store.sweep()
        with pytest.raises(UnknownRequestError):
            await store.wait("collected", 1)
        clock.now_s += KEEP_UNCLAIMED_S
        store.sweep()
        assert len(store) == 1  # what isn't done yet is never forgotten
        waiting = asyncio.create_task(store.wait("pending", 5))
        await asyncio.sleep(0)
        store.drop("pending")
        with pytest.raises(UnknownRequestError):
            await waiting

    asyncio.run(check())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(ScriptedEngine(), CheckpointStore(tmp_path)) as running:
        yield running


def test_too_large_a_body_is_refused_before_it_is_read(server: EmbeddedServer) -> None:
    host, port = server.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        head = f"POST /api/v1/asample HTTP/1.1\r\nHost: {host}\r\nContent-Length: {10**12}\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_without_length_is_cut_at_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot_backends.local.server.MAX_BODY_BYTES", 1000)
    with (
        EmbeddedServer(ScriptedEngine(), CheckpointStore(tmp_path)) as server,
        httpx.Client(trust_env=False, timeout=60) as client,
    ):
        pieces = (b"x" * 100 for _ in range(50))
        answer = client.post(f"{server.base_url}/api/v1/create_session", content=pieces)
        assert answer.status_code == 413


def answers(server: EmbeddedServer, data: bytes) -> bytes:
    """What comes back until the server closes."""
    host, port = server.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        said = b""
        while heard := client.recv(65536):
            said += heard
    return said


def test_a_head_alone_is_answered_without_a_body(server: EmbeddedServer) -> None:
    """As a proxy asks that looks whether the server is there."""
    asked = b" /api/v1/nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    said = answers(server, b"HEAD" + asked + b"GET" + asked)
    head, _, rest = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404")
    assert rest.startswith(b"HTTP/1.1 404")
    assert b"there is no GET" in rest


@pytest.mark.parametrize("size", [70_000, 200_000])
def test_too_long_a_head_is_refused_also_where_it_comes_in_one_piece(
    server: EmbeddedServer, size: int
) -> None:
    line = b"X-Long: " + b"y" * size
    said = answers(
        server, b"GET /api/v1/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + line + b"\r\n\r\n"
    )
    assert said.startswith(b"HTTP/1.1 431")


def test_too_large_a_body_that_never_comes_is_refused_as_such(server: EmbeddedServer) -> None:
    head = f"POST /api/v1/asample HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {10**12}\r\n\r\n"
    assert answers(server, head.encode()).startswith(b"HTTP/1.1 413")


def test_noise_harms_nobody(server: EmbeddedServer) -> None:
    host, port = server.base_url.removeprefix("http://").split(":")
    for noise in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\n"):
        with socket.create_connection((host, int(port)), timeout=60) as client:
            client.sendall(noise)
    answer = httpx.get(f"{server.base_url}/api/v1/healthz", trust_env=False, timeout=60)
    assert answer.json() == {"status": "ok"}


def test_a_silent_client_s_models_are_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_SWEEP_S", 0.05)
    engine = ScriptedEngine()
    with (
        EmbeddedServer(engine, CheckpointStore(tmp_path)) as server,
        httpx.Client(base_url=f"{server.base_url}/api/v1", trust_env=False, timeout=60) as client,
    ):
        session = client.post("/create_session", json={}).json()["session_id"]
        asked = {"session_id": session, "model_seq_id": 0, "base_model": BASE}
        made = client.post("/create_model", json=asked).json()
        client.post("/retrieve_future", json={"request_id": made["request_id"]})
        monkeypatch.setattr(sessions, "SESSION_S", 0.2)
        deadline = time.monotonic() + 60
        while "unload_model" not in engine.names():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        late = client.post("/session_heartbeat", json={"session_id": session})
        assert late.status_code == 410
