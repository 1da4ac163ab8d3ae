"""Which checkpoints a training run saved, and how its model is to be asked.

A run directory holds `checkpoints.jsonl` (a row a checkpoint: name, batch, state_path, sampler_path) and
`config.json`; tinker-cookbook writes both alike.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from geospot.durable import parse_row
from geospot.errors import UsageError
from geospot.prompts import PROMPTS, Prompt
from geospot.runs.tail import is_whole
from geospot.textsafe import printable

CHECKPOINTS: Final = "checkpoints.jsonl"
CONFIG: Final = "config.json"
FINAL: Final = "final"
SCHEME: Final = "tinker://"
_KNOWN: Final = frozenset(["name", "batch", "state_path", "sampler_path", "final"])


@dataclass(frozen=True, slots=True)
class RunCheckpoint:
    """One row of checkpoints.jsonl; paths are `tinker://…`, None where that kind wasn't saved."""

    name: str
    batch: int | None
    """Steps done when it was saved; the run goes on at this step."""
    state_path: str | None
    sampler_path: str | None
    extra: dict[str, Any] = field(default_factory=dict[str, Any], hash=False)
    """Whatever else the row holds, such as the training loop's own state."""

    @property
    def diverged(self) -> bool:
        """Saved to be looked into, where a loss or gradient was no number; taken only by name."""
        return self.extra.get("diverged") is True

    def to_json(self) -> dict[str, Any]:
        """The row, in tinker-cookbook's format: what is None is left out, `final` has a flag."""
        paths = {
            "batch": self.batch,
            "state_path": self.state_path,
            "sampler_path": self.sampler_path,
        }
        final = {"final": True} if self.name == FINAL else {}
        known = {key: value for key, value in paths.items() if value is not None}
        return self.extra | {"name": self.name} | known | final


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What config.json says of how the model was asked in training; None where it says nothing."""

    model_name: str | None = None
    renderer_name: str | None = None
    prompt: Prompt | None = None
    max_image_size: int | None = None
    """Longest side in pixels."""


def whole_sampler_path(path: str) -> str:
    """`tinker://RUN/sampler_weights/NAME`, also for `tinker://RUN/NAME`, as SkyRL calls it; it knows both.

    Where it deletes and describes checkpoints the SDK knows the long form alone.
    """
    run, _, name = path.removeprefix(SCHEME).partition("/")
    is_short = path.startswith(SCHEME) and run and name and "/" not in name
    return f"{SCHEME}{run}/sampler_weights/{name}" if is_short else path


def split_name(text: str) -> tuple[Path, str | None]:
    """The run directory and the checkpoint's name in `DIRECTORY@NAME`; no name in a plain path.

    A directory whose own name holds an @ is taken whole unless what is before the @ is one too.
    """
    directory, _, name = text.rpartition("@")
    if directory and Path(directory).is_dir():
        return Path(directory), name
    return Path(text), None


def read_checkpoints(run: Path) -> list[RunCheckpoint]:
    """The run's checkpoints in the order in which they were saved; a torn last line is left out.

    Raises:
        UsageError: the directory holds no checkpoints.
    """
    path = run / CHECKPOINTS
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(
            f"{printable(str(run))} is no run directory with checkpoints: its {CHECKPOINTS} can't "
            f"be read ({error.strerror}).",
            "Name a directory that a training run has written.",
        ) from error
    return [checkpoint for line in lines if (checkpoint := _row(line)) is not None]


def choose_checkpoint(run: Path, name: str | None = None) -> RunCheckpoint:
    """The checkpoint of that name; without one the `final`, else the newest that can be sampled.

    Raises:
        UsageError: there is none that can be sampled from.
    """
    rows = read_checkpoints(run)
    able = [row for row in rows if row.sampler_path]
    wanted = name if name is not None else FINAL
    named = [row for row in able if row.name == wanted]
    if named:
        return named[-1]
    sound = [row for row in able if not row.diverged]
    if name is None and sound:
        return sound[-1]
    where = printable(str(run))
    if name is not None and any(row.name == name for row in rows):
        raise UsageError(
            f"The checkpoint {printable(name)!r} of {where} was saved to go on training from, and "
            "not for sampling.",
            _choices(able),
        )
    what = "no checkpoint to sample from" if name is None else f"no checkpoint {printable(name)!r}"
    raise UsageError(f"The run {where} has {what}.", _choices(able))


def read_settings(run: Path, file: str = CONFIG) -> RunSettings:
    """What the run's config.json, or another file of that kind, says; nothing where there is none.

    Raises:
        UsageError: it is there and can't be read.
    """
    path = run / file
    if not path.is_file():
        return RunSettings()
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{printable(str(path))} can't be read: {error}.", "Mend it, or name the checkpoint."
        ) from error
    size = find_setting(content, "max_image_size")
    return RunSettings(
        model_name=_text(find_setting(content, "model_name")),
        renderer_name=_text(find_setting(content, "renderer_name")),
        prompt=_prompt(content),
        max_image_size=size if isinstance(size, int) and not isinstance(size, bool) else None,
    )


def _row(line: bytes) -> RunCheckpoint | None:
    row = parse_row(line)
    if row is None:
        return None
    name, batch = row.get("name"), row.get("batch")
    if not isinstance(name, str):
        return None
    return RunCheckpoint(
        name=name,
        batch=batch if is_whole(batch) else None,
        state_path=_text(row.get("state_path")),
        sampler_path=_text(row.get("sampler_path")),
        extra={key: value for key, value in row.items() if key not in _KNOWN},
    )


def _choices(able: list[RunCheckpoint]) -> str:
    if not able:
        return "Train on until it saves one."
    names = ", ".join(printable(row.name) for row in able[-8:])
    return f"It has {names}; pick one with DIRECTORY@NAME."


def _prompt(content: Any) -> Prompt | None:
    """The prompt that the run was trained with: its text, or else its name among ours."""
    name, text = _text(find_setting(content, "prompt")), _text(find_setting(content, "prompt_text"))
    if text is None and name in PROMPTS:
        text = PROMPTS[name]
    if text is None:
        return None
    return Prompt(name or "from the run", text, _text(find_setting(content, "system_prompt")))


def find_setting(content: Any, key: str) -> Any:
    """The value of the key nearest to the root; tinker-cookbook nests its settings."""
    level = [content]
    while level:
        objects = [cast(Mapping[str, Any], item) for item in level if isinstance(item, dict)]
        for item in objects:
            if item.get(key) is not None:
                return item[key]
        level = list(_children(objects))
    return None


def _children(objects: list[Mapping[str, Any]]) -> Iterator[Any]:
    for item in objects:
        yield from item.values()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
