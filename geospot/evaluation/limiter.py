"""How many requests may be under way: grows while the server keeps up, halves when it says no.

The rule is TCP's (slow start, then additive increase and multiplicative decrease; Jacobson 1988):

- It starts with a few requests. Each success while the window is full adds one, which doubles the
  window every round trip, until the first refusal or the upper bound.
- A rate limit (429, 503, 529) halves the window. Requests sent before a halving don't halve it again:
  they report the same congestion. From then on each window of successes adds one.
- A `Retry-After` stops all new requests until then, not only the one that was refused.
- Transient faults (a reset connection, a 500) say nothing of load and leave the window alone.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

START: Final = 8


class ClosedError(Exception):
    """The run is stopping: nothing new is admitted."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A place among the requests under way; `epoch` counts the halvings before it was given."""

    epoch: int


class Gauge(Protocol):
    """What a display shows of the requests under way."""

    window: float
    """How many there may be now."""
    in_flight: int

    @property
    def paused_s(self) -> float:
        """Seconds until new ones are sent, where the server asked for a pause; else 0."""
        ...


class AdaptiveLimiter:
    """Admits requests in the order in which they ask.

    Args:
        upper: the window never grows beyond it.
        clock: seconds, monotonic.
    """

    def __init__(self, upper: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.upper = upper
        self.window = float(min(START, upper))
        self.in_flight = 0
        self.halvings = 0
        self._threshold = float(upper)
        self._paused_until = 0.0
        self._closed = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._clock = clock
        self._alarm: asyncio.TimerHandle | None = None

    async def acquire(self) -> Ticket:
        """Waits for a place. Raises ClosedError once `close` was called."""
        if self._closed:
            raise ClosedError
        if self._waiting or not self._has_room():
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            self._admit()
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled() and place.exception() is None:
                    self.in_flight -= 1  # admitted and cancelled in the same breath
                    self._admit()
                raise
            if self._closed:  # between the admission and now
                self.in_flight -= 1
                raise ClosedError
        else:
            self.in_flight += 1
        return Ticket(self.halvings)

    def succeeded(self, ticket: Ticket) -> None:
        """The request was answered: the server keeps up."""
        full = self.in_flight >= int(self.window)
        if full and ticket.epoch == self.halvings:
            step = 1.0 if self.window < self._threshold else 1.0 / self.window
            self.window = min(self.window + step, float(self.upper))
        self._leave()

    def failed(self) -> None:
        """The request failed in a way that says nothing of load."""
        self._leave()

    def refused(self, ticket: Ticket, retry_after_s: float | None = None) -> None:
        """The server asked for fewer requests, and perhaps for a pause."""
        if ticket.epoch == self.halvings:
            self.window = max(1.0, self.window / 2.0)
            self._threshold = self.window
            self.halvings += 1
        if retry_after_s is not None:
            self._paused_until = max(self._paused_until, self._clock() + retry_after_s)
        self._leave()

    def close(self) -> None:
        """Admits nothing more; whoever waits gets ClosedError."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(ClosedError())

    @property
    def paused_s(self) -> float:
        """Seconds until the server's Retry-After has passed; 0 if nothing is paused."""
        return max(0.0, self._paused_until - self._clock())

    def _has_room(self) -> bool:
        return self.in_flight < int(self.window) and self.paused_s == 0.0

    def _leave(self) -> None:
        self.in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            place = self._waiting.popleft()
            if not place.done():
                self.in_flight += 1
                place.set_result(None)
        pause_s = self.paused_s
        if self._waiting and pause_s > 0.0 and (self._alarm is None or self._alarm.cancelled()):
            self._alarm = asyncio.get_running_loop().call_later(pause_s, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        self._admit()
