"""What may become of the place where a program runs: its disk, its folder, its files, its clock, its words.

A `Trouble` is made where a trial keeps its output, begins at some moment, with a process under way or before
it is started, and is over again later. Those that this machine can't have say why (`why_not`).
"""

import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

_MB: Final = 1 << 20
_DISK_MB: Final = 48
_PAGE: Final = 4096
_DAY_S: Final = 86_400
_CAPABILITIES: Final = "-dac_override,-dac_read_search,-fowner"
"""What lets root write where nobody may; a process without them is refused as everybody is."""
_LOOKS: Final = 10
_LOOK_S: Final = 0.02
_LIBRARY: Final = "usr/lib/*/faketime/libfaketimeMT.so.1"

Process = subprocess.Popen[str]


@dataclass(slots=True)
class Trouble:
    """One kind of trouble, in one place.

    Args:
        folder: the trial's own; what commands write goes below `place`.
        chance: the trial's dice.
    """

    folder: Path
    chance: random.Random
    prefix: list[str] = field(default_factory=list[str])
    """What a command is started with from now on."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    may_fail = True
    """Whether a command may end with a sentence; else it has to go on as if nothing were the matter."""

    @property
    def place(self) -> Path:
        """Where commands write."""
        return self.folder

    @classmethod
    def why_not(cls) -> str:
        """Why this machine can't have it; empty where it can."""
        return ""

    def open(self) -> None:
        """Makes the place; all is well there."""

    def begin(self, process: Process | None) -> None:
        """From now on it is so, for the process and for those to come."""

    def end(self) -> None:
        """All is well again."""

    def close(self) -> None:
        """The place is needed no more."""


class FullDisk(Trouble):
    """A small disk that somebody else fills, but for some pages at most."""

    @property
    def place(self) -> Path:
        return self.folder / "disk"

    @classmethod
    def why_not(cls) -> str:
        return _cannot_mount()

    def open(self) -> None:
        self.place.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", self.place)

    def begin(self, process: Process | None) -> None:
        room = self.chance.choice([0, 0, 0, 1, 2, 4, 16]) * _PAGE
        with (self.place / ".ballast").open("wb", buffering=0) as ballast:
            block = bytes(_PAGE)
            with suppress(OSError):
                while True:
                    ballast.write(block)
            ballast.truncate(max(ballast.tell() - room, 0))

    def end(self) -> None:
        (self.place / ".ballast").unlink(missing_ok=True)

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)


class ReadOnlyDisk(FullDisk):
    """A disk that is read-only, as one is that the kernel found broken. Not under a process that writes."""

    def begin(self, process: Process | None) -> None:
        _mount("-o", "remount,ro", self.place)

    def end(self) -> None:
        _mount("-o", "remount,rw", self.place)


class ReadOnlyFolder(Trouble):
    """Folders in which nothing may be made, replaced or removed; open files may still be written."""

    @property
    def place(self) -> Path:
        return self.folder / "there"

    @classmethod
    def why_not(cls) -> str:
        if os.geteuid() == 0 and shutil.which("setpriv") is None:
            return "root may write everywhere, and there is no setpriv here"
        return ""

    def open(self) -> None:
        self.place.mkdir()
        if os.geteuid() == 0:
            self.prefix = ["setpriv", "--bounding-set", _CAPABILITIES]

    def begin(self, process: Process | None) -> None:
        self._allow(0o555)

    def end(self) -> None:
        self._allow(0o755)

    def _allow(self, mode: int) -> None:
        for path in [self.place, *self.place.rglob("*")]:
            if path.is_dir():
                path.chmod(mode)


class FewFiles(Trouble):
    """A process that may open no more files, or only a few."""

    @classmethod
    def why_not(cls) -> str:
        return "" if shutil.which("prlimit") else "there is no prlimit here"

    def begin(self, process: Process | None) -> None:
        if process is None:
            self.prefix = ["prlimit", f"--nofile={self.chance.randint(*FEWEST_FILES)}"]
            return
        with suppress(FileNotFoundError, ProcessLookupError):
            looks = [_opened(process.pid) for _ in range(_LOOKS)]  # some are open for a moment only
            lowest_free = next(n for n in count() if any(n not in opened for opened in looks))
            limit = lowest_free + self.chance.choice([0, 0, 0, 0, 1])
            _, hardest = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, hardest))

    def end(self) -> None:
        self.prefix = []


def _opened(pid: int) -> set[int]:
    """Numbers of the files that a process has open, a moment later."""
    time.sleep(_LOOK_S)
    return {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}


FEWEST_FILES: Final = (6, 70)
"""Python itself needs some to come so far that it can say anything."""


class ClockSetBack(Trouble):
    """A clock that goes back by a day, or an hour, while a process runs."""

    may_fail = False

    @classmethod
    def why_not(cls) -> str:
        return "" if _faketime() else "libfaketime isn't installed"

    def open(self) -> None:
        self._set(0)
        self.environment = {
            "LD_PRELOAD": _faketime(),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def begin(self, process: Process | None) -> None:
        self._set(-self.chance.choice([3600, _DAY_S, 400 * _DAY_S]))

    def end(self) -> None:
        self._set(0)

    def _set(self, offset_s: int) -> None:
        draft = self.folder / "clock.new"
        draft.write_text(f"{offset_s:+d}\n")
        draft.replace(self.folder / "clock")


class PoorLocale(Trouble):
    """An environment whose encoding isn't UTF-8."""

    may_fail = False

    def begin(self, process: Process | None) -> None:
        encoding = self.chance.choice(["", "ascii", "latin-1", "ascii:strict"])
        self.environment = {
            "LC_ALL": "C",
            "LANG": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONIOENCODING": encoding,
        }

    def end(self) -> None:
        self.environment = {}


def until(
    condition: Callable[[], Any], process: "subprocess.Popen[Any] | None", within_s: float = 120.0
) -> bool:
    """Waits for a condition; False where the process, if any, has ended before, or it takes too long."""
    end_s = time.monotonic() + within_s
    while not condition():
        if (process and process.poll() is not None) or time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True


@cache
def _cannot_mount() -> str:
    """Why no disk can be mounted here; empty where one can."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "only root mounts a small disk"
    done = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"],
        capture_output=True,
        check=False,
    )
    return "" if done.returncode == 0 else "a small disk can't be mounted here"


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


@cache
def _faketime() -> str:
    """The library that moves a program's clock; empty where it isn't installed."""
    return str(next(Path("/").glob(_LIBRARY), ""))
