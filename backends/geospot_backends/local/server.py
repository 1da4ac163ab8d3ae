"""A Tinker-compatible server: the protocol of the tinker SDK 0.38 over HTTP, in front of an engine.

`EmbeddedServer` runs it in a thread of this process, `serving` in a process of its own.
"""

import asyncio
import hmac
import logging
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Self
from urllib.parse import urlsplit

from geospot.errors import UsageError
from geospot.services.loopback import is_loopback
from geospot_backends.local.api import Engine, EngineError
from geospot_backends.local.batches import ForwardBackward, numbered, start_of_compressed
from geospot_backends.local.catalogue import Catalogue
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.downloads import Downloads
from geospot_backends.local.failures import EngineDiedError, GoneError, NotFoundError
from geospot_backends.local.fields import BadMessageError, Fields
from geospot_backends.local.futures import UnknownRequestError
from geospot_backends.local.http import HttpServer, Request, Response, listen
from geospot_backends.local.operations import Operations
from geospot_backends.local.training_requests import TrainingRequests

log = logging.getLogger(__name__)

ROOT: Final = "/api/v1"
MAX_BODY_BYTES: Final = 256 * 1024 * 1024

_POLL_S: Final = 20.0
"""How long a request for a result is held; the SDK gives up after 45 s."""
_CLIENT_CONFIG: Final = {
    # Next to the client there is no reason to cut a batch up, and some not to: answers to one
    # prompt share its pass only within a request.
    "fwdbwd_max_chunk_bytes_count": 64_000_000,
    "fwdbwd_dispatch_bytes_semaphore_size": 128_000_000,
    "sample_dispatch_bytes_semaphore_size": 256_000_000,
    "inflight_response_bytes_semaphore_size": 256_000_000,
}
_FORWARD_BACKWARD: Final = f"{ROOT}/forward_backward"
_DOWNLOADS: Final = f"{ROOT}/downloads/"
_DYNAMIC_CONFIG: Final = {"sample_cancel_enabled": True}

Route = Callable[["TinkerServer", Request, str], "Awaitable[Response]"]


class TinkerServer:
    """Routes the protocol's requests to the operations.

    Args:
        store: the engine's checkpoints.
        key: what clients must send as X-API-Key; None asks for none.
        public_url: the address under which clients reach this server where it isn't the one that they
            name in their requests, as behind a proxy with TLS.
    """

    def __init__(
        self,
        engine: Engine,
        store: CheckpointStore,
        *,
        key: str | None = None,
        public_url: str | None = None,
    ) -> None:
        self.catalogue = Catalogue(store)
        self.operations = Operations(engine, self.catalogue)
        self._key = key
        self._public_url = public_url
        self._downloads = Downloads(_DOWNLOADS)
        self._http = HttpServer(
            self._admit, self._handle, self._overlong, max_body_bytes=MAX_BODY_BYTES
        )

    async def start(self, listener: socket.socket) -> None:
        """Begins to serve on a bound socket, when the models are loaded.

        Raises:
            EngineError: one can't be.
        """
        await self.operations.start()
        await self._http.start(listener)

    async def aclose(self) -> None:
        """Stops serving and waits for what the engine is doing."""
        await self._http.aclose()
        await self.operations.aclose()

    def _admit(self, request: Request) -> Response | None:
        if request.path == f"{ROOT}/healthz" or request.path.startswith(_DOWNLOADS):
            return None  # a download's address is a secret in itself
        if self._key is not None:
            sent = request.headers.get("x-api-key", "")
            if not hmac.compare_digest(sent.encode(), self._key.encode()):
                return Response.error(401, "the X-API-Key is not the one that this server takes")
            return None
        # Without a key, a web page that is open on this machine must not be able to use the server.
        if "origin" in request.headers or not is_loopback(_host(request)):
            return Response.error(403, "this server serves programs on its own machine only")
        return None

    def _overlong(self, request: Request) -> None:
        if request.path == _FORWARD_BACKWARD:
            self._take_turn(request.body, f"the request had more than {MAX_BODY_BYTES:,} bytes")

    def _take_turn(self, start: bytes, why: str) -> None:
        """Keeps a refused forward_backward from holding up those after it, where its start tells."""
        if told := numbered(start):
            self.operations.training.refuse(*told, why)

    async def _handle(self, request: Request) -> Response:
        try:
            for method, pattern, route in _ROUTES:
                found = pattern.fullmatch(request.path)
                if found and method == request.method:
                    return await route(self, request, found[1] if pattern.groups else "")
            return Response.error(404, f"there is no {request.method} {request.path}")
        except BadMessageError as error:
            return Response.error(422, str(error))
        except NotFoundError as error:
            return Response.error(404, str(error))
        except (GoneError, UnknownRequestError, EngineDiedError) as error:
            return Response.error(410, str(error))  # the SDK asks again after a 5xx, for minutes
        except EngineError as error:
            return Response.error(400 if error.category == "user" else 500, error.message)
        except Exception:
            log.exception("%s %s failed.", request.method, request.path)
            return Response.error(500, "the server has a bug; its log says more")

    async def retrieve(self, request: Request, _: str) -> Response:
        """A promised result, or word that it takes longer."""
        request_id = Fields.parse(request.body).text("request_id")
        payload = await self.operations.results.wait(request_id, _POLL_S)
        if payload is None:
            waiting = {"type": "try_again", "request_id": request_id, "queue_state": "active"}
            return Response.of(waiting, 408)
        return Response(200, payload.body, payload.content_type)

    async def external_weights_urls(self, request: Request, id_: str) -> Response:
        """An address for each file of a checkpoint, good for an hour."""
        run, _, name = id_.partition("/checkpoints/external_weights/")
        files = await asyncio.to_thread(self.catalogue.files, run, name)
        base_url = self._public_url or f"http://{request.headers.get('host', '')}"
        paths, expires = self._downloads.offer(files)
        urls = {file_name: base_url + path for file_name, path in paths.items()}
        return Response.of({"urls": urls, "expires": expires})

    async def download(self, request: Request, _: str) -> Response:
        """A file of a checkpoint."""
        content = await asyncio.to_thread(self._downloads.read, request.path)
        return Response(200, content, "application/octet-stream")

    async def forward_backward(self, request: Request, _: str) -> Response:
        """The one request that comes as protobuf."""
        if "content-encoding" in request.headers:
            why = "this server takes bodies that are not compressed"
            self._take_turn(start_of_compressed(request.body), why)
            return Response.error(415, why)
        try:
            message = ForwardBackward(request.body)
        except BadMessageError as error:
            self._take_turn(request.body, error.message)
            raise
        return Response.of(self.operations.training.forward_backward(message))


