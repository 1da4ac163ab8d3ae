"""Checkpoints as folders: `<state>/<run>/<kind>/<name>/`, complete or not there at all.

Such a folder holds `checkpoint.json`, which says what the checkpoint is, and beside it the folder of its
files, which checkpoint.json names: an adapter as peft writes it (`adapter_config.json`,
`adapter_model.safetensors`) or a whole model as transformers writes it. A `weights` checkpoint may hold
the optimiser's state in `optimizer.safetensors`. The run's name is percent-encoded in its folder's.

A checkpoint is there when its checkpoint.json is. Saving a name again writes a second folder of files
and then replaces checkpoint.json, which is one step: a crash comes before it or after it. What a crash
leaves lying, `tidy` removes.
"""

import errno
import fcntl
import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote, unquote

from geospot_backends.local.api import EngineError, EngineUserError, LoraSpec
from geospot_backends.local.durable import (
    DESCRIPTION,
    clear,
    described,
    flush,
    new_files,
    put_description,
    remove,
    size_bytes,
    sync,
)

log = logging.getLogger(__name__)

CheckpointKind = Literal["weights", "sampler_weights"]
KINDS: Final[tuple[CheckpointKind, ...]] = ("weights", "sampler_weights")
TYPE_OF: Final[Mapping[CheckpointKind, str]] = {"weights": "training", "sampler_weights": "sampler"}
"""What the protocol calls a checkpoint of each kind."""
ADAPTER: Final = "adapter_model.safetensors"
OPTIMIZER: Final = "optimizer.safetensors"
_FORMAT: Final = 2
_LOCK: Final = ".lock"
_NO_LOCKS: Final = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_LONGEST: Final = 255
"""Bytes of a file's name on the usual file systems."""
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:+-]{0,199}")
_SHORTEST_LIFE_S: Final = 3600
_LONGEST_LIFE_S: Final = 10 * 366 * 86400


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
    """What checkpoint.json says, and where the files lie."""

    path: CheckpointPath
    folder: Path
    base_model: str
    lora: LoraSpec | None
    created: str
    """UTC, ISO 8601."""
    has_optimizer: bool
    bytes: int | None
    """Size of its files; None where it was saved by a version that didn't note it."""
    expires: str | None
    """UTC, ISO 8601; None: never."""


