"""The sign of life: `heartbeat.json`, replaced every few seconds by a thread of its own.

The thread beats on while the run waits for a service; it ends with the process, so a heartbeat that
stopped without saying why means that the process was killed.
"""

import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from geospot.durable import WriteError, parse_row, replace_json
from geospot.runs.processes import birth_of, boot_of, this_boot, this_host
from geospot.runs.tail import open_now

HEARTBEAT: Final = "heartbeat.json"
INTERVAL_S: Final = 2.0
STARTING: Final = "starting"
"""The first phase, while the model is loaded."""

WAITING: Final = "waiting for the service"
"""The phase while nothing answers."""

STALE_S: Final = 30.0
"""Silence of this length is no accident."""

_LARGEST: Final = 2**53
_LARGEST_BYTES: Final = 1 << 20
"""What is longer is no heartbeat."""

QUIET_S: Final = 300.0
"""So long a run without a heartbeat may write nothing, and still be thought to run: steps take minutes."""

State = Literal["running", "finished", "stopped", "failed"]
Standing = Literal["running", "silent", "finished", "stopped", "failed", "died"]


@dataclass(frozen=True, slots=True)
class Beat:
    """What the heartbeat says.

    `step` of `total` steps are done (`total` is 0 until it is known), `phase` is what the run is doing
    now, `started` and `time` are seconds since 1970 (start of this process's part of the run, and
    this beat). `birth` tells the process from others that get its number later (empty in runs of
    older versions); `stopping` says that it was asked to stop, and is saving.
    """

    state: State
    reason: str
    pid: int
    host: str
    step: int
    total: int
    phase: str
    started: float
    time: float
    birth: str = ""
    stopping: bool = False

    @property
    def is_here(self) -> bool:
        """Whether the process was started on this machine.

        Machines may share a name: while a beat is fresh, one that tells of another boot is another's. One
        from the future isn't fresh: a machine whose clock has no battery starts in the past.
        """
        if self.host != this_host():
            return False
        return not self._of_other_boot or not self._is_fresh or self.time > time.time() + STALE_S

    @property
    def is_alive(self) -> bool:
        """Whether the process is there, on this machine, and is still that of the run."""
        if not self.birth:
            return _is_there(self.pid)
        return birth_of(self.pid) == self.birth

    def standing(self) -> Standing:
        """What has become of the run, now.

        `died`: it never said that it was over, and its process is gone. `silent`: no beat for long,
        but the process may be there; it sleeps, can't write, or is on another machine.
        """
        if self.state != "running":
            return self.state
        if self.is_here and not self.is_alive:
            return "died"
        return "running" if self._is_fresh else "silent"

    @property
    def _is_fresh(self) -> bool:
        return time.time() - self.time < STALE_S

    @property
    def _of_other_boot(self) -> bool:
        return bool(self.birth) and boot_of(self.birth) != this_boot()


class Heartbeat:
    """Writes the heartbeat of one run until it is stopped."""

    def __init__(self, folder: Path, *, step: int) -> None:
        self._path = folder / HEARTBEAT
        now = time.time()
        pid = os.getpid()
        self._beat = Beat(
            "running", "", pid, this_host(), step, 0, STARTING, now, now, birth_of(pid)
        )
        self._before = self._beat.phase
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="geospot-heartbeat", daemon=True)

    def start(self) -> None:
        """Writes the first beat and goes on beating.

        Raises:
            WriteError: the disk is full.
        """
        self._write()
        self._thread.start()

    def beat(self, phase: str, step: int) -> None:
        """Notes what the run is doing; a new phase or step is written at once.

        Raises:
            WriteError: the disk is full.
        """
        if (phase, step) != (self._beat.phase, self._beat.step):
            self._write(phase=phase, step=step)

    def waits(self, *, is_away: bool) -> None:
        """Notes that the run waits for its service, or that this is over.

        Raises:
            WriteError: the disk is full.
        """
        if is_away:
            self._before = self._beat.phase
            self._write(phase=WAITING)
        elif self._beat.phase == WAITING:
            self._write(phase=self._before)

    def stops(self) -> None:
        """Notes that the run was asked to stop, and is saving.

        Raises:
            WriteError: the disk is full.
        """
        self._write(stopping=True)

    def begin(self, step: int, total: int) -> None:
        """Notes where the run begins or goes on, and how many steps it has.

        Raises:
            WriteError: the disk is full.
        """
        self._write(step=step, total=total)

    def stop(self, state: State, reason: str) -> None:
        """Writes the last beat, which says how the run ended.

        Raises:
            WriteError: the disk is full.
        """
        self._stop.set()
        self._thread.join()
        self._write(state=state, reason=reason, stopping=False)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            try:
                self._write()
            except WriteError:
                continue  # the run's own next line will say so, to somebody who can be told

    def _write(self, **changed: Any) -> None:
        with self._lock:
            self._beat = replace(self._beat, **changed, time=time.time())
            replace_json(self._path, asdict(self._beat), sync=False)


def read_heartbeat(folder: Path) -> Beat | None:
    """The last beat of the run in this directory, None where there is none that can be read."""
    try:
        with open_now(folder / HEARTBEAT) as file:
            row = parse_row(file.read(_LARGEST_BYTES))
    except OSError:
        return None
    if row is None or row.get("state") not in ("running", "finished", "stopped", "failed"):
        return None
    return Beat(
        state=cast(State, row["state"]),
        reason=_text(row, "reason"),
        pid=int(_number(row, "pid")),
        host=_text(row, "host"),
        step=int(_number(row, "step")),
        total=int(_number(row, "total")),
        phase=_text(row, "phase"),
        started=_number(row, "started"),
        time=_number(row, "time"),
        birth=_text(row, "birth"),
        stopping=row.get("stopping") is True,
    )


def standing_by_files(
    *, ends: bool, written_s: float | None
) -> "Literal['finished', 'running', 'unknown']":
    """What has become of a run without a heartbeat, such as tinker-cookbook's.

    Args:
        ends: whether it has its final checkpoint.
        written_s: when one of its files grew, in seconds since 1970.
    """
    if ends:
        return "finished"
    is_fresh = written_s is not None and abs(time.time() - written_s) < QUIET_S
    return "running" if is_fresh else "unknown"


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _number(row: dict[str, Any], key: str) -> float:
    value = row.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0
    return value if abs(value) < _LARGEST else 0  # which NaN isn't either


def _is_there(pid: int) -> bool:
    """Whether there is any process of this number on this machine; 0 and below name none."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
