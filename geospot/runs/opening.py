"""Whether a run may be written into a directory, and whether it goes on with the one that is there."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from geospot.config.learning import IfExists
from geospot.durable import is_left_at_start, plain_json, set_aside, take_lock
from geospot.errors import ResultMismatchError, UsageError
from geospot.runs.checkpoints import CONFIG

BUSY_ADVICE: Final = "Wait for it, stop it, or give another log_path."

HARMLESS: Final = frozenset(
    [
        "api_key_env",
        "behavior_if_log_dir_exists",
        "check_photos",
        "eval_every",
        "keep_checkpoints",
        "log_path",
        "max_retries",
        "min_rollouts",
        "nll_every",
        "price_cached_prefill",
        "price_prefill",
        "price_sample",
        "price_train",
        "project",
        "provenance",
        "rollout_timeout",
        "rollouts_every",
        "save_every",
        "thumbnails_mb",
        "trackers",
        "ttl_days",
    ]
)
"""Keys that may change when a run goes on: none of them moves a weight or changes what is measured.

With one exception: where old weights may be sampled, they are never older than the last checkpoint, so
`save_every` says which.
"""

_OF_THE_START: Final = ("behavior_if_log_dir_exists", "log_path")
"""How a run was called for, which is no setting of it: its directory is the same, however it is spelt."""

_SHOWN: Final = 100  # characters of a value in a message

Ask = Callable[[str], bool]
"""Puts a question to the person at the terminal; True for yes."""


def refuse_taken(path: Path, if_exists: IfExists, ask: Ask | None) -> None:
    """Refuses a directory that isn't to be touched, whatever anybody would answer. Touches nothing.

    Raises:
        UsageError: says what lies there.
    """
    if not is_taken(path):
        return
    _refuse_strangers(path)
    if if_exists == "raise" or (if_exists == "ask" and ask is None):
        raise UsageError(
            f"{path} already holds a run.",
            "Say behavior_if_log_dir_exists=resume to go on with it, =delete to set it aside, "
            "or give another log_path.",
        )


def lock_for_run(path: Path, if_exists: IfExists, ask: Ask | None) -> int:
    """Makes the directory or decides about the one that is there, and locks it.

    Args:
        ask: how to ask; None where there is no terminal.

    Returns:
        The lock's descriptor. The directory then holds a run of ours, or nothing.

    Raises:
        UsageError: there is something that isn't to be touched.
        BusyError: another process is writing into it.
    """
    refuse_taken(path, if_exists, ask)
    if is_taken(path):
        if if_exists == "delete":
            set_aside(path, BUSY_ADVICE)
        elif (
            if_exists == "ask"
            and ask is not None
            and not ask(f"{path} holds a run. Go on with it?")
        ):
            raise UsageError(
                f"{path} was left as it is.",
                "Give another log_path, or behavior_if_log_dir_exists=delete to set it aside.",
            )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The run directory {path} can't be made: {error.strerror}.", "Give another log_path."
        ) from error
    return take_lock(path, BUSY_ADVICE)


def changes(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys that both configurations have and whose values differ, with the old value and the new."""
    asked: dict[str, Any] = plain_json(dict(wanted))
    return {
        key: (known[key], asked[key])
        for key in sorted(known.keys() & asked.keys())
        if known[key] != asked[key]
    }


def notes(changed: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """What logs.log says of changed settings, and of versions: config.json has those of the newest start.

    Args:
        changed: as of `changes`.
    """
    return [
        note
        for key, (old, new) in changed.items()
        if key not in _OF_THE_START
        for note in _notes(key, old, new)
    ]


def _notes(key: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        before, now = cast(dict[str, Any], old), cast(dict[str, Any], new)
        for name in sorted(before.keys() | now.keys()):
            yield from _notes(f"{key}.{name}", before.get(name), now.get(name))
    elif old != new:
        yield f"{key} was {old!r} and is now {new!r}."


def refuse_other_run(
    path: Path, known: Mapping[str, Any], changed: Mapping[str, tuple[Any, Any]]
) -> None:
    """Refuses to go on with a run under a configuration that would make another run of it.

    Args:
        known: the configuration that it began with.
        changed: as of `changes`.

    Raises:
        ResultMismatchError: names each key, what it was and what it is.
    """
    harmless = HARMLESS - {"save_every"} if known.get("max_steps_off_policy") else HARMLESS
    listed = "\n  ".join(
        f"{key}: {_short(old)} there, {_short(new)} asked for"
        for key, (old, new) in changed.items()
        if key not in harmless
    )
    if listed:
        raise ResultMismatchError(
            f"{path} holds a run of another configuration:\n  {listed}\n",
            "Give the old values again, another log_path, or behavior_if_log_dir_exists=delete "
            "to set the old run aside.",
        )


def is_taken(path: Path) -> bool:
    """Whether something is there, beyond what a process leaves that was killed at its very start."""
    if not path.exists():
        return False
    if not path.is_dir():
        raise UsageError(f"{path} is a file.", "Give another log_path.")
    return not all(is_left_at_start(entry.name, CONFIG) for entry in path.iterdir())


def _refuse_strangers(path: Path) -> None:
    if not (path / CONFIG).is_file():
        raise UsageError(
            f"{path} has files in it but no {CONFIG}, so it isn't a run directory.",
            "Give another log_path.",
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
