"""Conversations with an HTTP server over a real socket, and what has to come of each.

A conversation is a row of requests on one connection, sent without waiting for answers (pipelined). Its bytes
are cut into pieces at random, sent with or without pauses, and perhaps cut off; then the connection is half
closed, closed or reset. Whatever way they arrive, the same bytes have to get the same answers.
"""

import json
import random
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

import h11

Ending = Literal["half-closed", "closed", "reset"]

ANSWERED_WITHIN_S: Final = 60.0
"""An answer that stays out for so long doesn't come."""
_ROOT: Final = b"/api/v1/"
_HEAD_BYTES: Final = 64 * 1024
_LONGEST_PAUSE_S: Final = 0.003
_MOST_PAUSES: Final = 8


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and which statuses answer it; after `ends` the server takes no further one."""

    data: bytes
    statuses: tuple[int, ...]
    method: bytes = b"POST"
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one client says: its requests, and how its bytes arrive."""

    asks: tuple[Ask, ...]
    pieces: tuple[bytes, ...]
    pauses_s: tuple[float, ...]
    ending: Ending
    sent: int
    """Bytes of the requests that are sent at all."""

    @property
    def answered(self) -> int:
        """How many of the requests have to be answered, at least: those that arrive whole."""
        whole = at = 0
        for ask in self.asks:
            at += len(ask.data)
            if at > self.sent:
                break
            whole += 1
            if ask.ends:
                break
        return whole


def request(chance: random.Random, method: bytes, path: bytes, body: bytes, *lines: bytes) -> bytes:
    """A request whose body comes with a length or in chunks, as it falls."""
    head = [method + b" " + _ROOT + path + b" HTTP/1.1", b"Host: 127.0.0.1", *lines]
    if method in (b"GET", b"HEAD") and not body:
        return b"\r\n".join([*head, b"", b""])
    if chance.random() < 0.5:
        return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])
    return b"\r\n".join([*head, b"Transfer-Encoding: chunked", b"", _chunked(chance, body)])


def ask(chance: random.Random) -> Ask:
    """A request of one of many kinds."""
    return chance.choice(_KINDS)(chance)


def converse(chance: random.Random) -> Conversation:
    """A conversation of one to eight requests."""
    asks = tuple(ask(chance) for _ in range(chance.randrange(1, 9)))
    data = b"".join(one.data for one in asks)
    ending: Ending = chance.choice(("half-closed", "half-closed", "closed", "reset"))
    sent = len(data) if chance.random() < 0.6 else chance.randrange(len(data) + 1)
    cuts = sorted(chance.randrange(sent + 1) for _ in range(chance.choice((0, 1, 3, 12, 60))))
    pieces = tuple(data[a:b] for a, b in zip([0, *cuts], [*cuts, sent], strict=True))
    slow = set(chance.sample(range(len(pieces)), min(len(pieces), _MOST_PAUSES)))
    is_slow = chance.random() < 0.4
    pauses_s = tuple(
        chance.uniform(0.0, _LONGEST_PAUSE_S) if is_slow and at in slow else 0.0
        for at in range(len(pieces))
    )
    return Conversation(asks, pieces, pauses_s, ending, sent)


def hold(port: int, conversation: Conversation) -> bytes | None:
    """Says it all; what came back until the server closed, None where nobody stayed to listen.

    Raises:
        TimeoutError: the server neither answered nor closed.
    """
    said = bytearray()
    with socket.create_connection(("127.0.0.1", port), ANSWERED_WITHIN_S) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # pieces stay pieces
        with suppress(ConnectionError):  # it refused and closed, and what it said may still be read
            for piece, pause_s in zip(conversation.pieces, conversation.pauses_s, strict=True):
                line.sendall(piece)
                if pause_s:
                    time.sleep(pause_s)
        if conversation.ending == "reset":
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if conversation.ending != "half-closed":
            return None
        with suppress(OSError):  # it has gone already
            line.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while heard := line.recv(65536):
                said += heard
    return bytes(said)


def wrong_with(said: bytes, conversation: Conversation) -> list[str]:
    """What the server should have answered otherwise, in a conversation that was heard to its end."""
    methods = [
        one.method if number < conversation.answered else b"POST"  # of what is cut nobody knows it
        for number, one in enumerate(conversation.asks)
    ]
    try:
        statuses = read_answers(said, methods)
    except (h11.ProtocolError, ValueError) as error:
        return [f"no well-formed HTTP ({error}): {said[-300:]!r}"]
    due = conversation.asks[: conversation.answered]
    lost = [
        f"request {number} got {status}, not {one.statuses}: {one.data[:120]!r}"
        for number, (status, one) in enumerate(zip(statuses, conversation.asks, strict=False))
        if status not in one.statuses and (number < len(due) or status != 400)
    ]
    if len(statuses) < len(due):
        lost.append(f"{len(statuses)} answers to {len(due)} whole requests")
    if due and due[-1].ends and len(statuses) > len(due):
        lost.append(f"{len(statuses)} answers, the last after a connection that had ended")
    return lost


