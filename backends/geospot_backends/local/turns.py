"""A model's requests are carried out in the order of their sequence numbers, however they arrive."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from geospot_backends.local.api import EngineUserError

GAP_S: Final = 60.0
"""How long later requests wait for one that hasn't come."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    start: Callable[[], None]
    fail: Callable[[EngineUserError], None]
    since_s: float


class Turns:
    """The order of one model's requests; their numbers begin at 1.

    Args:
        now_s: a monotonic clock; for tests.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._next = 1
        self._waiting: dict[int, _Waiting] = {}

    def arrive(
        self,
        number: int | None,
        start: Callable[[], None],
        fail: Callable[[EngineUserError], None],
    ) -> None:
        """Starts the request when its turn has come, which may be at once.

        Args:
            number: its place; None for a client that sends one request after the other.
            fail: called instead of `start` where its turn can't come any more.
        """
        if number is None:
            number = max([self._next - 1, *self._waiting]) + 1
        if number < 1:
            fail(
                EngineUserError(f"a model's requests are numbered from 1, and this one is {number}")
            )
            return
        if number < self._next:
            fail(EngineUserError(f"request {number} comes after its turn has passed"))
            return
        self._waiting[number] = _Waiting(start, fail, self._now_s())
        while turn := self._waiting.pop(self._next, None):
            self._next += 1
            turn.start()

    def sweep(self) -> None:
        """Gives up what waits too long for a request that never came."""
        if not self._waiting:
            return
        if self._now_s() - min(turn.since_s for turn in self._waiting.values()) < GAP_S:
            return
        missing = self._next
        self._next = max(self._waiting) + 1
        self._fail_all(
            lambda number: (
                f"request {number} waited {GAP_S:g} s for request {missing}, which never came"
            )
        )

    def abandon(self, why: str) -> None:
        """Fails what waits: its turn won't come any more."""
        self._fail_all(lambda _: why)

    def _fail_all(self, why: Callable[[int], str]) -> None:
        waiting, self._waiting = self._waiting, {}
        for number, turn in sorted(waiting.items()):
            turn.fail(EngineUserError(why(number)))
