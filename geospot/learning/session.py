"""What a training command opens before its loop and closes behind it, in the right order."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from geospot.config.learning import LearnConfig
from geospot.config.recipes import Kind
from geospot.durable import WriteError
from geospot.errors import GeospotError, ResultMismatchError
from geospot.learning.display import RunView
from geospot.learning.evaluation import flattering
from geospot.learning.sdklog import sdk_speaks_into
from geospot.learning.stopping import StopRequest, stop_on_signals
from geospot.learning.trainer import Trainer
from geospot.learning.watching import ended_if_away
from geospot.provenance import git_state, versions
from geospot.runs.directory import RunDirectory
from geospot.runs.heartbeat import State
from geospot.runs.opening import Ask, refuse_taken

ConfigT = TypeVar("ConfigT", bound=LearnConfig)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended: `exit_code` 0 where it is done, 128 + the signal where it was stopped."""

    directory: Path
    steps: int
    total: int
    figures: dict[str, float]
    exit_code: int = 0
    reason: str = ""


@dataclass(slots=True)
class Session(Generic[ConfigT]):
    """A model, loaded where the run goes on; a directory that is ours; and whether to stop.

    `stopped` is set by the loop where it ended before its time, as it was asked to.
    """

    trainer: Trainer[ConfigT]
    directory: RunDirectory
    stop: StopRequest
    view: RunView
    stopped: bool = False

    @property
    def config(self) -> ConfigT:
        """The configuration without gaps."""
        return self.trainer.config

    @property
    def first_step(self) -> int:
        """Where the run begins or goes on."""
        resume = self.directory.resume_from
        return (resume.batch or 0) if resume is not None else 0

    @property
    def kept(self) -> dict[str, Any]:
        """What the checkpoint that the run goes on from says of the loop."""
        resume = self.directory.resume_from
        return dict(resume.extra) if resume is not None else {}

    def finished(self, reached: int, total: int, figures: dict[str, float]) -> Finished:
        """How the run ended, after `reached` of its steps."""
        return Finished(
            self.directory.path,
            reached,
            total,
            figures,
            self.stop.exit_code if self.stopped else 0,
            self.stop.reason if self.stopped else "",
        )

    def refuse_other_data(self, fingerprint: str) -> None:
        """Makes sure that the photos are those with which the run began.

        Raises:
            ResultMismatchError: they aren't.
        """
        before = self.kept.get("fingerprint")
        if before is not None and before != fingerprint:
            raise ResultMismatchError(
                f"{self.config.hf_repo} isn't what it was when the run began: other photos are "
                "selected.",
                "Restore it, or start a new run with load_checkpoint_path at this one.",
            )


@asynccontextmanager
async def open_session(
    config: ConfigT, kind: Kind, view: RunView, ask: Ask | None
) -> AsyncGenerator[Session[ConfigT]]:
    """Connects, opens the run directory, loads the model; however the block ends, the directory says so.

    Args:
        ask: puts a question to the person at the terminal; None where there is none.

    Raises:
        GeospotError: the run can't be done as asked.
    """
    # Before it connects, which takes seconds.
    refuse_taken(config.log_path, config.behavior_if_log_dir_exists, ask)
    trainer = await Trainer[ConfigT].connect(config, view.say)
    try:
        directory = RunDirectory.open(
            config.log_path,
            trainer.settings | {"provenance": _provenance()},
            kind=kind,
            if_exists=config.behavior_if_log_dir_exists,
            ask=ask,
        )
    except BaseException:
        await trainer.aclose()
        raise
    with sdk_speaks_into(directory, view.warn):
        try:
            await trainer.load(directory.resume_from)
            with stop_on_signals(_stopping(directory, view)) as stop:
                session = Session(trainer, directory, stop, view)
                if (warning := flattering(trainer.config)) is not None:
                    directory.log(warning, level="WARNING")
                    view.warn(warning)
                async with ended_if_away(trainer.endpoint, stop, _telling(directory, view)):
                    yield session
        except BaseException as error:
            directory.close(*_ending(error))
            raise
        else:
            directory.close(*(("stopped", stop.reason) if session.stopped else ("finished", "")))
        finally:
            await trainer.aclose()


def _stopping(directory: RunDirectory, view: RunView) -> Callable[[str], None]:
    """Tells the person, and whoever watches the directory, that the run was asked to stop."""

    def tell(message: str) -> None:
        view.warn(message)
        try:
            directory.stops(message)
        except WriteError:
            return  # a full disk: the run's own next line will say so

    return tell


def _telling(directory: RunDirectory, view: RunView) -> Callable[[str, bool], None]:
    """Tells the person that the service is away or back, and puts it on record."""

    def tell(message: str, is_away: bool) -> None:
        view.warn(message)
        try:
            directory.waits(message, is_away=is_away)
        except WriteError:
            return  # a full disk: the run's own next line will say so

    return tell


def _provenance() -> dict[str, Any]:
    return {"versions": versions(), "git": git_state(), "cwd": str(Path.cwd())}


def _ending(error: BaseException) -> tuple[State, str]:
    if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
        return "stopped", "interrupted"
    if isinstance(error, GeospotError):
        return "failed", str(error)
    return "failed", f"{type(error).__name__}: {error}"
