"""Which checkpoint a person means: a `tinker://` path, or one of a run directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from geospot.errors import UsageError
from geospot.textsafe import printable

if TYPE_CHECKING:
    from geospot.runs.checkpoints import RunCheckpoint

_SCHEME: Final = "tinker://"
_SHIPPED: Final = "geospot/"
"""What the names of models begin with that need no checkpoint."""


def is_shipped(which: str) -> bool:
    """Whether this names a model and no run directory, which may be called so too."""
    directory = which.rpartition("@")[0] or which
    return which.startswith(_SHIPPED) and not Path(directory).is_dir()


def path_of(which: str, kind: str) -> str:
    """The path itself, or that of a run directory's checkpoint, of the kind wanted if there is one."""
    named = run_of(which)
    if named is None:
        return which
    chosen = _of_run(*named)
    paths = [chosen.state_path, chosen.sampler_path]
    fitting = [path for path in paths if path and f"/{kind}/" in path]
    return (fitting or [path for path in paths if path])[0]


def run_of(which: str) -> tuple[Path, str | None] | None:
    """The run directory, and the checkpoint's name where one is said; None for a `tinker://` path."""
    if which.startswith(_SCHEME):
        return None
    from geospot.runs.checkpoints import split_name

    return split_name(which)


def named_in(run: Path, name: str | None) -> "RunCheckpoint":
    """The checkpoint of exactly this name, whatever it was saved for.

    Raises:
        UsageError: none is named, or there is none of this name.
    """
    from geospot.runs.checkpoints import read_checkpoints

    rows = read_checkpoints(run)
    for row in reversed(rows):
        if row.name == name:
            return row
    where = printable(str(run))
    names = ", ".join(dict.fromkeys(printable(row.name) for row in rows[-8:])) or "none"
    if name is None:
        raise UsageError(
            f"{where} is a run with checkpoints, and none of them is named.",
            f"It has {names}; name one with {where}@NAME.",
        )
    raise UsageError(f"The run {where} has no checkpoint {printable(name)!r}.", f"It has {names}.")


def _of_run(run: Path, name: str | None) -> "RunCheckpoint":
    """The checkpoint that evaluation would take; where there is none, one saved for training only."""
    from geospot.runs.checkpoints import FINAL, choose_checkpoint, read_checkpoints

    saved = [row for row in read_checkpoints(run) if row.state_path and name in (None, row.name)]
    if saved and not any(row.sampler_path for row in saved):
        return next((row for row in reversed(saved) if row.name == FINAL), saved[-1])
    return choose_checkpoint(run, name)
