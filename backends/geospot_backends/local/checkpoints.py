"""Checkpoints as folders: `<state>/<run>/<kind>/<name>/`, complete or not there at all.

A folder holds `checkpoint.json` (what it is), and either an adapter as peft writes it
(`adapter_config.json`, `adapter_model.safetensors`) or a whole model as transformers writes it; a
`weights` checkpoint may hold the optimiser's state in `optimizer.safetensors`. The run's name is
percent-encoded in the folder's.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, cast
from urllib.parse import quote, unquote

from geospot_backends.local.api import EngineUserError, LoraSpec

CheckpointKind = Literal["weights", "sampler_weights"]
KINDS: Final[tuple[CheckpointKind, ...]] = ("weights", "sampler_weights")
DESCRIPTION: Final = "checkpoint.json"
ADAPTER: Final = "adapter_model.safetensors"
OPTIMIZER: Final = "optimizer.safetensors"
_FORMAT: Final = 1
_LONGEST: Final = 255
"""Bytes of a file's name on the usual file systems."""
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:+-]{0,199}")


@dataclass(frozen=True, slots=True)
class CheckpointPath:
    """`tinker://<run>/<kind>/<name>`."""

    run: str
    kind: CheckpointKind
    name: str

    def __str__(self) -> str:
        return f"tinker://{self.run}/{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "CheckpointPath":
        """The path's parts.

        Raises:
            EngineUserError: it isn't of that form.
        """
        parts = text.removeprefix("tinker://").split("/")
        if not text.startswith("tinker://") or len(parts) != 3 or parts[1] not in KINDS:
            raise EngineUserError(
                f"{text!r} is no checkpoint path; they look like tinker://RUN/weights/NAME or "
                "tinker://RUN/sampler_weights/NAME."
            )
        return cls(parts[0], parts[1], parts[2])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What checkpoint.json says, and where it lies."""

    path: CheckpointPath
    folder: Path
    base_model: str
    lora: LoraSpec | None
    created: str
    """UTC, ISO 8601."""
    has_optimizer: bool

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file())


class CheckpointStore:
    """The checkpoints under one state folder."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def write(
        self,
        path: CheckpointPath,
        base_model: str,
        lora: LoraSpec | None,
        fill: Callable[[Path], None],
    ) -> Checkpoint:
        """Writes a checkpoint; `fill` puts the weights into the folder it is given.

        The folder appears under its name when everything is on the disk. One of that name is replaced.
        """
        target = self._folder(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
        try:
            fill(draft)
            has_optimizer = (draft / OPTIMIZER).exists()
            description = {
                "format": _FORMAT,
                "path": str(path),
                "base_model": base_model,
                "lora": None if lora is None else asdict(lora),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "has_optimizer": has_optimizer,
            }
            (draft / DESCRIPTION).write_text(json.dumps(description, indent=2), encoding="utf-8")
            draft.chmod(0o755)
            _flush(draft)
            if target.exists():
                old = Path(tempfile.mkdtemp(prefix=".old-", dir=target.parent))
                target.rename(old / target.name)
                draft.rename(target)
                shutil.rmtree(old)
            else:
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return self.find(str(path))

    def find(self, text: str) -> Checkpoint:
        """The checkpoint at this path.

        Raises:
            EngineUserError: no such path, or its description can't be read.
        """
        path = CheckpointPath.parse(text)
        folder = self._folder(path)
        if not (folder / DESCRIPTION).is_file():
            raise EngineUserError(f"There is no checkpoint {text}.")
        return _read(path, folder)

    def all(self) -> Iterator[Checkpoint]:
        """Every checkpoint, by run, kind and name; what can't be read is left out."""
        for description in sorted(self._state.glob(f"*/*/*/{DESCRIPTION}")):
            folder = description.parent
            run, kind, name = (unquote(part) for part in folder.relative_to(self._state).parts)
            if kind in KINDS and not name.startswith("."):
                try:
                    yield _read(CheckpointPath(run, kind, name), folder)
                except EngineUserError:
                    continue

    def delete(self, text: str) -> None:
        """Removes a checkpoint.

        Raises:
            EngineUserError: there is none of this path.
        """
        folder = self.find(text).folder
        gone = Path(tempfile.mkdtemp(prefix=".old-", dir=folder.parent))
        folder.rename(gone / folder.name)
        shutil.rmtree(gone)

    def _folder(self, path: CheckpointPath) -> Path:
        run, name = quote(path.run, safe=""), quote(path.name, safe="")
        for part, encoded in ((path.run, run), (path.name, name)):
            if not _NAME.fullmatch(part):
                raise EngineUserError(
                    f"{part!r} can't be part of a checkpoint's path; use letters, digits, . _ : + -"
                )
            if len(encoded) > _LONGEST:
                raise EngineUserError(
                    f"{part!r} is too long for part of a checkpoint's path: up to {_LONGEST} "
                    f"characters, and : and + count as three."
                )
        return self._state / run / path.kind / name


def _read(path: CheckpointPath, folder: Path) -> Checkpoint:
    try:
        content = cast(dict[str, Any], json.loads((folder / DESCRIPTION).read_bytes()))
        lora = content["lora"]
        return Checkpoint(
            path,
            folder,
            str(content["base_model"]),
            None if lora is None else LoraSpec(**lora),
            str(content["created"]),
            bool(content["has_optimizer"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUserError(f"The description of checkpoint {path} can't be read.") from error


def _flush(folder: Path) -> None:
    """Everything in the folder, and the folder, is on the disk."""
    for place in [*folder.rglob("*"), folder]:
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
