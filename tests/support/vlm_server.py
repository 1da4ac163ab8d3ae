"""A loopback server with OpenAI's chat completions that answers, and misbehaves, as a script says.

It speaks HTTP over a real socket by hand, since no web framework lets one send half a body and reset
the connection. It can read the canary's numbers, by comparing glyphs, so that a client that sends
its images passes and one that doesn't fails.

As a program (`python -m tests.support.vlm_server`) it is the instant stub of the benchmarks.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import io
import json
import re
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Self

BERLIN = "City: Berlin\nRegion: Berlin\nCountry: Germany\nLatitude: 52.5200\nLongitude: 13.4050"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered."""

    kind: Literal[
        "answer", "status", "reset", "half_json", "html", "no_choices", "stall", "raw"
    ] = "answer"
    text: str = BERLIN
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None
    finish_reason: str = "stop"
    refusal: str | None = None
    latency_s: float = 0.0
    once: Callable[[], bool] | None = None
    """The answer is held until this holds, for a minute at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One chat completion request as the server saw it."""

    body: dict[str, Any]
    image: bytes | None
    headers: dict[str, str]
    attempt: int
    """How often this image was asked about before."""

    @property
    def digest(self) -> str:
        """SHA-256 of the image."""
        return hashlib.sha256(self.image or b"").hexdigest()


Plan = Callable[[Asked], Behaviour]


@dataclass(slots=True)
class Log:
    """What the server saw."""

    asked: list[Asked] = field(default_factory=list[Asked])
    times: list[float] = field(default_factory=list[float])
    per_image: Counter[str] = field(default_factory=Counter[str])
    questions: int = 0
    """About images, the canary's not counted."""
    answered: dict[str, int] = field(default_factory=dict[str, int])
    """Images whose last question was answered to the last byte, and how many questions there were by then."""
    paths: Counter[str] = field(default_factory=Counter[str])
    in_flight: int = 0
    most_in_flight: int = 0


def answer_berlin(_: Asked) -> Behaviour:
    """The plan of a server that knows one place."""
    return Behaviour()


class VlmServer:
    """The server, on a port of its own, in a thread of its own.

    Args:
        plan: decides on each chat completion; the canary and text-only probes are answered well
            unless `blind` is set.
        models: what /models lists; None gives 404 there.
        key: requests without it get 401.
        keeps: whether the log keeps every request; without, it only counts them.
    """

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        models: list[str] | None = None,
        key: str | None = None,
        blind: bool = False,
        port: int = 0,
        keeps: bool = True,
    ) -> None:
        self.keeps = keeps
        self.plan: Plan = plan or answer_berlin
        self.models = ["some-vlm"] if models is None else models
        self.key = key
        self.blind = blind
        self.port = port
        self.log = Log()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stopping: asyncio.Event | None = None

    @property
    def base_url(self) -> str:
        """Address for --base-url."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(
            self._connection, "127.0.0.1", self.port, limit=2**26, backlog=4096
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async for path, headers, body in requests(reader):
                self.log.paths[path] += 1
                if not await self._respond(path, headers, body, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # whoever asked has gone, or the server is closing
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _respond(
        self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            said = {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}
            return await send_json(writer, 401, said)
        if path == "/v1/models" and self.models:
            listed = [
                {"id": name, "object": "model", "created": 0, "owned_by": "t"}
                for name in self.models
            ]
            return await send_json(writer, 200, {"object": "list", "data": listed})
        if path != "/v1/chat/completions":
            return await send_json(writer, 404, {"error": {"message": "no such page"}})
        request = json.loads(body)
        if self.models and request["model"] not in self.models:
            said = {
                "error": {
                    "message": f"The model `{request['model']}` does not exist",
                    "code": "model_not_found",
                }
            }
            return await send_json(writer, 404, said)
        self.log.in_flight += 1
        self.log.most_in_flight = max(self.log.most_in_flight, self.log.in_flight)
        try:
            return await self._chat(request, headers, writer)
        finally:
            self.log.in_flight -= 1

    async def _chat(
        self, request: dict[str, Any], headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> bool:
        image = image_of(request)
        if image is None:
            return await send(writer, Behaviour(text="OK"))
        if "Which number" in text_of(request):
            text = "I see no picture." if self.blind else f"It says {read_number(image)}."
            return await send(writer, Behaviour(text=text))
        digest = hashlib.sha256(image).hexdigest()
        asked = Asked(request, image, headers, self.log.per_image[digest])
        self.log.per_image[digest] += 1
        self.log.questions += 1
        self.log.answered.pop(digest, None)
        if self.keeps:
            self.log.asked.append(asked)
            self.log.times.append(time.monotonic())
        how = self.plan(asked)
        goes_on = await send(writer, how)
        if goes_on and how.kind != "stall":
            self.log.answered[digest] = self.log.questions
        return goes_on


async def requests(
    reader: asyncio.StreamReader,
) -> AsyncGenerator[tuple[str, dict[str, str], bytes]]:
    """Yields (path, headers, body) for each HTTP/1.1 request of a connection."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        yield first.split(" ")[1], headers, body


async def _held(how: Behaviour) -> None:
    end_s = time.monotonic() + 60.0
    while how.once is not None and not how.once() and time.monotonic() < end_s:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.01)
    if how.latency_s:
        await asyncio.sleep(how.latency_s)


