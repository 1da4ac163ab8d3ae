"""A Tinker-compatible server in a thread that asks for a key, as one that others can reach does."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager

from geospot_backends.local.api import Engine
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import TinkerServer, address_of, open_listener


@contextmanager
def keyed_server(engine: Engine, store: CheckpointStore, key: str) -> Generator[str]:
    """Its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listener = open_listener("127.0.0.1", 0, key=key)
    server = TinkerServer(engine, store, key=key)
    asyncio.run_coroutine_threadsafe(server.start(listener), loop).result()
    try:
        yield address_of(listener)
    finally:
        asyncio.run_coroutine_threadsafe(server.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