def _constant(value: dict[str, Any]) -> Route:
    async def route(_: TinkerServer, __: Request, ___: str) -> Response:
        return Response.of(value)

    return route


def _with_body(operation: Callable[[Operations, Fields], dict[str, Any]]) -> Route:
    async def route(server: TinkerServer, request: Request, _: str) -> Response:
        return Response.of(operation(server.operations, Fields.parse(request.body)))

    return route


def _training(operation: Callable[[TrainingRequests, Fields], dict[str, Any]]) -> Route:
    return _with_body(lambda on, asked: operation(on.training, asked))


def _of_id(operation: Callable[[Operations, str], dict[str, Any]]) -> Route:
    async def route(server: TinkerServer, _: Request, id_: str) -> Response:
        return Response.of(operation(server.operations, id_))

    return route


def _listing(list_: Callable[[Catalogue, str, Mapping[str, str]], dict[str, Any]]) -> Route:
    async def route(server: TinkerServer, request: Request, id_: str) -> Response:
        return Response.of(await asyncio.to_thread(list_, server.catalogue, id_, request.query))

    return route


async def _weights_info(server: TinkerServer, request: Request, _: str) -> Response:
    path = Fields.parse(request.body).text("tinker_path")
    return Response.of(await asyncio.to_thread(server.catalogue.weights_info, path))


async def _delete_checkpoint(server: TinkerServer, request: Request, id_: str) -> Response:
    await asyncio.to_thread(server.catalogue.delete, id_)
    return Response(204)


async def _expire_checkpoint(server: TinkerServer, request: Request, id_: str) -> Response:
    seconds = Fields.parse(request.body).whole_or_none("ttl_seconds")
    await asyncio.to_thread(server.catalogue.expire, id_, seconds)
    return Response(204)


async def _create_sampling_session(server: TinkerServer, request: Request, _: str) -> Response:
    return Response.of(await server.operations.sampling.create(Fields.parse(request.body)))


async def _sampler(server: TinkerServer, _: Request, sampler_id: str) -> Response:
    return Response.of(await server.operations.sampling.describe(sampler_id))


async def _finish(server: TinkerServer, _: Request, session_id: str) -> Response:
    server.operations.finish_session(session_id)
    return Response(204)


async def _cancel(server: TinkerServer, request: Request, _: str) -> Response:
    server.operations.sampling.cancel(Fields.parse(request.body))
    return Response(204)


