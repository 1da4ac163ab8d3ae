"""Servers that mean ill, and ears in front of servers that keep every byte that a client sends."""

import json
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, Final

from tests.drills.planted import leaks, without_headers_of

_CHUNK: Final = 1 << 16


class Ear(ThreadingTCPServer):
    """A port of its own in front of a server on this machine.

    Args:
        name: what it is called in what is lost.
        target: the server's port.
        keys: names of the variables whose keys belong to that server.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str, target: int, *keys: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.name, self.target, self.keys = name, target, keys
        self.port = int(self.server_address[1])
        self._heard: dict[int, bytearray] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.port}"

    def hears(self, connection: int, data: bytes) -> None:
        """Keeps what a client said."""
        with self._lock:
            self._heard.setdefault(connection, bytearray()).extend(data)

    def taken(self) -> tuple[list[str], set[str]]:
        """Of what was heard since the last call: what is lost, and whose keys came as they should."""
        with self._lock:
            heard, self._heard = self._heard, {}
        rest, sent = without_headers_of(b"\n\n".join(heard.values()), self.keys)
        return leaks(f"what {self.name} was sent", rest), sent

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()


class _Passing(BaseRequestHandler):
    """Passes bytes on, both ways."""

    def handle(self) -> None:
        """Until both sides have said all."""
        ear = self.server
        assert isinstance(ear, Ear)
        try:
            far = socket.create_connection(("127.0.0.1", ear.target), 30.0)
        except OSError:
            return
        with far:
            far.settimeout(None)
            back = threading.Thread(target=_pass_on, args=(far, self.request), daemon=True)
            back.start()
            _pass_on(self.request, far, lambda data: ear.hears(id(self), data))
            back.join()


def _nobody(_: bytes) -> None:
    """Nobody listens to what a server says."""


def _pass_on(
    near: socket.socket, far: socket.socket, hear: Callable[[bytes], None] = _nobody
) -> None:
    with suppress(OSError):
        while data := near.recv(_CHUNK):
            hear(data)
            far.sendall(data)
    with suppress(OSError):
        far.shutdown(socket.SHUT_WR)


@contextmanager
def telltale(status: int, location: str = "") -> Generator[int]:
    """A server that answers everything with this status and repeats the keys that it was sent; its port.

    Args:
        location: where it redirects to, if it does. It is healthy then, for whoever asks that first.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            message = f"this is wrong; headers were {dict(self.headers)}"
            value: dict[str, Any] = {"error": {"message": message}, "detail": message}
            is_health = bool(location) and self.path.endswith("/healthz")
            body = json.dumps({"status": "ok"} if is_health else value).encode()
            self.send_response(200 if is_health else status, "" if is_health else message[:900])
            if location and not is_health:
                self.send_header("Location", location + self.path)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