def read_answers(said: bytes, methods: list[bytes]) -> list[int]:
    """The statuses of well-formed answers, one after the other, bodies of JSON looked into.

    Raises:
        h11.RemoteProtocolError: they aren't well-formed.
        ValueError: a body that says so is no JSON, or there is one answer more than requests.
    """
    statuses: list[int] = []
    while said:
        if len(statuses) == len(methods):
            raise ValueError("one answer more than requests")
        client = h11.Connection(h11.CLIENT)
        method = methods[len(statuses)]
        client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(said)
        body, kind, status = b"", b"", 0
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status, kind = event.status_code, dict(event.headers).get(b"content-type", b"")
            elif isinstance(event, h11.Data):
                body += event.data
            elif event is h11.NEED_DATA:
                if not status:  # it was asked for its body, and ended without one
                    return statuses
                raise ValueError("half an answer")
        if kind == b"application/json" and method != b"HEAD":
            json.loads(body)
        if status == 500:
            raise ValueError(f"the server's own fault: {body!r}")
        statuses.append(status)
        said = client.trailing_data[0]
    return statuses


def _chunked(chance: random.Random, body: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while at < len(body):
        to = min(len(body), at + chance.choice((1, 2, 7, 100, 5000)))
        size = b"%x" % (to - at)
        extension = b";name=value" if chance.random() < 0.2 else b""
        parts.append((size.upper() if chance.random() < 0.3 else size) + extension + b"\r\n")
        parts.append(body[at:to] + b"\r\n")
        at = to
    trailer = b"X-Trailer: 1\r\n" if chance.random() < 0.2 else b""
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def _healthy(chance: random.Random) -> Ask:
    return Ask(request(chance, b"GET", b"healthz", b""), (200,), b"GET")


def _padded(chance: random.Random) -> Ask:
    """Many headers, and long ones, but not too long."""
    lines = [b"X-%d: " % n + b"y" * chance.randrange(400) for n in range(chance.randrange(60))]
    return Ask(request(chance, b"GET", b"healthz", b"", *lines), (200,), b"GET")


def _nowhere(chance: random.Random) -> Ask:
    method = chance.choice((b"GET", b"POST", b"HEAD", b"DELETE", b"PATCH"))
    body = chance.randbytes(chance.randrange(300)) if method == b"POST" else b""
    return Ask(request(chance, method, b"no/such/page", body), (404,), method)


def _session(chance: random.Random) -> Ask:
    lines = [b"Expect: 100-continue"] if chance.random() < 0.3 else []
    return Ask(request(chance, b"POST", b"create_session", b"{}", *lines), (200,))


def _config(chance: random.Random) -> Ask:
    body = json.dumps({"sdk_version": "x" * chance.choice((0, 10, 5000, 200_000))}).encode()
    return Ask(request(chance, b"POST", b"client/config", body), (200,))


def _no_json(chance: random.Random) -> Ask:
    body = chance.choice((b"", b"{", b"[]", b"\xff" * 9, b"null", b"[" * 20_000, b'{"a":NaN}'))
    return Ask(request(chance, b"POST", b"weights_info", body), (422,))


def _stranger(chance: random.Random) -> Ask:
    """A web page that tries its luck is refused before its body is read."""
    line = chance.choice((b"Origin: http://evil.example", b"Host: evil.example"))
    data = request(chance, b"POST", b"client/config", b"{}", line)
    if line.startswith(b"Host"):
        data = data.replace(b"Host: 127.0.0.1\r\n", b"")
    return Ask(data, (403,), ends=True)


def _long_head(chance: random.Random) -> Ask:
    line = b"X-Long: " + b"y" * (_HEAD_BYTES + chance.randrange(200_000))
    return Ask(request(chance, b"GET", b"healthz", b"", line), (431,), b"GET", ends=True)


def _too_long(chance: random.Random) -> Ask:
    data = request(chance, b"POST", b"client/config", b"")
    head = data.partition(b"\r\n\r\n")[0].replace(
        b"Transfer-Encoding: chunked", b"Content-Length: 0"
    )
    size = b"Content-Length: %d" % chance.randrange(1 << 29, 1 << 60)
    return Ask(head.replace(b"Content-Length: 0", size) + b"\r\n\r\n", (413,), ends=True)


def _last(chance: random.Random) -> Ask:
    if chance.random() < 0.5:
        data = request(chance, b"GET", b"healthz", b"", b"Connection: close")
    else:
        data = b"GET /api/v1/healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
    return Ask(data, (200,), b"GET", ends=True)


def _malformed(chance: random.Random) -> Ask:
    data = chance.choice(
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
            b"GET /api/v1/healthz HTTP/1.1\r\n\r\n",
            b"GET  /two spaces HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n folded\x00: x\r\n\r\n",
        )
    )
    return Ask(data, (400, 501), b"GET", ends=True)


def _bad_chunk(chance: random.Random) -> Ask:
    head = b"POST /api/v1/client/config HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    bad = chance.choice((b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n", b"2\r\n{}X\r\n0\r\n\r\n"))
    return Ask(head + bad, (400,), ends=True)


_KINDS: Final = (
    *(_healthy, _padded, _nowhere, _session, _config, _no_json),
    *(_healthy, _padded, _nowhere, _session, _config, _no_json),
    *(_stranger, _long_head, _too_long, _last, _malformed, _bad_chunk),
)
