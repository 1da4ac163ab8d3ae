"""What the disk says of a form: is the run directory free, are the checkpoint and the prompt there?

Everything here reads files, and so belongs into a thread.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from geospot.errors import GeospotError, UsageError
from geospot.prompts import load_prompt
from geospot.runs.catalogue import Catalogue
from geospot.runs.checkpoints import (
    CONFIG,
    SCHEME,
    choose_checkpoint,
    read_checkpoints,
    read_settings,
    split_name,
)
from geospot.runs.forecast import Earlier, find_earlier
from geospot.runs.heartbeat import read_heartbeat
from geospot.tui.form import Form

_EVAL: Final = "eval.json"
_REMOTE: Final = "downloaded from the hub"
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES: Final = (".csv", ".tsv", ".jsonl", ".parquet")
_MOST_RUNS: Final = 100
_MOST_NAMES: Final = 200


@dataclass(frozen=True, slots=True)
class Around:
    """What was found: reasons against fields, and what is known of others; each for the text it is about."""

    wrong: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """By field: the text that it is about, and the reason."""
    notes: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    checkpoint_model: str | None = None
    about: tuple[str, ...] = ()
    """Kind, service and base model of which `earlier` is a run."""
    earlier: Earlier | None = None
    has_data: bool = False
    """Whether the data of an evaluation is on this machine, so that it can be counted at any time."""

    def wrong_of(self, form: Form) -> dict[str, str]:
        """Reasons that still hold."""
        return _holding(self.wrong, form)

    def notes_of(self, form: Form) -> dict[str, str]:
        """What is still so."""
        return _holding(self.notes, form)


@dataclass(frozen=True, slots=True)
class Beginning:
    """A checkpoint of a run that can be gone on from, or asked."""

    text: str
    """As a setting names it: DIR@NAME."""
    kind: str
    model: str
    is_sampled: bool
    """Whether it can be asked."""
    is_trainable: bool


def look_around(form: Form, folders: Sequence[Path], before: Around) -> Around:
    """Looks at what the form names on this machine. Blocks.

    Args:
        form: isn't changed; what is read of it is read at the beginning.
        folders: where earlier runs are.
        before: what was found last; an earlier run isn't looked for twice.
    """
    kind, said = form.kind, dict(form.said)
    wrong: dict[str, tuple[str, str]] = {}
    notes: dict[str, tuple[str, str]] = {}
    for name, check in _CHECKS.items():
        text = form.shown(name) if name in form.by_name else ""
        if not text:
            continue
        try:
            note = check(text, said)
        except GeospotError as error:
            wrong[name] = (text, str(error))
        except (OSError, ValueError) as error:
            wrong[name] = (text, f"it can't be read: {error}")
        else:
            if note:
                notes[name] = (text, note)
    if kind == "eval":
        said_of_data = notes.get("dataset", ("", _REMOTE))[1]
        return Around(wrong, notes, has_data=not said_of_data.startswith(_REMOTE))
    model = checkpoint_model(said.get("load_checkpoint_path"))
    base = said.get("model_name") or model or form.base_model
    about = (kind, form.shown("service"), base)
    earlier = before.earlier
    if about != before.about:
        earlier = find_earlier(folders, *about) if base else None
    return Around(wrong, notes, model, about, earlier)


def beginnings(folders: Sequence[Path]) -> list[Beginning]:
    """Checkpoints of the runs below the folders, those of the newest run first. Blocks."""
    found: list[Beginning] = []
    for run in Catalogue(folders).scan()[:_MOST_RUNS]:
        try:
            rows, model = read_checkpoints(run), read_settings(run).model_name or ""
            kind = _kind_of(run)
        except GeospotError:
            continue
        for row in reversed(rows):
            text = f"{run}@{row.name}"
            found.append(Beginning(text, kind, model, bool(row.sampler_path), bool(row.state_path)))
    return found[:_MOST_NAMES]


def path_of(text: str) -> Path:
    """The path that is meant by what is typed; `~nobody` is as it stands, since it may be half of a name."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - never raises


def free_path(path: Path) -> Path:
    """The path, or the first of path-2, path-3, … where nothing is. Blocks."""
    number, free = 1, path
    while path.name and os.path.lexists(free) and number < 10_000:  # of / there is no other
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def paths_like(text: str, *, ending: str = "") -> list[str]:
    """Paths that begin so, folders first; with an ending only such files. Blocks."""
    typed = path_of(text)
    folder, begun = (typed, "") if text.endswith("/") or not text else (typed.parent, typed.name)
    folders: list[str] = []
    files: list[str] = []
    try:
        for entry in sorted(folder.iterdir()):
            if not entry.name.startswith(begun) or entry.name.startswith("."):
                continue
            if entry.is_dir():
                folders.append(f"{entry}/")
            elif entry.name.endswith(ending):
                files.append(str(entry))
            if len(folders) + len(files) >= _MOST_NAMES:
                break
    except OSError:
        return []
    return folders + files


