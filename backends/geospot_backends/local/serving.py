"""What `geospot serve` runs: the engine behind a socket that other programs may use."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from geospot.errors import BackendError, KeyMissingError, UsageError
from geospot.services.endpoint import ServeOptions, check_url
from geospot.services.loopback import is_loopback
from geospot.stopsignals import stop_signals
from geospot_backends.local.api import EngineError
from geospot_backends.local.embedded import (
    cannot_start,
    check_packages,
    default_state_dir,
    make_engine,
)

if TYPE_CHECKING:
    from geospot_backends.local.server import TinkerServer

_LAST_WORDS_S: Final = 2.0
"""How long a server whose engine has died goes on telling those who wait."""


def run(options: ServeOptions, tell: Callable[[str], None]) -> None:
    """Entry point `local` of group `geospot.servers`: serves until SIGINT, SIGTERM or SIGHUP.

    Raises:
        PluginError: the packages of the extra `local` aren't installed.
        UsageError: the address can't be served on, or a model can't be loaded.
        BackendError: the engine has died.
        KeyMissingError: the named environment variable holds no key.
    """
    key = _read_key(options.api_key_env)
    public_url = _check_public_url(options.public_url, key)
    check_packages()
    from geospot_backends.local.server import open_listener

    listener = open_listener(options.host, options.port, key=key)
    try:
        _serve_on(listener, options, key, public_url, tell)
    finally:
        listener.close()


def _serve_on(
    listener: socket.socket,
    options: ServeOptions,
    key: str | None,
    public_url: str | None,
    tell: Callable[[str], None],
) -> None:
    """Imports the engine, which takes seconds, and serves."""
    tell("Starting: torch and transformers take some seconds to import.")
    engine = make_engine(options.state_dir, options.models, device=options.device)
    from geospot_backends.local.server import TinkerServer, address_of

    server = TinkerServer(engine, engine.checkpoints, key=key, public_url=public_url)

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, stop.set)
        try:
            await server.start(listener)
            tell(f"Models: {', '.join(server.operations.model_names())}.")
            tell(f"Checkpoints: {options.state_dir or default_state_dir()}")
            tell(f"Serving the Tinker protocol at {address_of(listener)} until Ctrl-C.")
            await _until_stopped_or_broken(stop, server)
            tell("Stopping: what was saved is kept.")
        finally:
            await server.aclose()

    try:
        asyncio.run(serve())
    except EngineError as error:
        raise cannot_start(error) from error


async def _until_stopped_or_broken(stop: asyncio.Event, server: "TinkerServer") -> None:
    """Waits for either.

    Raises:
        BackendError: the engine has died.
    """
    stopped = asyncio.create_task(stop.wait())
    broken = asyncio.create_task(server.operations.broken())
    await asyncio.wait([stopped, broken], return_when=asyncio.FIRST_COMPLETED)
    if broken.done():
        await asyncio.wait([stopped], timeout=_LAST_WORDS_S)
        raise BackendError(
            f"The server stops: {broken.result().message}.", "Its checkpoints are still there."
        )
    broken.cancel()


def _check_public_url(text: str | None, key: str | None) -> str | None:
    if text is None:
        return None
    url = check_url(text)
    if key is None and not is_loopback(urlsplit(url).hostname or ""):
        raise UsageError(
            f"Clients that come through {url} are others, and no key is set.",
            "Put a key that starts with tml- into an environment variable and name it with "
            "--api-key-env.",
        )
    return url


def _read_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise KeyMissingError(
            f"The environment variable {variable} is not set.",
            f"Run `export {variable}=tml-…` with a key of your own making.",
        )
    if not key.startswith("tml-"):
        raise KeyMissingError(
            f"The key in {variable} doesn't start with tml-, and the tinker SDK takes no other.",
            "Put tml- in front of it.",
        )
    return key