def _route(method: str, path: str, route: Route) -> tuple[str, re.Pattern[str], Route]:
    return method, re.compile(re.escape(ROOT) + path), route


_ROUTES: Final = [
    _route("POST", "/retrieve_future", TinkerServer.retrieve),
    _route("POST", "/asample", _with_body(lambda on, asked: on.sampling.sample(asked))),
    _route("POST", "/forward_backward", TinkerServer.forward_backward),
    _route("POST", "/optim_step", _training(TrainingRequests.optim_step)),
    _route(
        "POST",
        "/save_weights_for_sampler",
        _training(TrainingRequests.save_weights_for_sampler),
    ),
    _route("POST", "/save_weights", _training(TrainingRequests.save_weights)),
    _route(
        "POST",
        "/save_weights_external",
        _training(TrainingRequests.save_weights_external),
    ),
    _route("POST", "/load_weights", _training(TrainingRequests.load_weights)),
    _route("POST", "/create_model", _training(TrainingRequests.create_model)),
    _route("POST", "/get_info", _training(TrainingRequests.get_info)),
    _route("POST", "/create_sampling_session", _create_sampling_session),
    _route("GET", "/samplers/(.+)", _sampler),
    _route("POST", "/cancel_future", _cancel),
    _route("GET", "/healthz", _constant({"status": "ok"})),
    _route("GET", "/get_server_capabilities", _of_id(lambda on, _: on.capabilities())),
    _route("POST", "/client/config", _constant(_CLIENT_CONFIG)),
    _route("POST", "/client/dynamic_config", _constant(_DYNAMIC_CONFIG)),
    _route("POST", "/create_session", _of_id(lambda on, _: on.sessions.create())),
    _route(
        "POST", "/session_heartbeat", _with_body(lambda on, asked: on.sessions.heartbeat(asked))
    ),
    _route("GET", "/sessions", _of_id(lambda on, _: on.sessions.listed())),
    _route("GET", "/sessions/([^/]+)", _of_id(lambda on, id_: on.sessions.described(id_))),
    _route("POST", "/sessions/([^/]+)/finish", _finish),
    _route("GET", "/checkpoints", _listing(lambda c, _, query: c.checkpoints(None, query))),
    _route("GET", "/training_runs", _listing(lambda c, _, query: c.runs(query))),
    _route("GET", "/training_runs/([^/]+)", _listing(lambda c, run, _: c.run(run))),
    _route("GET", "/training_runs/([^/]+)/checkpoints", _listing(Catalogue.checkpoints)),
    _route("GET", "/training_runs/(.+)/external_weights_urls", TinkerServer.external_weights_urls),
    _route("GET", "/downloads/.+", TinkerServer.download),
    _route("DELETE", "/training_runs/(.+)", _delete_checkpoint),
    _route("PUT", "/training_runs/(.+)/ttl", _expire_checkpoint),
    _route("POST", "/weights_info", _weights_info),
    _route("POST", "/telemetry", _constant({"status": "accepted"})),
]


def _host(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def open_listener(host: str, port: int, *, key: str | None) -> socket.socket:
    """A socket to serve on.

    Raises:
        UsageError: the address is taken or isn't ours, or others could reach it without a key.
    """
    if key is None and not is_loopback(host):
        raise UsageError(
            f"Serving on {host} lets others in, and no key is set.",
            "Put a key that starts with tml- into an environment variable and name it with "
            "--api-key-env, or serve on 127.0.0.1.",
        )
    try:
        return listen(host, port)
    except OSError as error:
        raise UsageError(
            f"Can't serve on {host}, port {port}: {error.strerror or error}.",
            "Is another server running there? --port chooses another, 0 a free one.",
        ) from error


def address_of(listener: socket.socket) -> str:
    """The base URL that clients use."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _end_others() -> None:
    """Ends what still runs on this loop: a connection that came in while the server stopped."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class EmbeddedServer:
    """A server in a thread of this process, on a free port of the loopback interface."""

    def __init__(self, engine: Engine, store: CheckpointStore, *, port: int = 0) -> None:
        listener = open_listener("127.0.0.1", port, key=None)
        self.base_url = address_of(listener)
        self._loop = asyncio.new_event_loop()
        self._server = TinkerServer(engine, store)
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="geospot-server", daemon=True
        )
        self._thread.start()
        try:
            self._do(self._server.start(listener))
        except BaseException:
            listener.close()
            self.close()
            raise

    def close(self) -> None:
        """Stops the server; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._do(self._server.aclose())
        self._do(_end_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()
