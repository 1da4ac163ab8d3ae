"""A loopback server that speaks the part of the hub's API that the real clients use for data sets.

Two origins, as in life: the hub itself, and the storage that it redirects to for large files, by
addresses that are signed and can expire. It counts what is asked and what is really sent, and can
fail in the ways that servers fail.
"""

import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

LARGE_BYTES: Final = 100_000
"""Files from this size on are kept in the storage, as the hub does with large files."""
_PIECE: Final = 1 << 16


@dataclass
class Repo:
    """A data set repository: its files by path, each bytes or a file on disk."""

    files: dict[str, bytes | Path]
    token: str | None = None
    """Who may read it: everybody, or who sends this token."""
    gated: bool = False
    """Whether lacking the token is told as a gate; a private repository isn't admitted to exist."""
    refs: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def commit(self) -> str:
        """A commit hash that changes with the files."""
        sizes = [f"{path}:{self.size(path)}" for path in sorted(self.files)]
        return hashlib.sha1("\n".join(sizes).encode(), usedforsecurity=False).hexdigest()

    def size(self, path: str) -> int:
        """Length of a file in bytes."""
        content = self.files[path]
        return content.stat().st_size if isinstance(content, Path) else len(content)

    def read(self, path: str, start: int, end: int) -> bytes:
        """Bytes from `start` to before `end`."""
        content = self.files[path]
        if isinstance(content, bytes):
            return content[start:end]
        with content.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def is_large(self, path: str) -> bool:
        """Whether the file is kept in the storage."""
        return self.size(path) >= LARGE_BYTES

    def etag(self, path: str) -> str:
        """SHA-256 of the content for large files, a SHA-1 for others."""
        make = hashlib.sha256 if self.is_large(path) else hashlib.sha1
        digest = make()
        content = self.files[path]
        if isinstance(content, Path):
            with content.open("rb") as file:
                for piece in iter(lambda: file.read(1 << 20), b""):
                    digest.update(piece)
        else:
            digest.update(content)
        return digest.hexdigest()


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose address contains `where`."""

    where: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    reset_after: int | None = None
    """Break the connection after so many bytes of the body."""
    stall_s: float = 0.0
    """Hold the connection open and silent so long before breaking it."""
    ignore_range: bool = False
    """Answer with the whole file and status 200."""
    delay_s: float = 0.0


@dataclass
class Request:
    """One request that was answered, noted before its answer leaves so that no test can be faster.

    `sent` counts the bytes of the body that were handed to the network.
    """

    origin: str
    method: str
    path: str
    range: str | None
    authorized: bool
    status: int
    sent: int
    connection: int


class HubServer:
    """The state that both origins share; use `serving` to start one."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.signature = 0
        self._etags: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self.hub = _origin(self, "hub")
        self.storage = _origin(self, "storage")

    @property
    def url(self) -> str:
        """What HF_ENDPOINT should be."""
        return f"http://127.0.0.1:{self.hub.server_address[1]}"

    @property
    def storage_url(self) -> str:
        """Where the redirects lead."""
        return f"http://127.0.0.1:{self.storage.server_address[1]}"

    def bytes_sent(self, containing: str = "") -> int:
        """Bytes of all bodies sent for addresses that contain this."""
        with self._lock:
            return sum(r.sent for r in self.requests if containing in r.path)

    def asked(self, containing: str = "") -> list[Request]:
        """The requests whose address contains this."""
        with self._lock:
            return [r for r in self.requests if containing in r.path]

    def forget(self) -> None:
        """Starts counting anew."""
        with self._lock:
            self.requests.clear()

    def expire_links(self) -> None:
        """Makes every address of the storage that was given out so far worthless."""
        self.signature += 1

    def note(self, request: Request) -> None:
        """Counts a request."""
        with self._lock:
            self.requests.append(request)

    def fault_for(self, path: str) -> Fault | None:
        """The fault that is due for this request, if one is."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and fault.where in path:
                    fault.times -= 1
                    return fault
        return None

    def etag(self, repo_id: str, path: str) -> str:
        """The ETag of a file, computed once."""
        key = (repo_id, path)
        if key not in self._etags:
            self._etags[key] = self.repos[repo_id].etag(path)
        return self._etags[key]


@contextmanager
def serving(repos: dict[str, Repo]) -> Generator[HubServer]:
    """A running server of these repositories, on two ports of its own."""
    server = HubServer()
    server.repos.update(repos)
    threads = [
        threading.Thread(target=origin.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        for origin in (server.hub, server.storage)
    ]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for origin in (server.hub, server.storage):
            origin.shutdown()
            origin.server_close()
        for thread in threads:
            thread.join()


def _origin(state: HubServer, name: str) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"state": state, "origin": name})
    origin = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    origin.daemon_threads = True
    return origin


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: HubServer
    origin: str

    def do_GET(self) -> None:
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError):  # a killed client is part of the tests
            self.close_connection = True

    do_HEAD = do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Says nothing: what was asked is in `requests`."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        self._fault = self.state.fault_for(self.path)
        if self._fault is not None:
            time.sleep(self._fault.delay_s)
            if self._fault.status is not None:
                self._send(self._fault.status, b'{"error": "injected"}', self._fault.headers)
                return
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if self.origin == "storage":
            self._storage(path, parts.query)
        elif path.startswith("/api/datasets/"):
            self._api(path.removeprefix("/api/datasets/").split("/"), parts.query, body)
        elif path.startswith("/datasets/") and "/resolve/" in path:
            self._resolve(path)
        else:
            self._refuse(404, "EntryNotFound")

    def _repo(self, repo_id: str) -> Repo | None:
        """The repository, or None after telling the client why it may not have it."""
        repo = self.state.repos.get(repo_id)
        if repo is None:
            self._refuse(401 if not self._authorized() else 404, "RepoNotFound")
            return None
        if repo.token is not None and self.headers.get("Authorization") != f"Bearer {repo.token}":
            self._refuse(*((403, "GatedRepo") if repo.gated else (401, "RepoNotFound")))
            return None
        return repo

    def _revision(self, repo: Repo, revision: str) -> bool:
        if revision in ("main", repo.commit) or revision in repo.refs:
            return True
        self._refuse(404, "RevisionNotFound")
        return False

    def _api(self, parts: list[str], query: str, body: bytes) -> None:
        repo_id, rest = "/".join(parts[:2]), parts[2:]
        repo = self._repo(repo_id)
        if repo is None:
            return
        kind = rest[0] if rest else "revision"
        revision = rest[1] if len(rest) > 1 else "main"
        if not self._revision(repo, revision):
            return
        if kind == "revision":
            siblings = [{"rfilename": path} for path in sorted(repo.files)]
            self._json({"id": repo_id, "_id": "0", "sha": repo.commit, "private": False,
                        "gated": repo.gated, "downloads": 0, "likes": 0, "tags": [],
                        "siblings": siblings})  # fmt: skip
        elif kind == "tree":
            recursive = parse_qs(query).get("recursive", ["false"])[0].lower() == "true"
            self._tree(repo_id, repo, "/".join(rest[2:]), recursive=recursive)
        elif kind == "paths-info":
            paths = self._posted_paths(body)
            self._json([self._entry(repo_id, repo, path) for path in paths if path in repo.files])
        else:
            self._refuse(404, "EntryNotFound")

    def _posted_paths(self, body: bytes) -> list[str]:
        if "json" in (self.headers.get("Content-Type") or ""):
            return list(json.loads(body)["paths"])
        return parse_qs(body.decode()).get("paths", [])

    def _tree(self, repo_id: str, repo: Repo, folder: str, *, recursive: bool) -> None:
        prefix = f"{folder}/" if folder else ""
        below = sorted(path for path in repo.files if path.startswith(prefix))
        if folder and not below:
            self._refuse(404, "EntryNotFound")
            return
        entries: dict[str, dict[str, Any]] = {}
        for path in below:
            steps = path.removeprefix(prefix).split("/")
            for depth in range(1, len(steps)):
                name = prefix + "/".join(steps[:depth])
                if recursive or depth == 1:
                    entries[name] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
            if recursive or len(steps) == 1:
                entries[path] = self._entry(repo_id, repo, path)
        self._json(list(entries.values()))

    def _entry(self, repo_id: str, repo: Repo, path: str) -> dict[str, Any]:
        etag, size = self.state.etag(repo_id, path), repo.size(path)
        entry: dict[str, Any] = {"type": "file", "oid": etag[:40], "size": size, "path": path}
        if repo.is_large(path):
            entry["lfs"] = {"oid": etag, "size": size, "pointerSize": 134}
        return entry

    def _resolve(self, path: str) -> None:
        repo_id, _, rest = path.removeprefix("/datasets/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        repo = self._repo(repo_id)
        if repo is None or not self._revision(repo, revision):
            return
        headers = {"X-Repo-Commit": repo.commit, "Accept-Ranges": "bytes"}
        if name not in repo.files:
            self._refuse(404, "EntryNotFound", headers)
            return
        etag = self.state.etag(repo_id, name)
        if not repo.is_large(name):
            self._content(repo, name, headers | {"ETag": f'"{etag}"'})
            return
        location = f"{self.state.storage_url}/{quote(repo_id)}/{quote(name)}"
        headers |= {
            "Location": f"{location}?signature={self.state.signature}",
            "X-Linked-Size": str(repo.size(name)),
            "X-Linked-ETag": f'"{etag}"',
        }
        self._send(302, b"", headers)

    def _storage(self, path: str, query: str) -> None:
        if parse_qs(query).get("signature") != [str(self.state.signature)]:
            self._send(403, b"<Error>expired</Error>", {"Content-Type": "application/xml"})
            return
        if self._authorized():  # as S3 does with a header besides the signature
            self._send(400, b"<Error>only one auth mechanism allowed</Error>", {})
            return
        owner, name, file = path.lstrip("/").split("/", 2)
        self._content(self.state.repos[f"{owner}/{name}"], file, {"Accept-Ranges": "bytes"})

    def _content(self, repo: Repo, path: str, headers: dict[str, str]) -> None:
        size = repo.size(path)
        start, end, status = 0, size, 200
        wanted = self.headers.get("Range")
        if wanted and not (self._fault and self._fault.ignore_range):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(size - int(last), 0)
            end = min(int(last) + 1, size) if first and last else size
            if start >= size:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            status = 206
            headers = headers | {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
        noted = self._head(status, end - start, headers)
        if self.command != "HEAD":
            self._stream(repo, path, start, end, noted)

    def _stream(self, repo: Repo, path: str, start: int, end: int, noted: Request) -> None:
        """Sends the bytes, until the client or a fault breaks it off."""
        limit = self._fault.reset_after if self._fault else None
        try:
            for at in range(start, end, _PIECE):
                piece = repo.read(path, at, min(at + _PIECE, end))
                if limit is not None and noted.sent + len(piece) > limit:
                    self.wfile.write(piece[: limit - noted.sent])
                    noted.sent = limit
                    time.sleep(self._fault.stall_s if self._fault else 0.0)
                    self._reset()
                    return
                noted.sent += len(piece)
                self.wfile.write(piece)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)

    def _authorized(self) -> bool:
        return self.headers.get("Authorization") is not None

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        noted = self._head(status, len(body), headers)
        if self.command != "HEAD":
            noted.sent = len(body)
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> Request:
        noted = Request(
            origin=self.origin,
            method=self.command,
            path=unquote(urlsplit(self.path).path),
            range=self.headers.get("Range"),
            authorized=self._authorized(),
            status=status,
            sent=0,
            connection=self.client_address[1],
        )
        self.state.note(noted)
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        return noted
