"""A terminal that goes ends the app, though somebody keeps the signal from it; a key doesn't."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios

PROGRAM = """
import sys, time
from geospot.tui.hangup import end_with
end_with(sys.stdin)
print("ready", flush=True)
time.sleep(600)
"""


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
        said = b""
        while b"ready" not in said:
            said += os.read(master, 100)
        os.write(master, b"key")
        while b"key" not in said:  # it is echoed: the terminal has it
            said += os.read(master, 100)
        assert child.poll() is None
        os.close(master)
        assert child.wait(60) == 128 + signal.SIGHUP
    finally:
        child.kill()
        child.wait()
