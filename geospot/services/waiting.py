"""Waiting for a service no longer than a person would."""

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SETUP_S: Final = 7.0
"""A service that isn't ready is given up after so long: with what comes before and behind, within 10 s."""


_LOOK_S: Final = 0.5
"""How often it is looked whether a service that was started here is still there."""


class Allowance:
    """Seconds that a service may keep us waiting in all, over several questions.

    Only waiting is charged: what this process does between the questions isn't the service's fault.

    Args:
        limit_s: how many; None for as many as any service has.
    """

    def __init__(self, limit_s: float | None = None) -> None:
        self.limit_s = self.left_s = SETUP_S if limit_s is None else limit_s

    def charge(self, seconds: float) -> None:
        """Takes off what a question took."""
        self.left_s = max(0.0, self.left_s - seconds)

    def renew(self) -> None:
        """The service has done what it was asked for: what comes next has its own allowance."""
        self.left_s = self.limit_s


class Errand(Generic[T]):
    """A call under way in a thread of its own.

    The SDK can't be interrupted: what takes too long is left behind in its thread, which ends with the
    process.
    """

    def __init__(self, what: Callable[[], T]) -> None:
        self._outcome: SimpleQueue[Callable[[], T]] = SimpleQueue()
        self._what = what
        threading.Thread(target=self._run, name="geospot-service", daemon=True).start()

    def wait(self, seconds: float) -> Callable[[], T] | None:
        """What came of it, to be asked for by a call; None where it takes longer than that."""
        try:
            return self._outcome.get(timeout=seconds)
        except Empty:
            return None

    def _run(self) -> None:
        try:
            value = self._what()
        except Exception as error:  # noqa: BLE001 - handed over, and raised where it is asked for
            self._outcome.put(_raising(error))
        else:
            self._outcome.put(lambda: value)


def _lives() -> None:
    """Nobody knows better."""


def within(
    allowance: Allowance, what: Callable[[], T], died: Callable[[], str | None] = _lives
) -> Callable[[], T] | None:
    """What came of a call, to be asked for by a call; None where the allowance is used up before.

    Args:
        died: says how the service has ended, if it has: nobody waits for it then.
    """
    charged_s = time.monotonic()
    errand, done = Errand(what), None
    while done is None and allowance.left_s > 0.0 and died() is None:
        done = errand.wait(min(_LOOK_S, allowance.left_s))
        now_s = time.monotonic()
        allowance.charge(now_s - charged_s)
        charged_s = now_s
    return done


def _raising(error: Exception) -> Callable[[], T]:
    def fail() -> T:
        raise error

    return fail
