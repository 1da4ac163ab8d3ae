"""Checkpoints of a run: when one is due, how it gets on record, and which old ones go."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from geospot.config.learning import LearnConfig
from geospot.errors import BackendError, DivergedError
from geospot.learning.steps import forget
from geospot.learning.trainer import Trainer
from geospot.runs.checkpoints import FINAL, RunCheckpoint
from geospot.runs.directory import RunDirectory


class PendingCheckpoint:
    """A checkpoint that is being saved; awaiting it puts it on record."""

    def __init__(
        self,
        saving: "asyncio.Future[RunCheckpoint]",
        record: Callable[[RunCheckpoint], Awaitable[None]],
    ) -> None:
        self._saving = saving
        self._record = record

    def __await__(self) -> Generator[Any, Any, None]:
        return self._recorded().__await__()

    async def drop(self) -> None:
        """Nobody will await it: the run ends."""
        await forget(self._saving)

    async def _recorded(self) -> None:
        await self._record(await self._saving)


@dataclass(frozen=True, slots=True)
class CheckpointKeeper:
    """Saves, records and prunes.

    Args:
        total: steps of the run; the checkpoint after the last is `final`.
        state: what a checkpoint's row says of the loop besides; asked when it is recorded.
    """

    config: LearnConfig
    trainer: Trainer[Any]
    directory: RunDirectory
    total: int
    state: Callable[[], Mapping[str, Any]]

    def is_due(self, done: int) -> bool:
        """Whether one belongs after `done` steps."""
        return done == self.total or done % self.config.save_every == 0

    def begin(self, done: int) -> "PendingCheckpoint":
        """Saves the weights as they are now, after `done` steps.

        To be awaited when the figures of all these steps are on record: that puts the checkpoint on
        record too, and removes what is too old.

        Awaiting it raises:
            BackendError: the service couldn't save.
        """
        name = FINAL if done == self.total else f"{done:06d}"
        return PendingCheckpoint(self.trainer.save(name, batch=done), self.record)

    async def catch_up(self, done: int) -> None:
        """A checkpoint after `done` steps, unless there is one.

        Raises:
            BackendError: the service couldn't save.
        """
        self.directory.beat("saving", done)
        rows = self.directory.checkpoints()
        if done and not any(
            row.state_path and row.batch == done and not row.diverged for row in rows
        ):
            await self.begin(done)

    async def rescue(self, done: int) -> str:
        """Saves where something else than training ends the run; what a person is told of it."""
        try:
            await self.catch_up(done)
        except BackendError as error:
            return f"The steps since the last checkpoint couldn't be saved: {error.message}"
        return f"Saved, after {done} of {self.total} steps." if done else "No step is done yet."

    async def set_aside(self, error: DivergedError, done: int) -> DivergedError:
        """Saves what is left when training has diverged, under a name that nobody goes on from unasked.

        Returns the error with what became of it.
        """
        if not error.weights_intact:
            note = (
                "The weights have moved on since, so nothing was saved after the last checkpoint."
            )
            return DivergedError(f"{error.message} {note}", error.advice)
        name = f"diverged-{done:06d}"
        try:
            saved = await self.trainer.save(name, batch=done)
        except BackendError as failure:  # what ended the run is that it diverged
            note = f"The weights that are left couldn't be saved: {failure.message}"
            return DivergedError(f"{error.message} {note}", error.advice)
        self.directory.add_checkpoint(replace(saved, extra={**self.state(), "diverged": True}))
        note = f"The weights that are left are saved as {name}."
        return DivergedError(f"{error.message} {note}", error.advice, weights_intact=True)

    async def record(self, saved: RunCheckpoint) -> None:
        """Puts a checkpoint on record, and removes what is too old."""
        self.directory.add_checkpoint(replace(saved, extra=dict(self.state())))
        await self._prune()

    async def _prune(self) -> None:
        old = self.directory.checkpoints_to_prune(self.config.keep_checkpoints)
        await discard(self.trainer, self.directory, old)


async def discard(
    trainer: Trainer[Any], directory: RunDirectory, rows: Iterable[RunCheckpoint]
) -> None:
    """Deletes checkpoints on the service and takes them off the record.

    One that the service couldn't delete stays on record, for the next time.
    """
    gone: list[RunCheckpoint] = []
    for row in rows:
        try:
            found = await trainer.delete(row)
        except BackendError as error:
            directory.log(f"{row.name} couldn't be deleted: {error}", level="WARNING")
            continue
        gone.append(row)
        if not found:
            directory.log(
                f"{row.name} wasn't there to be deleted: it had expired, or the service deletes nothing, "
                "and its disk fills."
            )
    directory.forget_checkpoints(gone)
