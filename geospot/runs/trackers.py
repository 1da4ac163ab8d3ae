"""Experiment trackers that a run also reports to: wandb, trackio, tensorboard. Each is an extra.

A tracker is a mirror: what it is told stands in metrics.jsonl first. One that fails while the run goes on
is dropped with a warning, and the run goes on; one that can't be started is an error, since whoever
asked for it would wait for curves in vain.
"""

import contextlib
import importlib
import importlib.util
import io
import math
import os
import secrets
import sqlite3
import time
from collections.abc import Generator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Final, Protocol

from geospot.durable import parse_row, replace_json
from geospot.errors import GeospotError, UsageError
from geospot.textsafe import printable

TRACKERS: Final = "trackers.json"
_MODULES: Final = {"wandb": "wandb", "trackio": "trackio", "tensorboard": "tensorboardX"}


class TrackerError(GeospotError):
    """A tracker that can't be started, or doesn't take figures any more."""


class Tracker(Protocol):
    """Somewhere else that figures go."""

    @property
    def name(self) -> str:
        """As it is called in `trackers=`."""
        ...

    def log(self, step: int, row: Mapping[str, float]) -> None:
        """Takes finite figures of a step.

        Raises:
            TrackerError: it takes none any more.
        """
        ...

    def close(self, *, failed: bool) -> None:
        """Sends what is left.

        Raises:
            TrackerError: it couldn't.
        """
        ...


def check_trackers(names: Sequence[str]) -> None:
    """Says early which package is missing.

    Raises:
        UsageError: one isn't installed.
    """
    for name in names:
        if importlib.util.find_spec(_MODULES[name]) is None:
            raise UsageError(
                f"trackers={name} needs the package {_MODULES[name]}, which isn't installed.",
                f"Install it: pip install 'geospot-vlm[{name}]'.",
            )


def open_trackers(
    names: Sequence[str], folder: Path, project: str, config: Mapping[str, Any], step: int
) -> list[Tracker]:
    """Starts trackers for a run that goes on at `step`; a resumed run goes on under its old name.

    Raises:
        UsageError: one isn't installed.
        TrackerError: one doesn't start.
    """
    check_trackers(names)
    opened: list[Tracker] = []
    identity = _identity(folder) if names else ""
    for name in names:
        if name == "wandb":
            opened.append(_Wandb(folder, project, identity, config))
        elif name == "trackio":
            opened.append(_Trackio(folder, project, identity, config))
        else:
            opened.append(_Tensorboard(folder, step))
    return opened


def figures(row: Mapping[str, Any]) -> dict[str, float]:
    """What of a row a tracker can draw: finite numbers."""
    numbers = {
        key: float(value)
        for key, value in row.items()
        if isinstance(value, Real) and value is not True and value is not False
    }
    return {key: value for key, value in numbers.items() if math.isfinite(value)}


class _Wandb:
    name = "wandb"

    def __init__(
        self, folder: Path, project: str, identity: str, config: Mapping[str, Any]
    ) -> None:
        wandb: Any = importlib.import_module("wandb")
        self._faults = (wandb.Error, OSError, RuntimeError)
        with _faults(
            self.name, self._faults, "Log in with `wandb login`, or set WANDB_MODE=offline."
        ):
            self._run: Any = wandb.init(
                project=project,
                name=folder.name,
                id=identity,
                resume="allow",
                dir=str(folder),
                config=dict(config),
                # Our own display owns the terminal, and logs.log is what is kept of it.
                settings=wandb.Settings(console="off", silent=True),
            )
            # Its own counter never goes back, and a resumed run may.
            self._run.define_metric("step")
            self._run.define_metric("*", step_metric="step")

    def log(self, step: int, row: Mapping[str, float]) -> None:
        with _faults(self.name, self._faults):
            self._run.log({**row, "step": step})

    def close(self, *, failed: bool) -> None:
        with _faults(self.name, self._faults):
            self._run.finish(exit_code=int(failed))


class _Trackio:
    name = "trackio"

    def __init__(
        self, folder: Path, project: str, identity: str, config: Mapping[str, Any]
    ) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints
            self._trackio: Any = importlib.import_module("trackio")
            with _faults(self.name, _TRACKIO_FAULTS, "Look at its settings (TRACKIO_…)."):
                self._run: Any = self._trackio.init(
                    project=project,
                    name=f"{folder.name}-{identity}",
                    config=dict(config),
                    resume="allow",
                    embed=False,
                )

    def log(self, step: int, row: Mapping[str, float]) -> None:
        with _faults(self.name, _TRACKIO_FAULTS):
            self._run.log(dict(row), step=step)

    def close(self, *, failed: bool) -> None:
        del failed  # it has no word for it
        with contextlib.redirect_stdout(io.StringIO()), _faults(self.name, _TRACKIO_FAULTS):
            self._run.finish()
            with contextlib.suppress(RuntimeError):  # of another thread, it knows no current run
                self._trackio.finish()  # else it ends the run once more, and says so, at exit


_TRACKIO_FAULTS: Final = (OSError, RuntimeError, ValueError, sqlite3.Error)


class _Tensorboard:
    """Event files in `tensorboard/`, written by tensorboardX's own writer without its thread.

    The thread dies of a full disk, and the run would then wait for it without end.
    """

    name = "tensorboard"

    def __init__(self, folder: Path, step: int) -> None:
        writers: Any = importlib.import_module("tensorboardX.event_file_writer")
        self._events: Any = importlib.import_module("tensorboardX.proto.event_pb2")
        self._summaries: Any = importlib.import_module("tensorboardX.proto.summary_pb2")
        target = folder / "tensorboard"
        with _faults(self.name, (OSError,), "Make room on the disk."):
            target.mkdir(exist_ok=True)
            # Its own names are the second and the host, and a file of the same name is emptied.
            suffix = f".{os.getpid()}.{time.time_ns()}"
            self._writer: Any = writers.EventsWriter(str(target / "events"), suffix)
            # Tells TensorBoard to forget steps that are done again.
            start = self._events.SessionLog(status=self._events.SessionLog.START)
            self._write(step, session_log=start)

    def log(self, step: int, row: Mapping[str, float]) -> None:
        values = [self._summaries.Summary.Value(tag=k, simple_value=v) for k, v in row.items()]
        with _faults(self.name, (OSError,)):
            self._write(step, summary=self._summaries.Summary(value=values))

    def close(self, *, failed: bool) -> None:
        del failed
        with _faults(self.name, (OSError,)):
            self._writer.close()

    def _write(self, step: int, **content: Any) -> None:
        self._writer.write_event(self._events.Event(wall_time=time.time(), step=step, **content))
        self._writer.flush()


@contextlib.contextmanager
def _faults(name: str, kinds: tuple[type[Exception], ...], advice: str = "") -> Generator[None]:
    try:
        yield
    except kinds as error:
        raise TrackerError(
            f"{name} doesn't take the run's figures: {printable(str(error), limit=200)}", advice
        ) from error


def _identity(folder: Path) -> str:
    """The name under which trackers know this run, made once."""
    path = folder / TRACKERS
    with contextlib.suppress(FileNotFoundError):
        row = parse_row(path.read_bytes())
        if row is not None and isinstance(row.get("id"), str):
            return row["id"]
    identity = secrets.token_hex(4)
    replace_json(path, {"id": identity})
    return identity
