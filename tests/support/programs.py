"""`geospot` in a terminal that the test plays: it answers questions, types, and reads what comes."""

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable

DARK = b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\"
DEVICE = b"\x1b[?62;22c"
_PROGRAM = """
import sys
from geospot.cli import main
from geospot.tui import terminal
for name in sys.argv.pop(1).split():
    setattr(terminal, name, 60.0)
main()
"""


class Program:
    """A program in a terminal of 120x40 that answers `answers` when it is asked what it is.

    Args:
        cell: width and height of a cell in pixels, as the system says them.
        slow_s: how long an answer is on its way.
        patient: names of the waits for an answer that last as long as a busy machine takes; others are
            as the program has them.
    """

    def __init__(
        self,
        *arguments: str,
        answers: bytes = DARK + DEVICE,
        cell: tuple[int, int] = (0, 0),
        slow_s: float = 0.0,
        patient: str = "_WITHIN_S _WITHIN_REMOTE_S",
        **environment: str,
    ) -> None:
        self.shown = b""
        self._answers, self._slow_s = answers, slow_s
        ours, theirs = pty.openpty()
        _set_size(theirs, 120, 40, cell)
        self._ours = ours
        known = {name: value for name, value in os.environ.items() if name != "COLORFGBG"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, patient, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env=known | {"TERM": "xterm-256color", **environment},
        )
        os.close(theirs)

    def type(self, keys: str) -> None:
        """Presses keys."""
        os.write(self._ours, keys.encode())

    def until(self, holds: Callable[[bytes], object], within_s: float = 120.0) -> None:
        """Reads what is shown until something holds of it."""
        end_s = time.monotonic() + within_s
        while not holds(self.shown):
            assert time.monotonic() < end_s, self.shown[-2000:]
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._ours, 65536)
                except OSError:  # it has ended
                    assert holds(self.shown), self.shown[-2000:]
                    return
            if self._answers and b"\x1b[c" in self.shown:
                time.sleep(self._slow_s)
                os.write(self._ours, self._answers)
                self._answers = b""

    def ends(self, within_s: float = 120.0) -> int:
        """Its exit code, once it has ended."""
        reader = threading.Thread(target=self._drain, daemon=True)
        reader.start()
        code = self.process.wait(within_s)
        reader.join(60)
        return code

    def _drain(self) -> None:
        try:
            while more := os.read(self._ours, 65536):
                self.shown += more
        except OSError:
            return


def _set_size(terminal: int, columns: int, rows: int, cell: tuple[int, int]) -> None:
    import fcntl

    size = struct.pack("4H", rows, columns, columns * cell[0], rows * cell[1])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def _take_terminal() -> None:
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
