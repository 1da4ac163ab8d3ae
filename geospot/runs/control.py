"""What can be done to a run from outside: stop it, go on with it, branch off it, evaluate a checkpoint of it.

A run is a process; its directory says which. Nothing is signalled unless that very process is there, on
this machine, and the person's own: a number that another process has got since is left alone.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from geospot.errors import UsageError
from geospot.runs.checkpoints import CONFIG, choose_checkpoint, read_checkpoints
from geospot.runs.heartbeat import STARTING, Beat, read_heartbeat
from geospot.runs.launching import Command, Launched, command_line, launch, shown
from geospot.runs.opening import is_taken
from geospot.runs.processes import birth_of, created_s, owner_of, signal_process
from geospot.runs.rebuilding import (
    config_of,
    directory_of,
    keep_prompt,
    rooted,
    settings_again,
    settings_for_branch,
)
from geospot.textsafe import printable

__all__ = [
    "Command",
    "Launched",
    "branch",
    "branch_settings",
    "check_stop",
    "command_line",
    "evaluate",
    "evaluation_settings",
    "launch",
    "resume",
    "resume_settings",
    "shown",
    "stop",
    "stop_now",
]

_CLOCKS_S: Final = 2.0
"""How far the times of a process and of its first beat may be apart the wrong way round."""


def stop(run: Path) -> Beat:
    """Asks a run to finish its step, save a checkpoint and end. Returns at once, with its last beat.

    Raises:
        UsageError: there is nothing to stop, it can't be stopped from here, or it is stopping already.
    """
    beat = check_stop(run)
    # While it starts there is nothing to save and nobody who'd catch SIGTERM; Ctrl-C's is caught.
    return _signal(run, beat, signal.SIGINT if beat.phase == STARTING else signal.SIGTERM)


def stop_now(run: Path) -> Beat:
    """Ends a run's process at once. What was written stays; steps since the last checkpoint are lost.

    Raises:
        UsageError: there is nothing to stop, or it can't be stopped from here.
    """
    return _signal(run, check_stop(run, now=True), signal.SIGKILL)


def resume(run: Path, changes: Mapping[str, Any] | None = None) -> Launched:
    """Goes on with a run that is over, from its newest checkpoint, in a process of its own.

    Args:
        changes: settings to be changed; only those that make no other run of it are taken.

    Raises:
        UsageError: it is running, finished, or not to be gone on with from here.
    """
    kind, settings = resume_settings(run, changes)
    keep_prompt(run, settings)
    return launch(kind, settings, run, cwd=directory_of(run))


def resume_settings(
    run: Path, changes: Mapping[str, Any] | None = None
) -> tuple[Command, dict[str, Any]]:
    """The command and the settings with which a run goes on.

    Raises:
        UsageError: as of `resume`.
    """
    beat = read_heartbeat(run)
    if beat is not None:
        _refuse_to_resume(run, beat)
    kind, settings = settings_again(run)
    settings |= {"log_path": run.absolute(), **(changes or {})}
    return kind, settings | {"behavior_if_log_dir_exists": "resume"}


def branch(run: Path, checkpoint: str, changes: Mapping[str, Any], new_folder: Path) -> Launched:
    """Starts a new run from a checkpoint of another, with that one's configuration and `changes`.

    Raises:
        UsageError: no such checkpoint to go on training from, or changes that don't fit.
    """
    kind, settings = branch_settings(run, checkpoint, changes, new_folder)
    return launch(kind, settings, new_folder)


def branch_settings(
    run: Path, checkpoint: str, changes: Mapping[str, Any], new_folder: Path
) -> tuple[Command, dict[str, Any]]:
    """The command and the settings of a branch, for whoever wants to show them first.

    Raises:
        UsageError: as of `branch`.
    """
    able = [row.name for row in read_checkpoints(run) if row.state_path]
    if checkpoint not in able:
        names = ", ".join(dict.fromkeys(printable(name) for name in able[-8:]))
        raise UsageError(
            f"{_named(run)} has no checkpoint {printable(checkpoint)!r} to go on training from.",
            f"It has {names}." if able else "Train until it saves one.",
        )
    if is_taken(new_folder):
        raise UsageError(f"{_named(new_folder)} is there already.", "Give the branch a new folder.")
    kind, settings = settings_for_branch(run)
    settings |= {
        "load_checkpoint_path": f"{run.absolute()}@{checkpoint}",
        "log_path": new_folder.absolute(),
    }
    return kind, settings | dict(changes)


def evaluate(run: Path, checkpoint: str, settings: Mapping[str, Any]) -> Launched:
    """Starts `geospot eval` of a checkpoint; `settings` are added to what the run says.

    Raises:
        UsageError: no such checkpoint to sample from, or settings that don't fit.
    """
    full = evaluation_settings(run, checkpoint, settings)
    return launch("eval", full, Path(full["out"]))


def evaluation_settings(run: Path, checkpoint: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `geospot eval` is told to score a checkpoint on the data of the run's own evaluations.

    Raises:
        UsageError: as of `evaluate`.
    """
    choose_checkpoint(run, checkpoint)
    config = config_of(run)
    service = str(config.get("service", "tinker"))
    told: dict[str, Any] = {
        "backend": "local" if service == "local" else "tinker",
        "model": f"{run.absolute()}@{checkpoint}",
        "dataset": rooted(run, config.get("eval_hf_repo") or config.get("hf_repo", "osv5m/osv5m")),
        "split": config.get("eval_split", "test"),
        "limit": config.get("eval_limit", 200),
        "out": Path("results").absolute() / f"{run.absolute().name}-{checkpoint}",
    }
    if not config.get("eval_hf_repo"):
        told["columns"] = config.get("columns", [])
    if isinstance(config.get("max_tokens"), int):
        told["max_tokens"] = config["max_tokens"]
    if "://" in service:
        told["base_url"] = service
    if config.get("api_key_env"):
        told["api_key_env"] = config["api_key_env"]
    full = told | dict(settings)
    return full | {"out": Path(full["out"]).absolute()}


