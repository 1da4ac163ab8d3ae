"""The checkpoints on disk, told in the protocol's terms: training runs, and what each of them saved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from geospot_backends.local.api import EngineUserError
from geospot_backends.local.checkpoints import TYPE_OF, Checkpoint, CheckpointStore, check_life
from geospot_backends.local.durable import DESCRIPTION
from geospot_backends.local.failures import NotFoundError

_MOST: Final = 1000


class Catalogue:
    """Reads the state folder anew for every request: another process may write into it too."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store

    def checkpoints(self, run: str | None, query: Mapping[str, str]) -> dict[str, Any]:
        """One run's checkpoints, or everybody's, the newest first."""
        found = [c for c in self._store.all() if run in (None, c.path.run)]
        if run is not None and not found:
            raise NotFoundError(f"there is no training run {run} with checkpoints")
        found.sort(key=lambda checkpoint: checkpoint.created, reverse=True)
        page, cursor = _page(found, query)
        return {"checkpoints": [_described(checkpoint) for checkpoint in page], "cursor": cursor}

    def runs(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Every run that saved something."""
        by_run: dict[str, list[Checkpoint]] = {}
        for checkpoint in self._store.all():
            by_run.setdefault(checkpoint.path.run, []).append(checkpoint)
        page, cursor = _page(list(by_run.values()), query)
        return {"training_runs": [_run(checkpoints) for checkpoints in page], "cursor": cursor}

    def run(self, run: str) -> dict[str, Any]:
        """One run.

        Raises:
            NotFoundError: it has saved nothing.
        """
        found = [checkpoint for checkpoint in self._store.all() if checkpoint.path.run == run]
        if not found:
            raise NotFoundError(f"there is no training run {run} with checkpoints")
        return _run(found)

    def weights_info(self, path: str) -> dict[str, Any]:
        """What a checkpoint fits.

        Raises:
            NotFoundError: there is none of this path.
        """
        checkpoint = self._find(path)
        lora = checkpoint.lora
        if lora is None:
            return {"base_model": checkpoint.base_model, "is_lora": False}
        return {
            "base_model": checkpoint.base_model,
            "is_lora": True,
            "lora_rank": lora.rank,
            "train_unembed": lora.train_unembed,
            "train_mlp": lora.train_mlp,
            "train_attn": lora.train_attn,
        }

    def delete(self, id_: str) -> None:
        """Removes a checkpoint, named as `RUN/checkpoints/KIND/NAME`.

        Raises:
            NotFoundError: there is none of this name.
        """
        path = str(self._find(_path_of(id_)).path)
        try:
            self._store.delete(path)
        except EngineUserError as error:  # somebody was quicker
            raise NotFoundError(error.message) from error

    def expire(self, id_: str, after_s: int | None) -> None:
        """Says how long a checkpoint, named the same way, shall be kept; None: until it is deleted.

        Raises:
            NotFoundError: there is none of this name.
            EngineUserError: not between an hour and ten years.
        """
        check_life(after_s)
        path = str(self._find(_path_of(id_)).path)
        try:
            self._store.expire(path, after_s)
        except EngineUserError as error:
            raise NotFoundError(error.message) from error

    def keep_for(self, path: str, seconds: int) -> None:
        """Says how long a checkpoint that was saved just now shall be kept.

        Raises:
            EngineUserError: not between an hour and ten years, or it is gone already.
        """
        self._store.expire(path, seconds)

    def tidy(self) -> None:
        """Removes what has expired, and what a crash left behind."""
        self._store.tidy()

    def files(self, run: str, name: str) -> dict[str, Path]:
        """The files of a checkpoint that was saved to be downloaded.

        Raises:
            NotFoundError: there is none of this name.
        """
        checkpoint = self._find(f"tinker://{run}/external_weights/{name}")
        try:
            files = list(checkpoint.folder.iterdir())
        except FileNotFoundError as error:
            raise NotFoundError(f"{checkpoint.path} was deleted or replaced") from error
        return {file.name: file for file in files if file.name != DESCRIPTION}

    def _find(self, path: str) -> Checkpoint:
        try:
            return self._store.find(path.replace("/external_weights/", "/sampler_weights/"))
        except EngineUserError as error:
            raise NotFoundError(error.message) from error


def _path_of(id_: str) -> str:
    run, _, rest = id_.partition("/checkpoints/")
    return f"tinker://{run}/{rest}"


def _described(checkpoint: Checkpoint) -> dict[str, Any]:
    path = checkpoint.path
    return {
        "checkpoint_id": f"{path.kind}/{path.name}",
        "checkpoint_type": TYPE_OF[path.kind],
        "time": checkpoint.created,
        "tinker_path": str(path),
        "size_bytes": checkpoint.bytes,
        "expires_at": checkpoint.expires,
    }


def _run(checkpoints: list[Checkpoint]) -> dict[str, Any]:
    ordered = sorted(checkpoints, key=lambda checkpoint: checkpoint.created)
    newest = {checkpoint.path.kind: checkpoint for checkpoint in ordered}
    last = ordered[-1]
    answer: dict[str, Any] = {
        "training_run_id": last.path.run,
        "base_model": last.base_model,
        "model_owner": "local",
        "is_lora": last.lora is not None,
        "lora_rank": last.lora.rank if last.lora else None,
        "last_request_time": last.created,
    }
    if "weights" in newest:
        answer["last_checkpoint"] = _described(newest["weights"])
    if "sampler_weights" in newest:
        answer["last_sampler_checkpoint"] = _described(newest["sampler_weights"])
    return answer


def _page(items: list[Any], query: Mapping[str, str]) -> tuple[list[Any], dict[str, int]]:
    offset = _count(query, "offset", 0)
    limit = min(_count(query, "limit", _MOST), _MOST)
    cursor = {"offset": offset, "limit": limit, "total_count": len(items)}
    return items[offset : offset + limit], cursor


def _count(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else default
