"""Stopping an evaluation, and going on with it: its result directory says which process it is, as a run's
does, and what that process was told."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from geospot.durable import parse_row
from geospot.errors import UsageError
from geospot.runs.checkpoints import CONFIG
from geospot.runs.launching import Launched, launch
from geospot.runs.processes import birth_of, signal_process, this_host
from geospot.textsafe import printable

_EVAL: Final = "eval.json"
_EVENTS: Final = "events.jsonl"
_SUMMARY: Final = "summary.json"
_SESSION: Final = b'"session'
"""In lines of a session's start and end; of all others there may be many."""
_OF_THE_START: Final = ("dry_run", "out", "resume")
"""Settings that aren't told again: the directory is there, and is gone on with."""


def this_process(said: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """What an evaluation notes of its process, so that exactly this one can be stopped.

    Args:
        said: what it was told, as JSON, so that another can be told the same.
    """
    pid = os.getpid()
    noted = {"pid": pid, "host": this_host(), "birth": birth_of(pid)}
    return noted if said is None else noted | {"cwd": str(Path.cwd()), "said": said}


def is_evaluation(folder: Path) -> bool:
    """Whether the folder holds an evaluation, and no run."""
    return (folder / _EVAL).is_file() and not (folder / CONFIG).is_file()


def has_died(result: Path) -> bool:
    """Whether its process was on this machine, and is gone before it wrote its figures.

    Raises:
        UsageError: what it notes can't be read.
    """
    process, has_ended = _newest_process(result)
    return _is_alive(process) is False and not (has_ended and _is_summed_up(result))


def goes_on(result: Path) -> bool:
    """Whether its process is on this machine, and asks or writes its figures.

    Raises:
        UsageError: what it notes can't be read.
    """
    process, has_ended = _newest_process(result)
    return _is_alive(process) is True and not (has_ended and _is_summed_up(result))


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
    process, has_ended = _newest_process(result)
    if has_ended:
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


def resume_evaluation(result: Path) -> Launched:
    """Goes on with an evaluation that is over before its end, in a process of its own.

    Raises:
        UsageError: there is nothing to go on with, or not from here.
    """
    settings, cwd = settings_again(result)
    return launch("eval", settings, result, cwd=cwd)


def settings_again(result: Path) -> tuple[dict[str, Any], Path]:
    """What an evaluation was told last, and where: with that it asks for what is missing.

    Raises:
        UsageError: as of `resume_evaluation`.
    """
    name = printable(str(result))
    if not is_evaluation(result):
        raise UsageError(f"{name} holds no evaluation.")
    process, has_ended = _newest_process(result)
    if _is_complete(result):
        raise UsageError(f"{name} is complete. There is nothing to go on with.")
    if goes_on(result):
        ends = "It writes its figures, and ends by itself." if has_ended else "Stop it first."
        raise UsageError(f"{name} is going on: process {process['pid']}.", ends)
    host, cwd, said = process.get("host"), process.get("cwd"), process.get("said")
    if not isinstance(host, str) or not isinstance(cwd, str) or not isinstance(said, dict):
        raise UsageError(
            f"{name} doesn't say how it was started.",
            "The command that started it goes on, and asks only for what is missing.",
        )
    if host != this_host():
        raise UsageError(
            f"{name} belongs to {printable(host)}, and can only be watched from here.",
            "Go on with it there.",
        )
    if not os.path.isdir(cwd):  # noqa: PTH112 - never raises
        raise UsageError(f"{printable(cwd)}, where {name} was started, isn't there any more.")
    settings = cast(dict[str, Any], said)
    kept = {key: value for key, value in settings.items() if key not in _OF_THE_START}
    return kept | {"out": result.absolute()}, Path(cwd)


def _is_complete(result: Path) -> bool:
    try:
        summary = parse_row((result / _SUMMARY).read_bytes())
    except OSError:
        return False
    return (summary or {}).get("complete") is True


def _is_summed_up(result: Path) -> bool:
    """Whether the figures were written after what the newest session noted last."""
    try:
        written = (result / _SUMMARY).stat().st_mtime_ns
        return written >= (result / _EVENTS).stat().st_mtime_ns
    except OSError:
        return False


def _is_alive(process: Mapping[str, Any]) -> bool | None:
    """Whether a process is there; None where that can't be told from here."""
    pid, host, birth = process.get("pid"), process.get("host"), process.get("birth")
    if not isinstance(pid, int) or not birth or host != this_host():
        return None
    return birth_of(pid) == birth


def _newest_process(result: Path) -> tuple[Mapping[str, Any], bool]:
    """What the newest session noted of its process, empty where nothing, and whether it has ended."""
    process: Mapping[str, Any] = {}
    has_ended = False
    try:
        with (result / _EVENTS).open("rb") as lines:
            for line in lines:
                row = (parse_row(line) if _SESSION in line else None) or {}
                if row.get("event") == "session":
                    noted = row.get("process")
                    process = cast(Mapping[str, Any], noted) if isinstance(noted, dict) else {}
                    has_ended = False
                elif row.get("event") == "session_end":
                    has_ended = True
    except FileNotFoundError:
        return {}, False  # it opens its data set, and hasn't asked anything yet
    except OSError as error:
        raise UsageError(f"{printable(str(result))} can't be read: {error.strerror}.") from error
    return process, has_ended
