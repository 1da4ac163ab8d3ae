"""Results that clients come back for: each request has an id, under which its result is kept."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

PROTO: Final = "application/x-protobuf"
KEEP_DELIVERED_S: Final = 120.0
"""An answer may get lost on its way; so long it can be asked for again."""
KEEP_UNCLAIMED_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Payload:
    """A finished result as it goes out."""

    body: bytes
    content_type: str = "application/json"


@dataclass(slots=True)
class _Entry:
    done: asyncio.Event = field(default_factory=asyncio.Event)
    payload: Payload | None = None
    forget_at_s: float = float("inf")


class UnknownRequestError(LookupError):
    """No such request, or its result was collected long ago."""


class FutureStore:
    """Results by request id. Lives on one event loop.

    Args:
        now_s: a monotonic clock; for tests.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, request_id: str) -> bool:
        """Promises a result; False where one is promised already, as when a request is sent twice."""
        if request_id in self._entries:
            return False
        self._entries[request_id] = _Entry()
        return True

    def settle(self, request_id: str, payload: Payload) -> None:
        """Keeps a promise; nothing happens where it was forgotten meanwhile."""
        entry = self._entries.get(request_id)
        if entry is None:
            return
        entry.payload = payload
        entry.forget_at_s = self._now_s() + KEEP_UNCLAIMED_S
        entry.done.set()

    def drop(self, request_id: str) -> None:
        """Forgets a request; whoever waits for it learns that it is unknown."""
        entry = self._entries.pop(request_id, None)
        if entry is not None:
            entry.done.set()

    async def wait(self, request_id: str, timeout_s: float) -> Payload | None:
        """The result, None where it takes longer than that.

        Raises:
            UnknownRequestError: nothing of that id is promised.
        """
        entry = self._entries.get(request_id)
        if entry is None:
            raise UnknownRequestError(request_id)
        try:
            async with asyncio.timeout(timeout_s):
                await entry.done.wait()
        except TimeoutError:
            return None
        if entry.payload is None:
            raise UnknownRequestError(request_id)
        entry.forget_at_s = min(entry.forget_at_s, self._now_s() + KEEP_DELIVERED_S)
        return entry.payload

    def sweep(self) -> None:
        """Forgets what was collected, or not collected for a long time."""
        now_s = self._now_s()
        for request_id in [id_ for id_, e in self._entries.items() if e.forget_at_s < now_s]:
            del self._entries[request_id]
