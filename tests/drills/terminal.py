"""A program in a terminal of its own, whose keys are pressed and whose screen is only listened to."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_ESCAPES: Final = re.compile(rb"\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()].|.)")
_KEPT: Final = 1 << 20
_LOOK_S: Final = 0.05
_ROWS, _COLUMNS = 40, 120


class Terminal:
    """`geospot …` in a terminal; ends with the block, by kill if it is still there.

    Args:
        by: what starts it there: nothing, or a shell's words before the command.
    """

    def __init__(
        self, *arguments: str | Path, env: Mapping[str, str], by: Sequence[str] = ()
    ) -> None:
        self._master, slave = pty.openpty()
        size = struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        self.process = subprocess.Popen(
            [*by, sys.executable, "-m", "geospot", *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **env},
        )
        os.close(slave)
        self.raw = b""
        """What was written to it lately, as it came."""
        self._is_closed = threading.Event()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """The window is closed, or the connection lost; a second call does nothing."""
        if not self._is_closed.is_set():
            self._is_closed.set()
            self._reader.join()
            os.close(self._master)

    def keys(self, text: str) -> None:
        """Presses keys; nothing happens where the program has gone."""
        self.press(text.encode())

    def press(self, data: bytes) -> None:
        """Sends bytes, as a terminal of another encoding does."""
        os.write(self._master, data)

    def said(self) -> str:
        """What was written to the screen lately, without its colours and its jumps."""
        return _ESCAPES.sub(b"", self.raw).decode("utf-8", "replace")

    def until(self, text: str, timeout_s: float = 120.0) -> bool:
        """Waits until a text has been written; False where the program has ended, or it takes too long."""
        end_s = time.monotonic() + timeout_s
        while text not in self.said():
            if self.process.poll() is not None or time.monotonic() > end_s:
                return False
            time.sleep(0.05)
        return True

    def _listen(self) -> None:
        while not self._is_closed.is_set():
            if not select.select([self._master], [], [], _LOOK_S)[0]:
                continue
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:  # the program has ended
                return
            self.raw = (self.raw + data)[-_KEPT:]


def _take_terminal() -> None:
    """Makes it the terminal of the new session, so that its end is told to the program.

    Also where the drill itself was started with nohup, which all its programs would inherit.
    """
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
