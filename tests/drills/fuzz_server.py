"""What must hold of the server's answers: well-formed HTTP, or none to half a request.

`check` takes any bytes. The first says what the rest is: a connection's bytes as they are, or the body
of a request to one of the addresses, so that JSON and protobuf are reached, too. `$SESSION` and `$MODEL`
in it become ids that the server knows. In process, at the connection's two streams; only the network is
left out.
"""

import asyncio
import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import h11

from geospot_backends.local import routes
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import TinkerServer
from tests.drills.faults import SERVER_LOG, Faults
from tests.support.scripted_engine import BASE, ScriptedEngine

ADDRESSES: Final = [
    *("asample", "retrieve_future", "forward_backward", "optim_step", "save_weights_for_sampler"),
    *("save_weights", "save_weights_external", "load_weights", "create_model", "get_info"),
    *("create_sampling_session", "cancel_future", "create_session", "session_heartbeat"),
    *("weights_info", "client/config", "telemetry", "sessions/$SESSION/finish"),
]
_LIFE: Final = 2000
"""Inputs that one server takes before it is made anew: what it keeps grows."""


class _Writer:
    """The outgoing half of a connection, kept."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def write_eof(self) -> None: ...

    def close(self) -> None: ...


class _Served:
    """A server on a loop of its own, and the ids that it knows."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.inputs = 0
        self._folder = tempfile.TemporaryDirectory(prefix="geospot-fuzz-")
        store = CheckpointStore(Path(self._folder.name))
        self.server = TinkerServer(ScriptedEngine(), store)
        self.loop.run_until_complete(self.server.operations.start())
        self.ids = self.loop.run_until_complete(self._introduce())

    async def _introduce(self) -> dict[bytes, bytes]:
        session = (await self._asked("create_session", {}))["session_id"]
        asked = {"session_id": session, "model_seq_id": 0, "base_model": BASE}
        model = (await self._asked("create_model", asked))["model_id"]
        await self._asked("retrieve_future", {"request_id": f"{model}:create"})
        return {b"$SESSION": session.encode(), b"$MODEL": model.encode(), b"$BASE": BASE.encode()}

    async def _asked(self, address: str, value: Any) -> dict[str, Any]:
        said = await self.converse(_request(address, json.dumps(value).encode()))
        found: dict[str, Any] = json.loads(said.partition(b"\r\n\r\n")[2])
        return found

    async def converse(self, data: bytes) -> bytes:
        """What the server says to these bytes, after which the other side says no more."""
        reader, writer = asyncio.StreamReader(), _Writer()
        reader.feed_data(data)
        reader.feed_eof()
        http: Any = self.server._http  # pyright: ignore[reportPrivateUsage]
        await http._accept(reader, writer)
        return bytes(writer.data)

    def close(self) -> None:
        """Ends it, and removes what it saved."""
        self.loop.run_until_complete(self.server.aclose())
        self.loop.close()
        self._folder.cleanup()


import_module("tinker.proto.tinker_public_pb2")  # takes seconds, which the first input must not pay
_faults = Faults()
_served: list[_Served] = []
_POLLS_S: Final = routes._POLL_S  # pyright: ignore[reportPrivateUsage]


def _request(address: str, body: bytes) -> bytes:
    head = (
        f"POST /api/v1/{address} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _server() -> _Served:
    if not _served:
        routes._POLL_S = 0.001  # pyright: ignore[reportPrivateUsage] # what isn't there yet is not waited for
        SERVER_LOG.addHandler(_faults)
        SERVER_LOG.propagate = False
        _served.append(_Served())
    elif _served[0].inputs >= _LIFE:
        _served.pop().close()
        _served.append(_Served())
    return _served[0]


def close() -> None:
    """Ends the server; what was changed for it in this process is as it was."""
    while _served:
        _served.pop().close()
    routes._POLL_S = _POLLS_S  # pyright: ignore[reportPrivateUsage]
    SERVER_LOG.removeHandler(_faults)
    SERVER_LOG.propagate = True
    _faults.taken()


def check(data: bytes) -> None:
    """Sends the bytes and reads what comes back.

    Raises:
        AssertionError: it is no HTTP, a fault of the server's own, or not JSON where it says so.
    """
    served = _server()
    served.inputs += 1
    kind, rest = (data[0] if data else 0), data[1:]
    if kind >= 64:
        rest = _request(ADDRESSES[kind % len(ADDRESSES)], rest)
    for name, id_ in served.ids.items():
        rest = rest.replace(name, id_)
    if kind >= 64:  # the ids are longer than their names
        head, _, body = rest.partition(b"\r\n\r\n")
        rest = _request(head.split(b" ")[1].decode().removeprefix("/api/v1/"), body)
    said = served.loop.run_until_complete(asyncio.wait_for(served.converse(rest), 60))
    real = [fault for fault in _faults.taken() if "the engine has a bug" not in fault]
    assert not real, real[0]
    _is_well_formed(said, whole=kind >= 64, has_head=kind < 64 and b"HEAD" in rest.upper())


def _is_well_formed(said: bytes, *, whole: bool, has_head: bool) -> None:
    """Answers one after the other, each whole, as h11 reads them as a client.

    Args:
        has_head: whether one of the requests may have been a HEAD, whose answer has no body.
    """
    answers = 0
    while said:
        try:
            rest = _after_one(said, "POST", whole=whole)
        except (AssertionError, ValueError):
            if not has_head:
                raise
            rest = _after_one(said, "HEAD", whole=whole)
        if rest is None:
            return
        said = rest
        answers += 1
    assert answers or not whole, "no answer to a whole request"


def _after_one(said: bytes, method: str, *, whole: bool) -> bytes | None:
    """What comes after the first answer; None where the other side went away before it sent its body."""
    client = h11.Connection(h11.CLIENT)
    client.send(
        h11.Request(method=method, target="/", headers=[("host", "x"), ("content-length", "0")])
    )
    client.send(h11.EndOfMessage())
    client.receive_data(said)
    body, status, kind, asked_to_go_on = b"", 0, b"", False
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response):
            status, kind = event.status_code, dict(event.headers).get(b"content-type", b"")
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        elif event is h11.NEED_DATA and asked_to_go_on and not whole:
            return None
        elif isinstance(event, h11.InformationalResponse):
            asked_to_go_on = True
        else:
            raise AssertionError(f"half an answer: {said[:300]!r}")
    assert status != 500, body
    if kind == b"application/json" and method != "HEAD":
        json.loads(body)
    return client.trailing_data[0]
