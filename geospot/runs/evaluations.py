"""Stopping an evaluation that goes on: its result directory says which process it is, as a run's does."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from geospot.durable import parse_row
from geospot.errors import UsageError
from geospot.runs.checkpoints import CONFIG
from geospot.runs.processes import birth_of, signal_process, this_host
from geospot.textsafe import printable

_EVAL: Final = "eval.json"
_EVENTS: Final = "events.jsonl"
_SESSION: Final = b'"session'
"""In lines of a session's start and end; of all others there may be many."""


def this_process() -> Mapping[str, Any]:
    """What an evaluation notes of its process, so that exactly this one can be stopped."""
    pid = os.getpid()
    return {"pid": pid, "host": this_host(), "birth": birth_of(pid)}


def is_evaluation(folder: Path) -> bool:
    """Whether the folder holds an evaluation, and no run."""
    return (folder / _EVAL).is_file() and not (folder / CONFIG).is_file()


def has_died(result: Path) -> bool:
    """Whether its process was on this machine, and is gone without having said that it ended.

    Raises:
        UsageError: what it notes can't be read.
    """
    process = _process_of(result) or {}
    pid, host, birth = process.get("pid"), process.get("host"), process.get("birth")
    if not isinstance(pid, int) or not birth or host != this_host():
        return False
    return birth_of(pid) != birth


def stop_evaluation(result: Path, *, now: bool = False) -> tuple[int, str]:
    """Asks an evaluation to finish the questions under way and end; asked again, it drops them.

    Every answer is kept, and the same command goes on with the rest. Returns at once, with number and
    birth of its process.

    Args:
        now: ends the process at once.

    Raises:
        UsageError: there is nothing to stop, or it can't be stopped from here.
    """
    name = printable(str(result))
    if not is_evaluation(result):
        raise UsageError(f"{name} holds no evaluation.")
    process = _process_of(result)
    if process is None:
        raise UsageError(f"{name} is over. There is nothing to stop.")
    pid, host, birth = process.get("pid"), process.get("host"), process.get("birth")
    if not isinstance(pid, int) or not isinstance(host, str) or not isinstance(birth, str):
        raise UsageError(f"{name} says nothing of its process.", "Stop it where it was started.")
    if host != this_host():
        raise UsageError(
            f"{name} belongs to {printable(host)}, and can only be watched from here.",
            "Stop it there.",
        )
    try:
        was_there = signal_process(pid, birth, signal.SIGKILL if now else signal.SIGINT)
    except PermissionError:
        raise UsageError(
            f"The process {pid} of {name} belongs to another user. Nothing was signalled.",
            "Ask its owner to stop it.",
        ) from None
    if not was_there:
        raise UsageError(
            f"The process {pid} of {name} is gone: it ended without saying so. Nothing was signalled.",
            "The same command goes on, and asks only for what is missing.",
        )
    return pid, birth


def _process_of(result: Path) -> Mapping[str, Any] | None:
    """What the newest session noted of its process, empty where nothing; None where none goes on."""
    process: Mapping[str, Any] | None = None
    try:
        with (result / _EVENTS).open("rb") as lines:
            for line in lines:
                row = (parse_row(line) if _SESSION in line else None) or {}
                if row.get("event") == "session":
                    noted = row.get("process")
                    process = cast(Mapping[str, Any], noted) if isinstance(noted, dict) else {}
                elif row.get("event") == "session_end":
                    process = None
    except FileNotFoundError:
        return {}  # it opens its data set, and hasn't asked anything yet
    except OSError as error:
        raise UsageError(f"{printable(str(result))} can't be read: {error.strerror}.") from error
    return process
