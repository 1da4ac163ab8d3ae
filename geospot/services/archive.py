"""Trained checkpoints, wherever they are kept: listed, exported as PEFT folders, deleted."""

import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from geospot.errors import BackendError, GeospotError, UsageError
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
_DRAFT: Final = ".geospot-"


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
    is_lora: bool | None = None
    """False where all weights were trained."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary in field order."""
        return asdict(self)


class Archive(Protocol):
    """Where checkpoints are kept."""

    @property
    def place(self) -> str:
        """How messages call it, at the beginning of a sentence."""
        ...

    def all(self) -> Sequence[ArchivedCheckpoint]:
        """Every checkpoint, the newest first."""
        ...

    def find(self, path: str) -> ArchivedCheckpoint:
        """One checkpoint with all that is known of it.

        Raises:
            UsageError: there is none of this path.
        """
        ...

    def base_model_of(self, path: str) -> str | None:
        """What a checkpoint was trained from; None where that can't be known.

        Raises:
            UsageError: there is none of this path.
        """
        ...

    def export(self, path: str, folder: Path) -> None:
        """Writes its files into a folder, an adapter as PEFT reads it.

        Args:
            path: a checkpoint's, or the name of a model that is kept here.
            folder: empty; see `new_folder`.

        Raises:
            UsageError: there is none of this path.
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


@contextmanager
def new_folder(folder: Path) -> Generator[Path]:
    """A folder to write into; what is in it is moved into `folder` when the block has ended well.

    After a failure `folder` is as it was before: empty, or not there.

    Raises:
        UsageError: something is in it, or it can't be written.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_DRAFT}*"):  # by an export that was killed
            shutil.rmtree(left)
        if any(folder.iterdir()):
            raise UsageError(f"The folder {folder} isn't empty.", "Name a new one.")
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield draft
        for item in draft.iterdir():
            item.replace(folder / item.name)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def _unwritable(folder: Path, error: OSError) -> UsageError:
    why = error.strerror or str(error)
    return UsageError(f"The folder {folder} can't be written: {why}.", "Name another.")


class RemoteArchive:
    """Checkpoints of a service, asked for through the SDK."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def place(self) -> str:
        """The service."""
        return self._service.title

    def all(self) -> list[ArchivedCheckpoint]:
        """Every checkpoint of this account."""
        found = self._listed()
        runs = self._runs() if found else {}
        return [_of_run(one, runs.get(one.path.split("/")[2])) for one in found]

    def _listed(self) -> list[ArchivedCheckpoint]:
        import tinker

        found: list[ArchivedCheckpoint] = []

        def next_page(rest: "tinker.RestClient") -> "tinker.types.CheckpointsListResponse":
            return rest.list_user_checkpoints(limit=_PAGE, offset=len(found)).result()

        while True:
            try:
                page = self._service.ask("for its checkpoints", next_page)
            except tinker.NotFoundError as error:  # SkyRL 0.3.0 has no such address
                raise BackendError(
                    f"{self._service.title} doesn't list its checkpoints.",
                    "`geospot runs show DIRECTORY` has those of a run; its own folder has the files.",
                ) from error
            found += [_described(checkpoint) for checkpoint in page.checkpoints]
            if not page.checkpoints or page.cursor is None or len(found) >= page.cursor.total_count:
                return found

    def _runs(self) -> "dict[str, tinker.types.TrainingRun]":
        """The account's training runs, which know their base models; none where it lists no runs."""
        import tinker

        found: dict[str, tinker.types.TrainingRun] = {}

        def next_page(rest: "tinker.RestClient") -> "tinker.types.TrainingRunsResponse":
            return rest.list_training_runs(limit=_PAGE, offset=len(found)).result()

        while True:
            try:
                page = self._service.ask("for its training runs", next_page)
            except tinker.NotFoundError:  # servers that keep checkpoints and no runs
                return found
            before = len(found)
            found |= {run.training_run_id: run for run in page.training_runs}
            if len(found) == before or len(found) >= page.cursor.total_count:
                return found

    def find(self, path: str) -> ArchivedCheckpoint:
        """One checkpoint."""
        for checkpoint in self._listed():
            if checkpoint.path == path:
                break
        else:
            raise self._missing(path)
        info = self._info(path)
        return replace(
            checkpoint,
            base_model=info.base_model,
            lora_rank=info.lora_rank,
            is_lora=info.is_lora,
        )

    def base_model_of(self, path: str) -> str | None:
        """What the service says of it."""
        return self._info(path).base_model

    def _info(self, path: str) -> "tinker.types.WeightsInfoResponse":
        import tinker

        try:
            return self._service.ask(
                "about a checkpoint",
                lambda rest: rest.get_weights_info_by_tinker_path(path).result(),
            )
        except tinker.NotFoundError as error:
            raise self._missing(path) from error

    def _missing(self, path: str) -> UsageError:
        return UsageError(
            f"There is no checkpoint {printable(path)}.",
            f"`{self._service.listing}` shows those that are there.",
        )

    def export(self, path: str, folder: Path) -> None:
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
        saved = self._save_external(path)
        try:
            urls = self._service.ask(
                "where the files are", lambda rest: rest.get_external_weights_urls(saved).result()
            ).urls
            for name, url in urls.items():
                _download(url, folder, name)
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
        except tinker.NotFoundError as error:
            raise BackendError(
                f"{self._service.title} writes no files for other programs.",
                "Take the adapter from its own folder of checkpoints.",
            ) from error
        except tinker.RequestFailedError as error:
            raise UsageError(
                f"{printable(path)} can't be exported: {failure_of(error)}.",
                f"`{self._service.listing}` shows what is there.",
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
            raise self._missing(path) from error

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


def _of_run(
    checkpoint: ArchivedCheckpoint, run: "tinker.types.TrainingRun | None"
) -> ArchivedCheckpoint:
    if run is None:
        return checkpoint
    return replace(
        checkpoint, base_model=run.base_model, lora_rank=run.lora_rank, is_lora=run.is_lora
    )


def _download(url: str, folder: Path, name: str) -> None:
    """Streams a file into the folder. Its name and address come from the service and are not believed.

    Raises:
        UsageError: the name is none of a file in the folder, or the address gives nothing.
    """
    import httpx

    parts = name.split("/")
    if "\0" in name or not {"", ".", ".."}.isdisjoint(parts):  # an absolute name begins with ""
        raise UsageError(
            f"The service names a file {printable(name)!r}, which is no name of a file to be written.",
            "Nothing of it was kept; tell whoever runs the service.",
        )
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with httpx.stream("GET", url, timeout=60.0, follow_redirects=True) as response:
            response.raise_for_status()
            with target.open("wb") as file:
                for piece in response.iter_bytes():
                    file.write(piece)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UsageError(
            f"The file {printable(name)} can't be downloaded: {type(error).__name__}.", "Try again."
        ) from error
