"""Stopping when asked to: the step under way is finished and saved, then the run ends."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final

from geospot.stopsignals import stop_signals

_SHOW_CURSOR: Final = "\x1b[?25h"


class StopRequest:
    """Whether somebody asked for the end; looked at between steps, and while nothing would be lost."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._came = asyncio.Event()

    @property
    def is_set(self) -> bool:
        """Whether the run is to end after the step under way."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it; 0 where nobody asked."""
        return 0 if self.signal is None else 128 + self.signal

    @property
    def reason(self) -> str:
        """For a person."""
        return "" if self.signal is None else f"stopped by {self.signal.name}"

    def request(self, number: signal.Signals) -> None:
        """Asks for the end."""
        self.signal = number
        self._came.set()

    async def wait(self) -> None:
        """Returns when somebody asks for the end."""
        await self._came.wait()

    async def unless(self, work: Awaitable[None]) -> bool:
        """Waits for the work, unless somebody asks for the end: then it is cancelled.

        Returns whether the work was done.
        """
        working, coming = asyncio.ensure_future(work), asyncio.ensure_future(self._came.wait())
        try:
            await asyncio.wait([working, coming], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
                return True
            return False
        finally:
            for task in (working, coming):
                task.cancel()
            await asyncio.gather(working, coming, return_exceptions=True)


@contextmanager
def stop_on_signals(notice: Callable[[str], None]) -> Generator[StopRequest]:
    """While it is open the first signal asks for the end, and a second ends the process at once.

    A second SIGHUP doesn't: nobody sent it on purpose.

    To be entered on the main thread's event loop; on any other nothing is watched, since Python gives
    signals to the main thread alone.

    Args:
        notice: told what the signal means, for a person.
    """
    request = StopRequest()
    loop = asyncio.get_running_loop()

    def came(number: signal.Signals) -> None:
        if request.is_set:
            if number is signal.SIGHUP:
                return  # of one terminal that goes away both the shell and the kernel tell
            _end_at_once(number)
        request.request(number)
        notice(f"{number.name}: finishing the step and saving. Again to stop at once.")

    watched: list[signal.Signals] = []
    for number in stop_signals():
        try:
            loop.add_signal_handler(number, came, number)
        except (RuntimeError, ValueError):  # not the main thread
            break
        watched.append(number)
    try:
        yield request
    finally:
        for number in watched:
            loop.remove_signal_handler(number)


def _end_at_once(number: signal.Signals) -> None:
    """As if nobody had caught it: what was written stays, what is under way is lost."""
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)  # a live display hides it
        sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