async def send(writer: asyncio.StreamWriter, how: Behaviour) -> bool:
    """Sends what the behaviour says; False if the connection is done."""
    await _held(how)
    match how.kind:
        case "stall":
            return True  # whoever waits hangs up, which ends it; open for longer, thousands are too many
        case "reset":
            writer.write(head(200, 1000) + b'{"id": "x", "choices": [')
            await writer.drain()
            abort(writer)
            return False
        case "half_json":
            return await send_bytes(writer, head(200, 24) + b'{"choices": [{"message":')
        case "html":
            page = b"<html><body>502 Bad Gateway at 48.8584, 2.2945</body></html>"
            return await send_bytes(writer, head(200, len(page), kind="text/html") + page)
        case "status":
            return await send_json(
                writer, how.status, how.body or {"error": {"message": "scripted"}}, how.headers
            )
        case "no_choices":
            return await send_json(writer, 200, {"id": "x", "choices": []})
        case "raw" if isinstance(how.body, bytes):
            return await send_bytes(writer, head(200, len(how.body)) + how.body)
        case "raw":
            return await send_json(writer, 200, how.body)
        case "answer":
            return await send_json(writer, 200, completion(how))


def completion(how: Behaviour) -> dict[str, Any]:
    message = {"role": "assistant", "content": how.text, "refusal": how.refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "some-vlm",
        "choices": [{"index": 0, "message": message, "finish_reason": how.finish_reason}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 40, "total_tokens": 940},
    }


def head(status: int, length: int, kind: str = "application/json", extra: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{extra}\r\n"
    ).encode("latin-1")


async def send_json(
    writer: asyncio.StreamWriter,
    status: int,
    body: Any,
    headers: tuple[tuple[str, str], ...] = (),
) -> bool:
    data = json.dumps(body).encode()
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return await send_bytes(writer, head(status, len(data), extra=extra) + data)


async def send_bytes(writer: asyncio.StreamWriter, data: bytes) -> bool:
    writer.write(data)
    await writer.drain()
    return True


def abort(writer: asyncio.StreamWriter) -> None:
    """Resets the connection instead of closing it."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def image_of(request: dict[str, Any]) -> bytes | None:
    """The image of a request as it was sent, None if it has none."""
    for message in request["messages"]:
        if isinstance(message["content"], str):
            continue
        for part in message["content"]:
            if part["type"] == "image_url":
                return base64.b64decode(part["image_url"]["url"].partition(",")[2], validate=True)
    return None


def text_of(request: dict[str, Any]) -> str:
    """All text of a request."""
    texts: list[str] = []
    for message in request["messages"]:
        content = message["content"]
        texts += [content] if isinstance(content, str) else [p.get("text", "") for p in content]
    return "\n".join(texts)


def read_number(image: bytes) -> str:
    """Reads dark digits on white: splits at empty columns and finds the nearest glyph of each."""
    import numpy as np
    from PIL import Image

    dark = np.asarray(Image.open(io.BytesIO(image)).convert("L")) < 128
    columns = dark.any(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], columns, [False]]).astype(int)))
    digits = ""
    for left, right in zip(edges[::2], edges[1::2], strict=True):
        glyph = _square(dark[:, left:right])
        digits += min(_glyphs(), key=lambda digit: np.abs(_glyphs()[digit] - glyph).sum())
    return digits


@cache
def _glyphs() -> dict[str, Any]:
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    found: dict[str, Any] = {}
    for digit in "0123456789":
        picture = Image.new("L", (300, 300), 255)
        font = ImageFont.load_default(size=190)
        ImageDraw.Draw(picture).text((150, 150), digit, fill=0, font=font, anchor="mm")
        found[digit] = _square(np.asarray(picture) < 128)
    return found


def _square(dark: Any) -> Any:
    """The inked box of a glyph, with its aspect ratio, on a grid of 24 × 24."""
    import numpy as np
    from PIL import Image

    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    box = dark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    padded = np.zeros((box.shape[0], max(box.shape)), dtype=np.uint8)
    padded[:, : box.shape[1]] = box * 255
    return np.asarray(Image.fromarray(padded).resize((24, 24)), dtype=float) / 255


def per_image(plans: dict[str, list[Behaviour]], otherwise: Behaviour | None = None) -> Plan:
    """A plan by image digest: the first list item answers the first request for it, and so on."""

    def plan(asked: Asked) -> Behaviour:
        steps = plans.get(asked.digest)
        if not steps:
            return otherwise or Behaviour()
        return steps[min(asked.attempt, len(steps) - 1)]

    return plan


@contextlib.contextmanager
def dead_port() -> Generator[int]:
    """A port on loopback at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


async def _instant(port: int, latency_s: float) -> None:
    """The benchmarks' stub: the same answer to every request, without looking at it."""
    data = json.dumps(completion(Behaviour())).encode()
    answer = head(200, len(data)) + data
    open_requests: defaultdict[str, int] = defaultdict(int)

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                top = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", top, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                open_requests["n"] += 1
                if latency_s:
                    await asyncio.sleep(latency_s)
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", port, limit=2**26)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    loop = asyncio.get_running_loop()
    parent_gone = loop.create_future()
    loop.run_in_executor(None, lambda: _wait_for_parent(loop, parent_gone))
    await parent_gone


def _wait_for_parent(loop: asyncio.AbstractEventLoop, gone: "asyncio.Future[None]") -> None:
    import sys

    sys.stdin.read()
    loop.call_soon_threadsafe(gone.set_result, None)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--latency", type=float, default=0.0, help="seconds")
    options = arguments.parse_args()
    asyncio.run(_instant(options.port, options.latency))
