"""The weights that a run starts from: a base model's, or those that another run saved."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from geospot.errors import UsageError
from geospot.runs.checkpoints import (
    FINAL,
    RunCheckpoint,
    RunSettings,
    read_checkpoints,
    read_settings,
    split_name,
)
from geospot.textsafe import printable

SCHEME: Final = "tinker://"


@dataclass(frozen=True, slots=True)
class Start:
    """`state_path` is None for a base model; `settings` are those of the run that saved it."""

    state_path: str | None = None
    settings: RunSettings = field(default_factory=RunSettings)


def starting_point(load_checkpoint_path: str | None) -> Start:
    """What `load_checkpoint_path` names.

    Args:
        load_checkpoint_path: a run directory, `DIRECTORY@NAME`, a `tinker://` path, or None.

    Raises:
        UsageError: there is no checkpoint there from which one can go on training.
    """
    text = load_checkpoint_path
    if text is None:
        return Start()
    if text.startswith(SCHEME):
        return Start(_checked(text))
    run, wanted = split_name(text)
    return Start(_choose(run, wanted).state_path, read_settings(run))


def _choose(run: Path, name: str | None) -> RunCheckpoint:
    """The checkpoint of that name; without one the `final`, else the newest with a state."""
    able = [row for row in read_checkpoints(run) if row.state_path]
    named = [row for row in able if row.name == (name or FINAL)]
    if named:
        return named[-1]
    sound = [row for row in able if not row.diverged]
    if name is None and sound:
        return sound[-1]
    what = "no checkpoint" if name is None else f"no checkpoint {printable(name)!r}"
    names = ", ".join(printable(row.name) for row in able[-8:])
    raise UsageError(
        f"The run {printable(str(run))} has {what} to go on training from.",
        f"It has {names}; pick one with DIRECTORY@NAME." if able else "Train until it saves one.",
    )


def _checked(path: str) -> str:
    parts = path.removeprefix(SCHEME).split("/")
    if len(parts) == 3 and all(parts) and parts[1] == "weights":
        return path
    if len(parts) == 3 and parts[1] == "sampler_weights":
        raise UsageError(
            f"{printable(path)} was saved for sampling, and can't be trained.",
            "Name the checkpoint saved beside it, with weights in its path, or the run directory, "
            "which knows it.",
        )
    raise UsageError(
        f"{printable(path)!r} is no checkpoint's path.", "They look like tinker://RUN/weights/NAME."
    )
