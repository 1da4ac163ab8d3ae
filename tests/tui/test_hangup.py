"""A terminal that goes ends the app, though somebody keeps the signal from it; a key doesn't."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios

PROGRAM = """
import select, sys, threading, time
from geospot.tui.hangup import end_with
end_with(sys.stdin)
print("ready", flush=True)
select.select([sys.stdin], [], [])
time.sleep(0.5)  # who takes a key for the end has ended by now
print("geospot-hangup" in [thread.name for thread in threading.enumerate()], flush=True)
time.sleep(600)
"""


def lines(terminal: int, count: int) -> bytes:
    """What comes until so many lines have ended."""
    said = b""
    while said.count(b"\n") < count:
        said += os.read(terminal, 100)
    return said


def test_nobody_who_is_deaf_to_the_signal_outlives_the_terminal() -> None:
    master, slave = pty.openpty()
    child = subprocess.Popen(
        ["sh", "-c", "trap '' HUP; \"$@\"; exit $?", "sh", sys.executable, "-c", PROGRAM],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    try:
        # Whole lines: while one is being written, the end of the terminal is an error of the program's.
        said = lines(master, 1)
        os.write(master, b"key\n")
        said += lines(master, 2)
        assert said.split() == [b"ready", b"key", b"True"]  # the key's echo; it still looks out
        assert child.poll() is None
        os.close(master)
        assert child.wait(120) == 128 + signal.SIGHUP
    finally:
        child.kill()
        child.wait()