class CheckpointStore:
    """The checkpoints under one state folder, which several processes may use at the same time.

    Args:
        now: the time; for tests.
    """

    def __init__(
        self, state: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._state = state
        self._now = now

    def write(
        self,
        path: CheckpointPath,
        base_model: str,
        lora: LoraSpec | None,
        fill: Callable[[Path], None],
    ) -> Checkpoint:
        """Writes a checkpoint; `fill` puts the weights into the folder it is given.

        It appears under its name when everything is on the disk. One of that name is replaced.

        Raises:
            EngineError: the disk is full or read-only; what was there is there still.
        """
        place = self._place(path)
        with _explained(path), self._alone():
            place.mkdir(parents=True, exist_ok=True)
            try:
                files = new_files(place)
                fill(files)
                flush(files)
                put_description(
                    place,
                    {
                        "format": _FORMAT,
                        "path": str(path),
                        "files": files.name,
                        "bytes": size_bytes(files),
                        "base_model": base_model,
                        "lora": None if lora is None else asdict(lora),
                        "created": self._now().isoformat(timespec="seconds"),
                        "expires": None,
                        "has_optimizer": (files / OPTIMIZER).exists(),
                    },
                )
                for folder in (place.parent, place.parent.parent, self._state):
                    sync(folder)
            finally:
                clear(place)
        return self.find(str(path))

    def find(self, text: str) -> Checkpoint:
        """The checkpoint at this path.

        Raises:
            EngineUserError: no such path, it has expired, or its description can't be read.
        """
        path = CheckpointPath.parse(text)
        place = self._place(path)
        if not (place / DESCRIPTION).is_file():
            raise EngineUserError(f"There is no checkpoint {text}.")
        checkpoint = _read(path, place)
        if self._has_expired(checkpoint):
            raise EngineUserError(f"There is no checkpoint {text}: it expired.")
        return checkpoint

    def all(self) -> Iterator[Checkpoint]:
        """Every checkpoint, by run, kind and name; what can't be read or has expired is left out."""
        return (one for one in self._readable() if not self._has_expired(one))

    def expire(self, text: str, after_s: int | None) -> None:
        """Says how long a checkpoint shall be kept from now on; None: until it is deleted.

        Raises:
            EngineUserError: there is none of this path, or a time that isn't between an hour and ten
                years.
            EngineError: the disk is full or read-only.
        """
        check_life(after_s)
        with _explained(text), self._alone():
            place = self._place(self.find(text).path)
            ends = None if after_s is None else self._now() + timedelta(seconds=after_s)
            content = described(place)
            content["expires"] = None if ends is None else ends.isoformat(timespec="seconds")
            put_description(place, content)

    def delete(self, text: str) -> None:
        """Removes a checkpoint.

        Raises:
            EngineUserError: there is none of this path.
            EngineError: the disk is read-only; it is there still.
        """
        with _explained(text, "deleted"), self._alone():
            remove(self._place(self.find(text).path))

    def tidy(self) -> None:
        """Removes what has expired, and what was left by processes that died while they saved.

        Does nothing while somebody is saving, whose files those may be.
        """
        try:
            with self._alone(wait=False):
                for kind in KINDS:
                    for place in self._state.glob(f"*/{kind}/*"):
                        clear(place)
                for checkpoint in self._readable():
                    if self._has_expired(checkpoint):
                        remove(self._place(checkpoint.path))
                        log.info("%s has expired and was removed.", checkpoint.path)
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("The state folder %s can't be tidied: %s.", self._state, error.strerror)

    def _readable(self) -> Iterator[Checkpoint]:
        for description in sorted(self._state.glob(f"*/*/*/{DESCRIPTION}")):
            place = description.parent
            run, kind, name = (unquote(part) for part in place.relative_to(self._state).parts)
            if kind in KINDS and not name.startswith("."):
                try:
                    yield _read(CheckpointPath(run, kind, name), place)
                except EngineUserError:
                    continue

    def _has_expired(self, checkpoint: Checkpoint) -> bool:
        ends = checkpoint.expires
        return ends is not None and datetime.fromisoformat(ends) <= self._now()

    @contextmanager
    def _alone(self, *, wait: bool = True) -> Generator[None]:
        """Nobody else, in this process or another, changes the state folder meanwhile.

        The lock is the system's: it ends with the process that holds it. Some network file systems
        have none; saving goes on without it there.

        Raises:
            BlockingIOError: somebody does, and `wait` is false.
            OSError: there are no locks here, and `wait` is false.
        """
        self._state.mkdir(parents=True, exist_ok=True)
        with (self._state / _LOCK).open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if not wait or error.errno not in _NO_LOCKS:
                    raise
                log.warning("%s has no file locks: let one server use it at a time.", self._state)
            yield

    def _place(self, path: CheckpointPath) -> Path:
        for part in (path.run, path.name):
            if not _NAME.fullmatch(part):
                raise EngineUserError(
                    f"{part!r} can't be part of a checkpoint's path; use letters, digits, . _ : + -"
                )
        run, name = quote(path.run, safe=""), quote(path.name, safe="")
        for part, encoded in ((path.run, run), (path.name, name)):
            if len(encoded) > _LONGEST:
                raise EngineUserError(
                    f"{part!r} is too long for part of a checkpoint's path: up to {_LONGEST} "
                    f"characters, and : and + count as three."
                )
        return self._state / run / path.kind / name


@contextmanager
def _explained(path: CheckpointPath | str, what: str = "written") -> Generator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise EngineError(f"the checkpoint {path} can't be {what}: {why}") from error


def check_life(seconds: int | None) -> None:
    """Raises EngineUserError unless a checkpoint may be kept for so long; None is for ever."""
    if seconds is not None and not _SHORTEST_LIFE_S <= seconds <= _LONGEST_LIFE_S:
        raise EngineUserError(
            f"A time to live of {seconds} s is not between {_SHORTEST_LIFE_S} s (an hour) and ten "
            "years."
        )


def _read(path: CheckpointPath, place: Path) -> Checkpoint:
    try:
        content = described(place)
        lora, expires = content["lora"], content.get("expires")
        if expires is not None and datetime.fromisoformat(expires).tzinfo is None:
            raise ValueError(expires)
        return Checkpoint(
            path,
            place / content["files"],
            str(content["base_model"]),
            None if lora is None else LoraSpec(**lora),
            str(content["created"]),
            bool(content["has_optimizer"]),
            content.get("bytes"),
            expires,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUserError(f"The description of checkpoint {path} can't be read.") from error
