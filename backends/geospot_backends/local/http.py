"""HTTP/1.1 on asyncio and h11: as much of it as the Tinker protocol needs, and no more.

Requests are read whole, with a limit on their size; a request that its admission refuses is answered
before its body is read. Connections stay open between requests.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 256 * 1024
_HEAD_BYTES: Final = 64 * 1024
_BODY_S: Final = 120.0
"""A request whose body takes longer than this to arrive is dropped."""
_IDLE_S: Final = 300.0
_LINGER_S: Final = 2.0
_START_BYTES: Final = 4096
_START_S: Final = 0.5
"""How long the start of a body is waited for that is refused for its length."""
_MAX_CONNECTIONS: Final = 2048


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names in lower case, the body empty while it is being admitted."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, value: Any, status: int = 200) -> "Response":
        """JSON."""
        return cls(status, json.dumps(value).encode())

    @classmethod
    def error(cls, status: int, detail: str) -> "Response":
        """A failure, in the form in which the SDK shows it."""
        return cls.of({"detail": detail}, status)


Admit = Callable[[Request], Response | None]
"""Looks at a request's head; an answer refuses it."""
Handle = Callable[[Request], Awaitable[Response]]
Overlong = Callable[[Request], None]
"""Is told of a request that was refused for its length; the body is the start of what came."""


class HttpServer:
    """Serves one handler on one listening socket.

    Args:
        admit: called with a request's head before its body is read.
        handle: called with the whole request.
        overlong: called with what came of one that is too long.
        max_body_bytes: a larger body is refused with status 413.
    """

    def __init__(
        self, admit: Admit, handle: Handle, overlong: Overlong, *, max_body_bytes: int
    ) -> None:
        self._admit = admit
        self._handle = handle
        self._overlong = overlong
        self._max_body_bytes = max_body_bytes
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Accepts connections on a bound socket, which from now on belongs to the server."""
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=_CHUNK_BYTES)

    async def aclose(self) -> None:
        """Stops accepting and drops what is open."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= _MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._serve(_Wire(reader, writer))
        except (OSError, h11.ProtocolError, TimeoutError, EOFError):
            pass  # the other side went away, or speaks something else
        except asyncio.CancelledError:
            pass  # the server stops
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, wire: "_Wire") -> None:
        while True:
            try:
                request = await self._receive(wire)
            except h11.RemoteProtocolError as error:
                if wire.can_answer():
                    refusal = Response.error(error.error_status_hint, f"no HTTP request: {error}")
                    await wire.refuse(refusal)
                return
            if request is None:
                return
            await wire.answer(await self._handle(request))
            if not wire.ready_for_next():
                return

    async def _receive(self, wire: "_Wire") -> Request | None:
        """The next request, whole; None where there is none, or it was refused."""
        head = await wire.head()
        if head is None:
            return None
        refusal = self._admit(head)
        if refusal is not None:
            await wire.refuse(refusal)
            return None
        try:
            if int(head.headers.get("content-length", "0")) > self._max_body_bytes:
                raise _TooLongError(await wire.start_of_body())
            return replace(head, body=await wire.body(self._max_body_bytes))
        except _TooLongError as error:
            self._overlong(replace(head, body=error.start))
            refusal = f"the request has more than {self._max_body_bytes:,} bytes"
            await wire.refuse(Response.error(413, refusal))
            return None


class _TooLongError(Exception):
    def __init__(self, start: bytes) -> None:
        super().__init__()
        self.start = start


class _Wire:
    """One connection, seen as requests and answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._wants_body = True

    async def head(self) -> Request | None:
        """The next request without its body; None where the other side is done."""
        self._wants_body = True
        async with asyncio.timeout(_IDLE_S):
            event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        self._wants_body = event.method != b"HEAD"
        _check_size(event)
        try:
            target = urlsplit(event.target.decode("ascii", "replace"))
        except ValueError as error:
            raise h11.RemoteProtocolError(f"the target can't be read: {error}") from error
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        return Request(
            event.method.decode("ascii", "replace"),
            unquote(target.path),
            dict(parse_qsl(target.query)),
            headers,
        )

    async def body(self, limit: int) -> bytes:
        """What follows the head, `_TooLongError` beyond the limit."""
        parts: list[bytes] = []
        size = 0
        async with asyncio.timeout(_BODY_S):
            while isinstance(event := await self._event(), h11.Data):
                parts.append(bytes(event.data))
                size += len(event.data)
                if size > limit:
                    raise _TooLongError(b"".join(parts)[:_START_BYTES])
        return b"".join(parts)

    async def start_of_body(self) -> bytes:
        """Some of the body, where it comes without being asked for."""
        if self._http.they_are_waiting_for_100_continue:
            return b""
        start = b""
        with suppress(TimeoutError, h11.RemoteProtocolError):  # the rest of it never comes
            async with asyncio.timeout(_START_S):
                while len(start) < _START_BYTES and isinstance(
                    event := await self._event(), h11.Data
                ):
                    start += bytes(event.data)
        return start

    async def refuse(self, response: Response) -> None:
        """Answers a request whose body wasn't read, and ends the connection.

        Closing at once would reset it, and the other side might never see the answer.
        """
        await self.answer(response, close=True)
        self._writer.write_eof()
        async with asyncio.timeout(_LINGER_S):
            while await self._reader.read(_CHUNK_BYTES):
                pass

    async def answer(self, response: Response, *, close: bool = False) -> None:
        """Sends the answer; after `close` the connection takes no further request."""
        headers = list(response.headers.items())
        if response.status != 204:
            headers.append(("content-type", response.content_type))
            headers.append(("content-length", str(len(response.body))))
        if close:
            headers.append(("connection", "close"))
        head = h11.Response(status_code=response.status, headers=headers)
        pieces = [self._http.send(head)]
        if response.body and self._wants_body:
            pieces.append(self._http.send(h11.Data(data=response.body)))
        pieces.append(self._http.send(h11.EndOfMessage()))
        self._writer.write(b"".join(piece for piece in pieces if piece))
        await self._writer.drain()

    def can_answer(self) -> bool:
        """Whether an answer can be sent: none was begun."""
        return self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    def ready_for_next(self) -> bool:
        """Whether the connection can be used again; makes it so."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _event(self) -> Any:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                go_on = self._http.send(h11.InformationalResponse(status_code=100, headers=[]))
                self._writer.write(go_on or b"")
            self._http.receive_data(await self._reader.read(_CHUNK_BYTES))


def _check_size(head: h11.Request) -> None:
    """Refuses a head that is too long; h11 does so only while parts of it are missing."""
    lines = sum(len(name) + len(value) for name, value in head.headers)
    if lines + len(head.target) > _HEAD_BYTES:
        raise h11.RemoteProtocolError("its head is too long", error_status_hint=431)


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening TCP socket; port 0 takes a free one.

    Raises:
        OSError: the address is taken, or isn't one of this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # asyncio switches Nagle's algorithm off only where the protocol is named, and it is inherited
    # by what is accepted: without it a request costs 40 ms.
    listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
