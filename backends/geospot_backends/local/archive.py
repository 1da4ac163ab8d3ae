"""The embedded engine's checkpoints on disk, without starting it.

Entry point `local` of group `geospot.stores`.
"""

import shutil
from pathlib import Path
from typing import Final

from geospot.errors import UsageError
from geospot.services.archive import ArchivedCheckpoint, new_folder
from geospot.services.endpoint import ServiceOptions
from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import EngineUserError
from geospot_backends.local.checkpoints import OPTIMIZER, Checkpoint, CheckpointStore
from geospot_backends.local.durable import DESCRIPTION
from geospot_backends.local.embedded import check_packages, default_state_dir

_KINDS: Final = {"weights": "training", "sampler_weights": "sampler"}
_NOT_EXPORTED: Final = (DESCRIPTION, OPTIMIZER)
_SHIPPED: Final = (tiny_vlm.NAME, tiny_vlm.SCRATCH_NAME)


def open_archive(options: ServiceOptions) -> "LocalArchive":
    """The checkpoints of the state folder."""
    return LocalArchive(CheckpointStore(options.state_dir or default_state_dir()))


class LocalArchive:
    """Checkpoints as folders."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store

    def all(self) -> list[ArchivedCheckpoint]:
        """Every checkpoint, the newest first."""
        found = [_described(checkpoint) for checkpoint in self._store.all()]
        return sorted(found, key=lambda checkpoint: checkpoint.created, reverse=True)

    def find(self, path: str) -> ArchivedCheckpoint:
        """One checkpoint."""
        return _described(self._find(path))

    def export(self, path: str, folder: Path) -> list[Path]:
        """Copies the weights and their configuration; they are PEFT's or transformers' already.

        The name of a model that ships with the package gives the whole model.
        """
        if path in _SHIPPED:
            return _export_shipped(path, folder)
        checkpoint = self._find(path)
        new_folder(folder)
        written: list[Path] = []
        try:
            for file in sorted(checkpoint.folder.iterdir()):
                if file.name not in _NOT_EXPORTED:
                    written.append(folder / file.name)
                    shutil.copyfile(file, folder / file.name)
        except FileNotFoundError as error:
            raise UsageError(
                f"{path} was deleted or replaced while it was copied.",
                f"Empty {folder}, try again.",
            ) from error
        return written

    def delete(self, path: str) -> None:
        """Removes the folder."""
        try:
            self._store.delete(path)
        except EngineUserError as error:
            raise _missing(error) from error

    def close(self) -> None:
        """Nothing is open."""

    def _find(self, path: str) -> Checkpoint:
        try:
            return self._store.find(path)
        except EngineUserError as error:
            raise _missing(error) from error


def _missing(error: EngineUserError) -> UsageError:
    return UsageError(error.message, "`geospot checkpoints list` shows them.")


def _export_shipped(name: str, folder: Path) -> list[Path]:
    check_packages()
    from geospot_backends.local.tiny_export import export_tiny

    return export_tiny(name, new_folder(folder))


def _described(checkpoint: Checkpoint) -> ArchivedCheckpoint:
    return ArchivedCheckpoint(
        path=str(checkpoint.path),
        kind=_KINDS[checkpoint.path.kind],
        created=checkpoint.created,
        bytes=checkpoint.bytes,
        base_model=checkpoint.base_model,
        lora_rank=checkpoint.lora.rank if checkpoint.lora else None,
        expires=checkpoint.expires,
    )
