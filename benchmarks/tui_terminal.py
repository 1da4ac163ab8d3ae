"""A pseudo-terminal with a program in it, watched from outside: what it paints, when, and what it costs."""

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
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_ESCAPES: Final = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_].*?\x1b\\|[@-Z\\-_])"
)
REWARD: Final = re.compile(r"\b0\.(\d{4})\b")
"""A figure as `benchmarks.tui_data.reward_of` makes them, painted in full."""

_BUSY: Final = 0.1
"""Share of a core that a program at rest stays below."""

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


class Terminal:
    """Runs a module in a terminal of so many columns and rows."""

    def __init__(self, arguments: Sequence[str], columns: int = 120, rows: int = 40) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._imported, said = os.pipe()
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(said), *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            pass_fds=[said],
            start_new_session=True,
        )
        os.close(slave)
        os.close(said)

    def __enter__(self) -> Self:
        """Waits until the program has imported what it needs."""
        if not os.read(self._imported, 64):
            raise RuntimeError(self.read(1.0).decode("utf-8", "replace")[-2000:])
        self.began_s = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the program."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._master)
        os.close(self._imported)

    def read(self, limit_s: float) -> bytes:
        """What is painted next; nothing where nothing comes in that time."""
        ready, _, _ = select.select([self._master], [], [], limit_s)
        try:
            return os.read(self._master, 1 << 16) if ready else b""
        except OSError:  # the program has ended
            return b""

    def until(self, is_there: Callable[[str], bool], limit_s: float = 30.0) -> float:
        """Reads until what is painted from now on fulfils the condition; seconds from the start."""
        painted, end_s = b"", time.perf_counter() + limit_s
        while time.perf_counter() < end_s:
            painted += self.read(0.5)
            if is_there(plain(painted)):
                return time.perf_counter() - self.began_s
        raise TimeoutError(f"It wasn't painted in {limit_s:.0f} s: {plain(painted)[-3000:]!r}")

    def rest(self, limit_s: float = 180.0) -> None:
        """Waits until the program has nothing more to read."""
        end_s = time.perf_counter() + limit_s
        while time.perf_counter() < end_s and self.cpu_share(1.0) > _BUSY:
            pass

    def press(self, key: bytes) -> float:
        """Seconds from a key to the first thing painted after it."""
        while self.read(0):
            pass
        pressed_s = time.perf_counter()
        os.write(self._master, key)
        if not self.read(5.0):
            raise TimeoutError(f"Nothing was painted after {key!r}.")
        taken_s = time.perf_counter() - pressed_s
        while self.read(0.03):
            pass
        return taken_s

    def cpu_share(self, for_s: float) -> float:
        """Share of one core that it uses meanwhile."""
        before, began_s = self.cpu_s(), time.perf_counter()
        end_s = began_s + for_s
        while (left_s := end_s - time.perf_counter()) > 0:
            self.read(left_s)
        return (self.cpu_s() - before) / (time.perf_counter() - began_s)

    def memory_mb(self, which: str = "VmRSS") -> float:
        """Memory in use in MB; VmHWM is the most that was in use."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if which in line) / 1024

    def cpu_s(self) -> float:
        """Processor time that it has used, in seconds."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S


_LAUNCH: Final = """
import os, sys, runpy
said = int(sys.argv[1])
os.dup2(said, 3)
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def plain(painted: bytes) -> str:
    """Text without escape sequences."""
    return _ESCAPES.sub(b"", painted).decode("utf-8", "replace")
