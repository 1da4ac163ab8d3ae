"""The embedded engine's checkpoints on disk, without starting it.

Entry point `local` of group `geospot.stores`.
"""

import shutil
from pathlib import Path
from typing import Final

from geospot.durable import WriteError
from geospot.errors import UsageError
from geospot.services.archive import ArchivedCheckpoint
from geospot.services.endpoint import ServiceOptions
from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import EngineError, EngineUserError
from geospot_backends.local.checkpoints import OPTIMIZER, TYPE_OF, Checkpoint, CheckpointStore
from geospot_backends.local.durable import DESCRIPTION
from geospot_backends.local.embedded import check_packages, default_state_dir

_NOT_EXPORTED: Final = (DESCRIPTION, OPTIMIZER)
_SHIPPED: Final = (tiny_vlm.NAME, tiny_vlm.SCRATCH_NAME)


def open_archive(options: ServiceOptions) -> "LocalArchive":
    """The checkpoints of the state folder.

    Raises:
        UsageError: the folder that was named isn't there.
    """
    if options.state_dir is not None and not options.state_dir.is_dir():
        raise UsageError(
            f"There is no state folder {options.state_dir}.",
            f"Without --state-dir it is {default_state_dir()}.",
        )
    return LocalArchive(options.state_dir or default_state_dir())


class LocalArchive:
    """Checkpoints as folders."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._store = CheckpointStore(state)

    @property
    def place(self) -> str:
        """The state folder."""
        return f"The state folder {self._state}"

    def all(self) -> list[ArchivedCheckpoint]:
        """Every checkpoint, the newest first."""
        found = [_described(checkpoint) for checkpoint in self._store.all()]
        return sorted(found, key=lambda checkpoint: checkpoint.created, reverse=True)

    def find(self, path: str) -> ArchivedCheckpoint:
        """One checkpoint."""
        return _described(self._find(path))

    def base_model_of(self, path: str) -> str:
        """What its description says."""
        return self._find(path).base_model

    def export(self, path: str, folder: Path) -> None:
        """Copies the weights and their configuration; they are PEFT's or transformers' already.

        The name of a model that ships with the package gives the whole model, and so does a
        checkpoint of all its weights: the same files, with the processor that its kind needs.
        """
        if path in _SHIPPED:
            _export_shipped(path, folder)
            return
        checkpoint = self._find(path)
        try:
            if checkpoint.lora is None and checkpoint.base_model in _SHIPPED:
                _export_shipped(checkpoint.base_model, folder, checkpoint.folder)
                return
            for file in checkpoint.folder.iterdir():
                if file.name not in _NOT_EXPORTED:
                    shutil.copyfile(file, folder / file.name)
        except FileNotFoundError as error:
            raise UsageError(
                f"{path} was deleted or replaced while it was copied.", "Try again."
            ) from error

    def delete(self, path: str) -> None:
        """Removes the folder.

        Raises:
            WriteError: it may not be removed.
        """
        try:
            self._store.delete(path)
        except EngineUserError as error:
            raise self._missing(error) from error
        except EngineError as error:
            raise WriteError(
                f"{error.message[0].upper()}{error.message[1:]}.",
                f"Mend the permissions of {self._state}, and run the same command again.",
            ) from error

    def close(self) -> None:
        """Nothing is open."""

    def _find(self, path: str) -> Checkpoint:
        try:
            return self._store.find(path)
        except EngineUserError as error:
            raise self._missing(error) from error

    def _missing(self, error: EngineUserError) -> UsageError:
        named = "" if self._state == default_state_dir() else f" --state-dir {self._state}"
        return UsageError(
            error.message,
            f"`geospot checkpoints list{named}` shows those that are there; --service looks elsewhere.",
        )


def _export_shipped(name: str, folder: Path, weights: Path | None = None) -> None:
    check_packages()
    from geospot_backends.local.tiny_export import export_tiny

    export_tiny(name, folder, weights)


def _described(checkpoint: Checkpoint) -> ArchivedCheckpoint:
    return ArchivedCheckpoint(
        path=str(checkpoint.path),
        kind=TYPE_OF[checkpoint.path.kind],
        created=checkpoint.created,
        bytes=checkpoint.bytes,
        base_model=checkpoint.base_model,
        lora_rank=checkpoint.lora.rank if checkpoint.lora else None,
        expires=checkpoint.expires,
        is_lora=checkpoint.lora is not None,
    )
