"""What goes wrong with one request, one session or the engine: who is told, and who isn't harmed."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tinker
import zstandard
from tinker import types
from tinker.proto import tinker_public_pb2 as pb

from geospot_backends.local.api import AdamParams
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.support.scripted_engine import BASE, ScriptedEngine

pytestmark = [
    pytest.mark.filterwarnings("error::DeprecationWarning"),
    pytest.mark.filterwarnings("error::FutureWarning"),
]
QUICK_S = 120.0
"""Well below what a gap in a model's requests is waited for here."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("geospot_backends.local.turns.GAP_S", 3600.0)


class Wire:
    """One client without the SDK."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=f"{base_url}/api/v1", trust_env=False, timeout=QUICK_S)
        self.session = self.post("create_session", {}).json()["session_id"]
        asked = {"session_id": self.session, "model_seq_id": 0, "base_model": BASE}
        made = self.post("create_model", asked).json()
        self.model_id = str(made["model_id"])
        assert self.result(made["request_id"])["model_id"] == self.model_id

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.http.post(f"/{path}", json=body)

    def result(self, request_id: str) -> dict[str, Any]:
        answer = self.post("retrieve_future", {"request_id": request_id})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def step(self, number: int | None) -> str:
        asked: dict[str, Any] = {"model_id": self.model_id, "seq_id": number, "adam_params": {}}
        return str(self.post("optim_step", asked).json()["request_id"])

    def forward_backward(
        self, number: int, data: bytes = b"x", **more: Any
    ) -> tuple[bytes, dict[str, str]]:
        message = pb.ForwardBackwardRequest(
            model_id=self.model_id, seq_id=number, loss_fn="cross_entropy"
        )
        image = message.data.add().model_input.add().image
        image.data, image.format = data, "jpeg"
        return message.SerializeToString(), {"content-type": "application/x-protobuf", **more}


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def server(
    engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedServer]:
    monkeypatch.setattr("geospot_backends.local.server.MAX_BODY_BYTES", 30_000)
    with EmbeddedServer(engine, CheckpointStore(tmp_path)) as running:
        yield running


@pytest.fixture
def wire(server: EmbeddedServer) -> Iterator[Wire]:
    client = Wire(server.base_url)
    yield client
    client.http.close()


STEPPED = {"metrics": {"grad_norm": 2.5}}


@pytest.mark.parametrize("how", ["announced", "in pieces", "compressed", "garbled"])
def test_a_refused_batch_takes_its_turn(wire: Wire, how: str) -> None:
    body, headers = wire.forward_backward(1, b"x" * (100 if how == "garbled" else 100_000))
    status = 413
    content: Any = body
    if how == "in pieces":
        content = (body[at : at + 1000] for at in range(0, len(body), 1000))
    elif how == "compressed":
        content, status = zstandard.ZstdCompressor().compress(body), 415
        headers["content-encoding"] = "zstd"
    elif how == "garbled":
        content, status = body + b"\xff\xff\xff", 422
    second = wire.step(2)
    refused = wire.http.post("/forward_backward", content=content, headers=headers)
    assert refused.status_code == status
    assert wire.result(second) == STEPPED
    assert wire.result(wire.step(3)) == STEPPED
    again, headers = wire.forward_backward(1)  # the number is used up
    late = wire.http.post("/forward_backward", content=again, headers=headers).json()
    assert wire.result(late["request_id"])["category"] == "user"


@pytest.mark.parametrize(
    "start", [b"", b"\x0a", b"\x0a\x05ab", b"\x0a\x02\xff\xff\x10\x01", b"\x10\x01"]
)
def test_a_refused_batch_that_says_not_whose_it_is_harms_nobody(wire: Wire, start: bytes) -> None:
    headers = {"content-encoding": "zstd"}
    content = zstandard.ZstdCompressor().compress(start)
    for sent in (content, start):
        answer = wire.http.post("/forward_backward", content=sent, headers=headers)
        assert answer.status_code == 415
    assert wire.result(wire.step(1)) == STEPPED


def test_a_batch_too_large_fails_alone_for_the_sdk(server: EmbeddedServer) -> None:
    with tinker.ServiceClient(base_url=server.base_url, api_key="tml-x") as service:
        client = service.create_lora_training_client(BASE, rank=1).result()
        picture = types.ImageChunk(data=b"x" * 200_000, format="jpeg", expected_tokens=1)
        arrays: dict[str, Any] = {"target_tokens": np.array([1, 2])}
        chunks: list[types.ModelInputChunk] = [picture, types.EncodedTextChunk(tokens=[5])]
        datum = types.Datum(model_input=types.ModelInput(chunks=chunks), loss_fn_inputs=arrays)
        large = client.forward_backward([datum], "cross_entropy")
        step = client.optim_step(types.AdamParams())
        with pytest.raises(tinker.APIStatusError, match="30,000 bytes") as caught:
            large.result(timeout=QUICK_S)
        assert caught.value.status_code == 413
        assert step.result(timeout=QUICK_S).metrics == {"grad_norm": 2.5}


def test_what_waits_for_its_turn_fails_when_its_session_ends(wire: Wire) -> None:
    waiting = [wire.step(3), wire.step(2)]
    assert wire.post(f"sessions/{wire.session}/finish", {}).status_code == 204
    for request_id in waiting:
        answer = wire.result(request_id)
        assert answer["category"] == "user"
        assert "the session ended" in answer["error"]


@pytest.mark.parametrize("number", [0, -1])
def test_numbers_below_one_are_refused_as_such(wire: Wire, number: int) -> None:
    assert f"numbered from 1, and this one is {number}" in wire.result(wire.step(number))["error"]
    body, headers = wire.forward_backward(number)
    asked = wire.http.post("/forward_backward", content=body, headers=headers).json()
    assert "numbered from 1" in wire.result(asked["request_id"])["error"]
    assert wire.result(wire.step(1)) == STEPPED


@pytest.mark.parametrize(
    "line",
    [
        b"GET //[ HTTP/1.1",
        b"GET http://[::1/api/v1/healthz HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET  HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"\x16\x03\x01",
        b"GET /api/v1/healthz HTTP/1.1\r\nContent-Length: x",
        b"GET /api/v1/healthz HTTP/1.1\r\nno colon",
    ],
)
def test_what_is_no_request_is_answered(server: EmbeddedServer, line: bytes) -> None:
    host, port = server.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(line + b"\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b""
        while b"no HTTP request" not in answer and (more := client.recv(4096)):
            answer += more
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b"no HTTP request" in answer


class Panic(BaseException):
    """As a native library raises it: no Exception."""


@pytest.mark.parametrize("cause", [Panic("out of bounds"), SystemExit(3), KeyboardInterrupt()])
def test_an_engine_that_dies_fails_everything_at_once(tmp_path: Path, cause: BaseException) -> None:
    class Dying(ScriptedEngine):
        def optim_step(self, model_id: str, params: AdamParams) -> dict[str, float]:
            self._note("optim_step", params)
            raise cause

    engine = Dying()
    said = f"the engine has died of {type(cause).__name__}"
    with EmbeddedServer(engine, CheckpointStore(tmp_path)) as server:
        service = tinker.ServiceClient(base_url=server.base_url, api_key="tml-x")
        client = service.create_lora_training_client(BASE, rank=1).result(timeout=QUICK_S)
        sampling = service.create_sampling_client(base_model=BASE).result(timeout=QUICK_S)
        engine.hold.set()
        prompt, params = types.ModelInput.from_ints([1]), types.SamplingParams(max_tokens=1)
        futures: list[Any] = [
            client.optim_step(types.AdamParams()),
            client.save_state("later"),
            sampling.sample(prompt, 1, params),
        ]
        time.sleep(0.3)  # all of them wait
        engine.hold.clear()
        futures.append(client.save_state("after"))
        for future in futures:
            with pytest.raises(tinker.RequestFailedError, match=said) as caught:
                future.result(timeout=QUICK_S)
            assert caught.value.category is types.RequestErrorCategory.Server
        with pytest.raises(tinker.APIStatusError, match=said):
            service.create_sampling_client(base_model=BASE).result(timeout=QUICK_S)
        service.close("success").result(timeout=QUICK_S)


def test_a_long_run_leaves_no_more_samplers_than_a_short_one(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot_backends.local.training_requests.SNAPSHOTS_KNOWN", 4)
    for number in range(1, 10):
        asked = {"model_id": wire.model_id, "seq_id": number, "sampling_session_seq_id": number}
        wire.result(wire.post("save_weights_for_sampler", asked).json()["request_id"])
    known = wire.http.get(f"/sessions/{wire.session}").json()["sampler_ids"]
    assert known == [f"{wire.session}:sample:{number}" for number in range(6, 10)]
    assert wire.http.get(f"/samplers/{known[0]}").status_code == 200
    assert wire.http.get(f"/samplers/{wire.session}:sample:5").status_code == 404
