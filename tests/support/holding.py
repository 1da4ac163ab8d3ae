"""A server that stands before another and keeps requests waiting, or loses them, as a test says."""

import http.client
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from tinker.lib.public_interfaces import rest_client_common


@dataclass
class Front:
    """Where it listens, what it has passed on, and what it does with requests.

    `held`: a regular expression; a request whose path it finds waits until `release` is set, and `keeps` is
    called when it begins to. `lost`: so many requests are read and the connection closed. `starting`: so
    many get HTTP 503.
    """

    url: str
    held: str | None = None
    keeps: Callable[[], object] = lambda: None
    lost: int = 0
    starting: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    passed: list[str] = field(default_factory=list[str])

    def lets_through(self, path: str) -> bool:
        """Once it may pass; False where that takes too long."""
        if not self.held or not re.search(self.held, path):
            return True
        self.keeps()
        return self.release.wait(60)


@contextmanager
def front_of(address: str) -> Generator[Front]:
    """A front of the server at this address until the block ends; then everything is let go."""
    upstream = urlsplit(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.handle_one()

        def do_POST(self) -> None:
            self.handle_one()

        def do_DELETE(self) -> None:
            self.handle_one()

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not state.lets_through(self.path):
                return
            if state.lost > 0:
                state.lost -= 1
                self.close_connection = True
                return
            if state.starting > 0:
                state.starting -= 1
                self.answer(503, b"")
                return
            state.passed.append(self.path)
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            kind = answer.headers.get("Content-Type", "application/json")
            self.answer(answer.status, answer.read(), kind)
            connection.close()

        def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # whoever asked has gone

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Front(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        with _connections_of_its_own():
            yield state
    finally:
        state.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _connections_of_its_own() -> Generator[None]:
    """What is given up here while it connects is in nobody's way later.

    The SDK connects one `RestClient` of a process after the other, whatever service each is for. One that
    tries on after its test, on a busy machine for minutes, kept those of all later tests waiting.
    """
    with pytest.MonkeyPatch.context() as patch:
        shared = rest_client_common.sessionless_holder_cache
        patch.setattr(rest_client_common, "sessionless_holder_cache", type(shared)())
        yield
