"""Waiting for what may come back: a data source, or a service, that didn't answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from geospot.errors import SourceUnavailableError

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0


def pause_s(attempt: int) -> float:
    """The wait after so many tries: doubling, with jitter so that a step's calls don't come together."""
    return min(_FIRST_PAUSE_S * 2 ** (attempt - 1), _LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)


async def read_patiently(read: Callable[[], Awaitable[T]], max_retries: int) -> T:
    """What `read` gives, tried again where a data source didn't answer.

    Args:
        max_retries: tries after the first.

    Raises:
        SourceUnavailableError: none of them came to anything.
    """
    attempt = 0
    while True:
        try:
            return await read()
        except SourceUnavailableError:
            if attempt >= max_retries:
                raise
        attempt += 1
        await asyncio.sleep(pause_s(attempt))
