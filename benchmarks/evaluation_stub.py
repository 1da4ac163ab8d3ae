"""An endpoint that gives the same answer to every request at once, or after a time, and counts.

What was asked is the same for all only if the server says so: it keeps the first requests. `GET /seen`
tells, and begins anew. The program ends when its standard input does.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.support.vlm_server import Behaviour, completion, head

_LOOKED_AT: Final = 200
"""Requests of which the settings are read; the canary's are among them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the endpoint saw since it was asked last.

    Attributes:
        moments_s: when each answer was given, on the system's monotonic clock.
        up_bytes: of all bodies.
        kinds: what the first requests asked for, each kind once.
    """

    moments_s: list[float]
    up_bytes: int
    kinds: list[dict[str, Any]]

    def per_s(self, window: int, leave: int) -> float:
        """Answers a second among the last `window` + 1 that come before the last `leave` - 1."""
        end = len(self.moments_s) - leave
        return window / (self.moments_s[end] - self.moments_s[end - window])


def look(port: int) -> Seen:
    """What the endpoint has seen."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/seen") as answer:
        return Seen(**json.load(answer))


@contextmanager
def stub(latency_s: float) -> Generator[int]:
    """Its port, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.evaluation_stub", str(latency_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield int(server.stdout.readline())
        server.stdin.close()


def kind_of(body: bytes) -> dict[str, Any]:
    """Settings and content of a request, as far as all sides have to agree in them."""
    asked: dict[str, Any] = json.loads(body)
    (message,) = asked["messages"]
    content = message["content"]
    parts: list[dict[str, Any]] = (
        [{"type": "text", "text": content}] if isinstance(content, str) else content
    )
    texts = "".join(part["text"] for part in parts if part["type"] == "text")
    photos: list[str] = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return {
        "model": asked["model"],
        "max_tokens": asked.get("max_tokens") or asked.get("max_completion_tokens"),
        "temperature": asked.get("temperature"),
        "prompt": hashlib.sha256(texts.strip().encode()).hexdigest()[:8],
        "photos": [photo.partition(",")[0] for photo in photos],
        "jpeg": all(base64.b64decode(one.partition(",")[2])[:2] == b"\xff\xd8" for one in photos),
    }


class _Stub:
    def __init__(self, latency_s: float) -> None:
        data = json.dumps(completion(Behaviour())).encode()
        self._answer = head(200, len(data)) + data
        self._latency_s = latency_s
        self._forget()

    def _forget(self) -> None:
        self._moments_s: list[float] = []
        self._up_bytes = 0
        self._kinds: list[dict[str, Any]] = []
        self._looked_at = 0

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers until the other side goes."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                top = await reader.readuntil(b"\r\n\r\n")
                if top.startswith(b"GET /seen"):
                    writer.write(self._tell())
                    break
                length = re.search(rb"content-length: (\d+)", top, re.IGNORECASE)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self._note(body)
                if self._latency_s:
                    await asyncio.sleep(self._latency_s)
                writer.write(self._answer)
                self._moments_s.append(time.monotonic())
        writer.close()

    def _note(self, body: bytes) -> None:
        self._up_bytes += len(body)
        if self._looked_at < _LOOKED_AT:
            self._looked_at += 1
            kind = kind_of(body)
            if kind not in self._kinds:
                self._kinds.append(kind)

    def _tell(self) -> bytes:
        seen = {
            "moments_s": self._moments_s,
            "up_bytes": self._up_bytes,
            "kinds": self._kinds,
        }
        data = json.dumps(seen).encode()
        self._forget()
        return head(200, len(data)) + data


async def _serve(latency_s: float) -> None:
    one = _Stub(latency_s)
    server = await asyncio.start_server(one.connection, "127.0.0.1", 0, limit=2**26)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
