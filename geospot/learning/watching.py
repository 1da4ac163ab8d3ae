"""Ends a run whose service has gone: the SDK itself would wait for its return without end."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from geospot.errors import GeospotError, UnreachableError
from geospot.learning.stopping import StopRequest
from geospot.services import Endpoint
from geospot.services.faults import RESUME
from geospot.services.probing import probe
from geospot.services.waiting import Allowance

_EVERY_S: Final = 15.0
_GIVE_UP_S: Final = 600.0
_WHEN_STOPPING_S: Final = 20.0
"""Somebody who wants the run to end doesn't wait so long for a step that may never be done."""


@asynccontextmanager
async def ended_if_away(
    endpoint: Endpoint,
    stop: StopRequest,
    tell: Callable[[str, bool], None],
    *,
    every_s: float = _EVERY_S,
    give_up_s: float = _GIVE_UP_S,
) -> AsyncGenerator[None]:
    """Asks the service for its health while the block runs, and ends the block when it stays away.

    Args:
        stop: with it set, patience is short.
        tell: told in a sentence, and True, when the service is away; and, False, when it is back.

    Raises:
        UnreachableError: nothing has answered for `give_up_s` seconds, or the server has died that was
            started for this run.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checker: a coroutine runs in one
    watch = asyncio.create_task(_watch(endpoint, stop, tell, task, every_s, give_up_s))
    try:
        yield
    except asyncio.CancelledError:
        if not watch.done() or watch.cancelled():
            raise  # somebody else's doing
        task.uncancel()
        raise watch.result() from None
    finally:
        watch.cancel()


async def _watch(
    endpoint: Endpoint,
    stop: StopRequest,
    tell: Callable[[str, bool], None],
    task: asyncio.Task[object],
    every_s: float,
    give_up_s: float,
) -> UnreachableError:
    """Cancels the task when the service has been away for too long, and returns why."""
    seen_s, is_away = time.monotonic(), False
    while True:
        await asyncio.sleep(every_s)
        try:
            await asyncio.to_thread(probe, endpoint, Allowance())
        except GeospotError as error:
            if (how := endpoint.died()) is not None:
                task.cancel()
                return UnreachableError(how, RESUME)
            if not is_away:
                tell(
                    "The service is away. The run waits for it, and goes on if it comes back as it was; "
                    f"one that was restarted has forgotten the run. {error.message}",
                    True,
                )
            is_away, away_s = True, time.monotonic() - seen_s
            if away_s > min(give_up_s, _WHEN_STOPPING_S if stop.is_set else give_up_s):
                task.cancel()
                return UnreachableError(
                    f"The service has been away for {away_s:.0f} s. {error.message}",
                    f"Wait until it is back. {RESUME}",
                )
        else:
            if is_away:
                tell("The service is back.", False)
            seen_s, is_away = time.monotonic(), False