def _holding(found: Mapping[str, tuple[str, str]], form: Form) -> dict[str, str]:
    return {name: what for name, (text, what) in found.items() if form.shown(name) == text}


def _log_path(text: str, said: Mapping[str, str]) -> str:
    path = Path(text)
    if path.is_file():
        raise UsageError(f"{path} is a file.", "Give another path.")
    if not path.is_dir() or not any(path.iterdir()):
        return "free"
    if not (path / CONFIG).is_file():
        raise UsageError("It has files in it and is no run directory.", "Give another path.")
    beat = read_heartbeat(path)
    state = (
        f"{beat.standing()}, step {beat.step:,} of {beat.total:,}"
        if beat
        else "without a heartbeat"
    )
    if beat is not None and beat.standing() in ("running", "silent"):
        raise UsageError(f"It holds a run that is going on ({state}).", "Give another path.")
    how = said.get("behavior_if_log_dir_exists", "ask")
    if how == "resume":
        return f"holds a run ({state}), which goes on"
    if how == "delete":
        return f"holds a run ({state}), which is set aside"
    raise UsageError(
        f"It holds a run ({state}): n for a free path, or set behavior_if_log_dir_exists to resume, or "
        "to delete, which sets it aside."
    )


def _out(text: str, said: Mapping[str, str]) -> str:
    path = Path(text)
    if path.is_file():
        raise UsageError(f"{path} is a file.", "Give another path.")
    if not path.is_dir() or not any(path.iterdir()):
        return "free"
    if not (path / _EVAL).is_file():
        raise UsageError("It has files in it and is no result directory.", "Give another path.")
    if said.get("resume", "true") == "true":
        return "holds an evaluation, which goes on"
    return "holds an evaluation, which is set aside"


def _checkpoint(text: str, _said: Mapping[str, str]) -> str:
    if text.startswith(SCHEME):
        return ""
    run, name = split_name(text)
    rows = [row for row in read_checkpoints(run) if row.state_path and name in (None, row.name)]
    if not rows:
        names = ", ".join(row.name for row in read_checkpoints(run)[-5:]) or "none"
        raise UsageError(f"No such checkpoint to go on training from; it has {names}.")
    model = read_settings(run).model_name
    step = f"step {rows[-1].batch:,}" if rows[-1].batch is not None else rows[-1].name
    return f"{step} of {model or 'a model that it does not name'}"


def _model(text: str, said: Mapping[str, str]) -> str:
    if said.get("backend") not in ("tinker", "local") or not Path(text.partition("@")[0]).is_dir():
        return ""
    run, name = split_name(text)
    if not (run / CONFIG).is_file():
        return ""  # a folder with a model's files
    row = choose_checkpoint(run, name)
    return f"{row.name} of {read_settings(run).model_name or 'a model that it does not name'}"


def _prompt(text: str, said: Mapping[str, str]) -> str:
    if "prompt" not in said and said.get("backend") in ("tinker", "local"):
        return "unless the model was trained with another, which is then asked"
    prompt = load_prompt(text, said.get("system_prompt"))
    return f"{len(prompt.text):,} characters: {' '.join(prompt.text.split())[:200]}"


def _dataset(text: str, said: Mapping[str, str]) -> str:
    """As `geospot.data.open_dataset` will understand it; nobody outside this machine is asked."""
    path = path_of(text)
    if text == "world" or text.startswith("world:"):
        return "the procedural world, drawn on this machine: no download"
    if path.is_dir():
        return "a folder on this machine"
    if path.is_file():
        return "a file on this machine"
    if text.endswith((".tar", "}")):
        from geospot.data.open import expand_pattern

        if tars := expand_pattern(str(path)):
            return f"{len(tars):,} tars on this machine"
    elif _HUB_NAME.fullmatch(text) and not text.lower().endswith(_FILES):
        is_unsaid = said.get("service") == "local" and "hf_repo" not in said
        return _REMOTE + ("; world needs no download" if is_unsaid else "")
    raise UsageError(
        "There is no such folder or file here, and it is neither `world` nor OWNER/NAME on the hub."
    )


_CHECKS: Final = {
    "hf_repo": _dataset,
    "eval_hf_repo": _dataset,
    "dataset": _dataset,
    "log_path": _log_path,
    "out": _out,
    "load_checkpoint_path": _checkpoint,
    "model": _model,
    "prompt": _prompt,
}


def checkpoint_model(text: str | None) -> str | None:
    """Base model of a checkpoint, as its run says; None where none does. Blocks."""
    if text is None or text.startswith(SCHEME):
        return None
    try:
        return read_settings(split_name(text)[0]).model_name
    except (GeospotError, OSError, ValueError):
        return None


def _kind_of(run: Path) -> str:
    from geospot.runs.rebuilding import config_of

    return str(config_of(run).get("kind", ""))
