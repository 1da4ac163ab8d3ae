"""A run whose service is gone ends, and says why; one whose service comes back goes on."""

import asyncio
from pathlib import Path

import pytest

from geospot.errors import UnreachableError
from geospot.learning.stopping import StopRequest
from geospot.learning.watching import ended_if_away
from geospot.services import Endpoint
from geospot.services.endpoint import NO_KEY
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.support.scripted_engine import ScriptedEngine


def test_a_service_that_stays_away_ends_the_run(tmp_path: Path) -> None:
    server = EmbeddedServer(ScriptedEngine(), CheckpointStore(tmp_path))
    endpoint = Endpoint("test", server.base_url, NO_KEY)
    told: list[tuple[str, bool]] = []

    def tell(message: str, is_away: bool) -> None:
        told.append((message, is_away))

    async def go() -> None:
        async with ended_if_away(endpoint, StopRequest(), tell, every_s=0.05, give_up_s=0.5):
            await asyncio.sleep(0.3)  # while it is there, nothing happens
            assert told == []
            await asyncio.to_thread(server.close)
            await asyncio.sleep(240)

    with pytest.raises(UnreachableError, match=r"has been away.*exists=resume"):
        asyncio.run(go())
    assert told[0][0].startswith("The service is away")
    assert [is_away for _, is_away in told] == [True]


def test_a_server_of_ones_own_that_died_is_not_waited_for() -> None:
    gone = Endpoint("test", "http://127.0.0.1:9", NO_KEY, died=lambda: "The engine was killed.")

    def tell(message: str, is_away: bool) -> None:
        pytest.fail(f"{message} {is_away}")  # it doesn't come back

    async def go() -> None:
        async with ended_if_away(gone, StopRequest(), tell, every_s=0.05):
            await asyncio.sleep(240)

    with pytest.raises(UnreachableError, match=r"The engine was killed\..*exists=resume"):
        asyncio.run(go())


def test_somebody_elses_cancellation_stays_one(tmp_path: Path) -> None:
    with EmbeddedServer(ScriptedEngine(), CheckpointStore(tmp_path)) as server:
        endpoint = Endpoint("test", server.base_url, NO_KEY)

        def tell(message: str, is_away: bool) -> None:
            del message, is_away

        async def body() -> None:
            async with ended_if_away(endpoint, StopRequest(), tell, every_s=0.05):
                await asyncio.sleep(240)

        async def go() -> None:
            task = asyncio.create_task(body())
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(go())
