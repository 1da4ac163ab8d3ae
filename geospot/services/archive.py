"""Trained checkpoints, wherever they are kept: listed, exported as PEFT folders, deleted."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from geospot.errors import GeospotError, UsageError
from geospot.plugins import SERVICES, STORES, installed, load
from geospot.services.connection import Service, open_service
from geospot.services.endpoint import ServiceOptions
from geospot.services.failures import failure_of
from geospot.textsafe import printable

if TYPE_CHECKING:
    import tinker

_PAGE: Final = 500
_EXPORT: Final = "geospot-export"
_EXPORT_LIVES_S: Final = 3600


@dataclass(frozen=True, slots=True)
class ArchivedCheckpoint:
    """One checkpoint; None where it isn't known without asking further."""

    path: str
    kind: str
    """`training` or `sampler`."""
    created: str
    """UTC, ISO 8601."""
    bytes: int | None = None
    base_model: str | None = None
    lora_rank: int | None = None
    expires: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary in field order."""
        return asdict(self)


class Archive(Protocol):
    """Where checkpoints are kept."""

    def all(self) -> Sequence[ArchivedCheckpoint]:
        """Every checkpoint, the newest first."""
        ...

    def find(self, path: str) -> ArchivedCheckpoint:
        """One checkpoint with all that is known of it.

        Raises:
            UsageError: there is none of this path.
        """
        ...

    def export(self, path: str, folder: Path) -> list[Path]:
        """Writes its files into a new folder, an adapter as PEFT reads it; returns them.

        Args:
            path: a checkpoint's, or the name of a model that is kept here.
            folder: new or empty.

        Raises:
            UsageError: there is none of this path, or the folder isn't empty.
        """
        ...

    def delete(self, path: str) -> None:
        """Removes it for good.

        Raises:
            UsageError: there is none of this path.
        """
        ...

    def close(self) -> None:
        """Ends what was opened."""
        ...


def open_archive(spec: str, options: ServiceOptions) -> Archive:
    """The checkpoints of a service. Those of an embedded engine are read without starting it.

    Args:
        spec: `local`, `tinker`, or the URL of a service.

    Raises:
        BackendError: the service can't be used.
        PluginError: no such service is installed.
    """
    if spec in {store.name for store in installed(STORES)}:
        return load(STORES, spec)(options)
    if "://" not in spec:
        load(SERVICES, spec)  # says which there are, where there is none of this name
    return RemoteArchive(open_service(spec, options))


def new_folder(folder: Path) -> Path:
    """The folder, made if it isn't there.

    Raises:
        UsageError: something is in it, or it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = next(folder.iterdir(), None) is not None
    except OSError as error:
        raise UsageError(
            f"The folder {folder} can't be written: {error.strerror}.", "Name another."
        ) from error
    if occupied:
        raise UsageError(f"The folder {folder} isn't empty.", "Name a new one.")
    return folder


class RemoteArchive:
    """Checkpoints of a service, asked for through the SDK."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def all(self) -> list[ArchivedCheckpoint]:
        """Every checkpoint of this account."""
        found: list[ArchivedCheckpoint] = []

        def next_page(rest: "tinker.RestClient") -> "tinker.types.CheckpointsListResponse":
            return rest.list_user_checkpoints(limit=_PAGE, offset=len(found)).result()

        while True:
            page = self._service.ask("for its checkpoints", next_page)
            found += [_described(checkpoint) for checkpoint in page.checkpoints]
            if not page.checkpoints or page.cursor is None or len(found) >= page.cursor.total_count:
                return found

    def find(self, path: str) -> ArchivedCheckpoint:
        """One checkpoint."""
        import tinker

        for checkpoint in self.all():
            if checkpoint.path == path:
                break
        else:
            raise _missing(path)
        try:
            info = self._service.ask(
                "about a checkpoint",
                lambda rest: rest.get_weights_info_by_tinker_path(path).result(),
            )
        except tinker.NotFoundError as error:
            raise _missing(path) from error
        return replace(checkpoint, base_model=info.base_model, lora_rank=info.lora_rank)

    def export(self, path: str, folder: Path) -> list[Path]:
        """Has the service write the adapter in its external form, and downloads that."""
        if "://" not in path:
            raise UsageError(
                f"A service exports checkpoints; {printable(path)} is a model.",
                "Models that ship with geospot are exported with --service local.",
            )
        if "/sampler_weights/" in path:
            raise UsageError(
                "A service lets no checkpoint for sampling be downloaded.",
                "Export the one saved beside it, with weights in its path.",
            )
        new_folder(folder)
        saved = self._save_external(path)
        try:
            urls = self._service.ask(
                "where the files are", lambda rest: rest.get_external_weights_urls(saved).result()
            ).urls
            return [_download(url, folder, name) for name, url in sorted(urls.items())]
        finally:
            with suppress(GeospotError):  # it expires within the hour anyway
                self.delete(saved)

    def _save_external(self, path: str) -> str:
        """Loads the checkpoint into a new run and has it written in the external form."""
        import tinker

        training = self._service.trainer_from(path, optimizer=False)
        try:
            return self._service.wait_for(
                f"the files of {printable(path)}",
                lambda: training.save_weights_external(_EXPORT, _EXPORT_LIVES_S).result().path,
            )
        except tinker.RequestFailedError as error:
            raise UsageError(
                f"{printable(path)} can't be exported: {failure_of(error)}.",
                "`geospot checkpoints list` shows what is there.",
            ) from error

    def delete(self, path: str) -> None:
        """Removes it for good."""
        import tinker

        try:
            self._service.ask(
                "to delete a checkpoint",
                lambda rest: rest.delete_checkpoint_from_tinker_path(path).result(),
            )
        except tinker.NotFoundError as error:
            raise _missing(path) from error

    def close(self) -> None:
        """Ends the session."""
        self._service.close()


def _described(checkpoint: "tinker.types.Checkpoint") -> ArchivedCheckpoint:
    return ArchivedCheckpoint(
        path=checkpoint.tinker_path,
        kind=checkpoint.checkpoint_type,
        created=checkpoint.time.isoformat(timespec="seconds"),
        bytes=checkpoint.size_bytes,
        expires=checkpoint.expires_at and checkpoint.expires_at.isoformat(timespec="seconds"),
    )


def _missing(path: str) -> UsageError:
    return UsageError(
        f"There is no checkpoint {printable(path)}.", "`geospot checkpoints list` shows them."
    )


def _download(url: str, folder: Path, name: str) -> Path:
    """Streams a file into the folder; its name comes from the service and may not lead out of it."""
    import httpx

    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise UsageError(f"The service names a file {printable(name)!r}, which leads elsewhere.")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with httpx.stream("GET", url, timeout=60.0, follow_redirects=True) as response:
            response.raise_for_status()
            with target.open("wb") as file:
                for piece in response.iter_bytes():
                    file.write(piece)
    except httpx.HTTPError as error:
        raise UsageError(
            f"The file {printable(name)} can't be downloaded: {type(error).__name__}.", "Try again."
        ) from error
    return target
