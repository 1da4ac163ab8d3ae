"""What a run starts from: a base model's weights, or those that another run saved; its own settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from geospot.config.learning import LearnConfig
from geospot.config.load import build
from geospot.config.recipes import Kind
from geospot.errors import UsageError
from geospot.runs.checkpoints import (
    CONFIG,
    FINAL,
    SCHEME,
    RunCheckpoint,
    RunSettings,
    read_checkpoints,
    read_settings,
    split_name,
)
from geospot.runs.rebuilding import config_of
from geospot.textsafe import printable

ConfigT = TypeVar("ConfigT", bound=LearnConfig)

START_PATH: Final = "start_path"
"""Where config.json records the weights that a run started from; null where it was a base model."""

_NOT_FILLED: Final = frozenset(["log_path", "behavior_if_log_dir_exists", "prompt"])
"""What is about this start alone; a prompt's text stands in config.json beside its name."""


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


def begun_with(config: LearnConfig, kind: Kind) -> Mapping[str, Any]:
    """What config.json says of the run that is gone on with; nothing where a new one begins."""
    if config.behavior_if_log_dir_exists not in ("ask", "resume"):
        return {}
    known = config_of(config.log_path)
    return known if known.get("kind") == kind else {}


def filled(config: ConfigT, known: Mapping[str, Any]) -> ConfigT:
    """The configuration with what the run began with, where the person says nothing.

    Defaults may be others by now: those of the service, of the model's recipe, or of geospot.

    Raises:
        UsageError: the two don't go together.
    """
    said = config.model_dump(exclude_unset=True)
    unsaid = type(config).model_fields.keys() - said.keys() - _NOT_FILLED
    try:
        before = {name: known[name] for name in unsaid if name in known}
        return build(type(config), before, said, dashes=False)
    except UsageError as error:
        raise UsageError(
            f"What is asked for doesn't fit {printable(str(config.log_path / CONFIG))}: "
            f"{error.message}",
            error.advice,
        ) from error


def start_of(config: LearnConfig, known: Mapping[str, Any]) -> Start:
    """From where the run that is gone on with began, whatever has become of that since.

    Raises:
        UsageError: an older geospot didn't record it, and there is no checkpoint there any more.
    """
    path = known.get(START_PATH)
    if START_PATH not in known or not isinstance(path, str | None):
        path = starting_point(config.load_checkpoint_path).state_path
    return Start(path, read_settings(config.log_path))


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
