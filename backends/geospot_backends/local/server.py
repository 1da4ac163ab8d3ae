"""A Tinker-compatible server: the protocol of the tinker SDK 0.38 over HTTP, in front of an engine.

`EmbeddedServer` runs it in a thread of this process, `serving` in a process of its own.
"""

import asyncio
import hmac
import logging
import socket
import threading
from typing import Any, Final, Self
from urllib.parse import urlsplit

from geospot.errors import EXHAUSTED, MORE_FILES, UsageError
from geospot.services.loopback import is_loopback
from geospot_backends.local.api import Engine, EngineError
from geospot_backends.local.catalogue import Catalogue
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.downloads import Downloads
from geospot_backends.local.failures import EngineDiedError, GoneError, NotFoundError
from geospot_backends.local.fields import BadMessageError
from geospot_backends.local.futures import UnknownRequestError
from geospot_backends.local.http import HttpServer, Request, Response, listen
from geospot_backends.local.operations import Operations
from geospot_backends.local.routes import (
    DOWNLOADS,
    FORWARD_BACKWARD,
    ROOT,
    ROUTES,
    Served,
    take_turn,
)

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 256 * 1024 * 1024


class TinkerServer:
    """Admits requests, has their routes answer them, and says what went wrong in HTTP's terms.

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
        catalogue = Catalogue(store)
        self.operations = Operations(engine, catalogue)
        self._served = Served(self.operations, catalogue, Downloads(DOWNLOADS), public_url)
        self._key = key
        self._http = HttpServer(
            self._admit, self._handle, self._overlong, max_body_bytes=MAX_BODY_BYTES
        )

    async def start(self, listener: socket.socket) -> None:
        """Begins to serve on a bound socket, when the models are loaded.

        Raises:
            EngineError: one can't be.
        """
        asyncio.get_running_loop().set_exception_handler(_tell)
        await self.operations.start()
        await self._http.start(listener)

    async def aclose(self) -> None:
        """Stops serving and waits for what the engine is doing."""
        await self._http.aclose()
        await self.operations.aclose()

    def _admit(self, request: Request) -> Response | None:
        if request.path == f"{ROOT}/healthz" or request.path.startswith(DOWNLOADS):
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
        if request.path == FORWARD_BACKWARD:
            why = f"the request had more than {MAX_BODY_BYTES:,} bytes"
            take_turn(self._served, request.body, why)

    async def _handle(self, request: Request) -> Response:
        try:
            for method, pattern, route in ROUTES:
                found = pattern.fullmatch(request.path)
                if found and method == request.method:
                    return await route(self._served, request, found[1] if pattern.groups else "")
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


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What went wrong beside all requests; no connection can be taken where no file can be opened."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        log.warning("A connection has to wait: %s. %s", error.strerror, MORE_FILES)
    else:
        loop.default_exception_handler(context)


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
