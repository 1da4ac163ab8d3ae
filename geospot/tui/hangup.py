"""The end of the terminal is the end of the app, whoever keeps the signal that says so from it.

Under `nohup`, or a program that takes SIGHUP for itself, nobody is told: the app would look for keys for
ever, as fast as it can.
"""

import os
import select
import signal
import threading
from typing import IO, Any


def end_with(keyboard: IO[Any]) -> None:
    """Ends the process, as the signal does, when this terminal has gone. Runs that it started go on."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    threading.Thread(
        target=_wait, args=(keyboard.fileno(),), name="geospot-hangup", daemon=True
    ).start()


def _wait(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # of what is read, nothing; a terminal's end is told unasked
    if any(event & select.POLLHUP for _, event in poll.poll()):
        os.kill(os.getpid(), signal.SIGHUP)