def _signal(run: Path, beat: Beat, number: signal.Signals) -> Beat:
    birth = beat.birth or _birth_before(beat)
    try:
        was_there = bool(birth) and signal_process(beat.pid, birth, number)
    except PermissionError:
        raise _of_another_user(run, beat) from None
    if not was_there:
        raise _gone(run, beat)
    return beat


def check_stop(run: Path, *, now: bool = False) -> Beat:
    """The beat of a run that is going on here, in a process of this user; nothing is done to it.

    Args:
        now: a run that is stopping already can still be ended at once.

    Raises:
        UsageError: it can't be stopped, or not from here.
    """
    beat = read_heartbeat(run)
    if beat is None:
        if not (run / CONFIG).is_file():
            raise UsageError(
                f"{_named(run)} is no run directory.", "`geospot runs list` lists them."
            )
        raise UsageError(
            f"{_named(run)} says nothing of its process: another program started it.",
            "Stop it where it was started.",
        )
    if beat.state != "running":
        raise UsageError(f"{_named(run)} is over: {_ending(beat)}. There is nothing to stop.")
    if not beat.is_here:
        raise _elsewhere(run, beat, "Stop it there.")
    if not beat.is_alive:
        raise _gone(run, beat)
    if owner_of(beat.pid) not in (None, os.geteuid()):
        raise _of_another_user(run, beat)
    if beat.stopping and not now:
        raise UsageError(
            f"{_named(run)} is stopping already: it finishes its step and saves.",
            "Wait for it, or stop it now, without saving.",
        )
    return beat


def _birth_before(beat: Beat) -> str:
    """The birth of the process that has the number, if it is old enough to be the run's; else empty.

    For runs of versions that didn't note it.
    """
    created = created_s(beat.pid)
    if created is None or created > beat.started + _CLOCKS_S:
        return ""
    return birth_of(beat.pid)


def _refuse_to_resume(run: Path, beat: Beat) -> None:
    standing = beat.standing()
    if beat.state == "running" and not beat.is_here:
        raise _elsewhere(
            run,
            beat,
            "Go on with it there; if that machine is gone, run the training command here with "
            "behavior_if_log_dir_exists=resume.",
        )
    if standing in ("running", "silent"):
        raise UsageError(f"{_named(run)} is running: process {beat.pid}.", "Stop it first.")
    if standing == "finished":
        raise UsageError(
            f"{_named(run)} has finished; there is nothing to go on with.",
            "Branch off one of its checkpoints.",
        )


def _elsewhere(run: Path, beat: Beat, advice: str) -> UsageError:
    host = printable(beat.host) or "another machine"
    return UsageError(
        f"{_named(run)} belongs to {host}, and can only be watched from here.", advice
    )


def _gone(run: Path, beat: Beat) -> UsageError:
    return UsageError(
        f"The process {beat.pid} of {_named(run)} is gone: it died without saying why. Nothing was "
        "signalled.",
        "`geospot runs resume` goes on from its last checkpoint.",
    )


def _of_another_user(run: Path, beat: Beat) -> UsageError:
    return UsageError(
        f"The process {beat.pid} of {_named(run)} belongs to another user. Nothing was signalled.",
        "Ask its owner to stop it.",
    )


def _ending(beat: Beat) -> str:
    return f"{beat.state}, {printable(beat.reason)}" if beat.reason else beat.state


def _named(run: Path) -> str:
    return printable(str(run))
