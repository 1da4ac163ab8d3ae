"""A real terminal: programs in windows of a tmux server of its own, keys in, what is on screen out."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final
from uuid import uuid4

import psutil

_MARK: Final = "GEOSPOT_TEST_TERMINAL"
_POLL_S: Final = 0.1
_DEADLINE_S: Final = 240.0
"""An engine that starts in five seconds takes minutes on a machine that does much else."""
_CALL_S: Final = 60.0
_KEPT: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")


def has_tmux() -> bool:
    """Whether tmux is installed."""
    return shutil.which("tmux") is not None


class Tmux:
    """A server that ends with the block, and everything in it; nothing of the person's own tmux is touched.

    What is started in its windows inherits a variable by which it is found again, wherever it went.

    Args:
        folder: where its shells stand; what they call home is beside it.
        width: columns of its windows.
        height: rows of its windows.
        variables: more of the environment, which is otherwise empty but for the path.
        never: texts after which nothing that is waited for will come.
    """

    def __init__(
        self,
        folder: Path,
        width: int = 120,
        height: int = 40,
        variables: Mapping[str, str] | None = None,
        never: Sequence[str] = (),
    ) -> None:
        self.never = never
        self._folder, self._size = folder, (width, height)
        self._sockets = Path(tempfile.mkdtemp(prefix="tmux-"))  # a socket's path has to be short
        self._mark = uuid4().hex
        home = folder.with_name(f"{folder.name}-home")
        home.mkdir(exist_ok=True)
        self._environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TMUX_TMPDIR": str(self._sockets),
            _MARK: self._mark,
            **(variables or {}),
        }

    def __enter__(self) -> "Tmux":
        """The server, without windows."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Ends the server, and what was started in it and is left."""
        with suppress(subprocess.CalledProcessError):  # it ends by itself with its last window
            self.call("kill-server")
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(self._sockets)

    def open(self, name: str) -> "Window":
        """A shell in a window of its own."""
        width, height = self._size
        place = ["-s", name, "-c", str(self._folder), "-x", str(width), "-y", str(height)]
        self.call(
            *("start-server", ";", "set-option", "-g", "status", "off", ";"),
            *("set-option", "-g", "default-terminal", "screen-256color", ";"),
            *("new-session", "-d", *place, "exec sh"),
        )
        window = Window(self, name)
        window.until_so(lambda screen: bool(screen.strip()), "a prompt")
        return window

    def call(self, *words: str) -> str:
        """What a command of tmux says."""
        done = subprocess.run(
            ["tmux", "-L", "geospot", "-f", "/dev/null", *words],
            env=self._environment,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CALL_S,
        )
        return done.stdout

    def processes(self) -> list[psutil.Process]:
        """All that was started in its windows and still runs, detached or not; without the server."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                is_ours = process.environ().get(_MARK) == self._mark
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return [process for process in found if not process.name().startswith("tmux")]


class Window:
    """A window: keys in, text out."""

    def __init__(self, tmux: Tmux, name: str) -> None:
        self._tmux, self._name = tmux, name

    def keys(self, *names: str) -> None:
        """Presses keys, by tmux's names: `a`, `Enter`, `C-s`."""
        self._tmux.call("send-keys", "-t", self._name, "--", *names)

    def type(self, text: str) -> None:
        """Types a text as it stands."""
        self._tmux.call("send-keys", "-t", self._name, "-l", "--", text)

    def run(self, *words: str) -> None:
        """Types a command, and enter."""
        self.type(shlex.join(words))
        self.keys("Enter")

    def screen(self) -> str:
        """What is on screen."""
        return self._tmux.call("capture-pane", "-p", "-t", self._name)

    def until(self, *texts: str) -> str:
        """Waits until all texts are on screen; gives the screen."""
        return self.until_so(lambda screen: all(text in screen for text in texts), texts)

    def until_so(self, holds: Callable[[str], bool], what: object = "it") -> str:
        """Waits until something holds of the screen; gives the screen.

        Raises:
            AssertionError: it doesn't within that time; the message has what is on screen.
        """
        deadline = time.monotonic() + _DEADLINE_S
        while True:
            screen = self.screen()
            if holds(screen):
                return screen
            is_over = any(text in screen for text in self._tmux.never)
            if is_over or time.monotonic() > deadline:
                raise AssertionError(f"{what} never came. On screen:\n{screen}")
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Closes the window: what runs in it is hung up on, as with a lost connection."""
        self._tmux.call("kill-session", "-t", self._name)
