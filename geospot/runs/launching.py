"""Starting `geospot sft`, `rl` and `eval` as processes that go on without whoever started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal, cast

from pydantic import BaseModel

from geospot.config.evaluation import EvalConfig
from geospot.config.learning import RLConfig, SFTConfig
from geospot.config.load import build
from geospot.config.text import NOTHING, setting_text, shell_line
from geospot.durable import unwritable
from geospot.errors import GeospotError, UsageError
from geospot.runs.checkpoints import CONFIG
from geospot.runs.heartbeat import read_heartbeat
from geospot.textsafe import printable

Command = Literal["sft", "rl", "eval"]
MODELS: Final[Mapping[Command, type[BaseModel]]] = {
    "sft": SFTConfig,
    "rl": RLConfig,
    "eval": EvalConfig,
}
OUTPUT: Final = "output.log"
"""What a detached process prints: in the run directory, or beside it with its name in front."""

_EVAL: Final = "eval.json"
_READ: Final = 1 << 14  # bytes of the output's end
_SHOWN: Final = 5  # lines of it in a message
_EXPECTED: Final = (0, 3, 128 + 2, 128 + 15, -2, -15)
"""Exit codes of a process that did what it was asked to: done, incomplete, or stopped by a signal."""


class LaunchError(GeospotError):
    """A process that couldn't be started, or ended before it had begun its work."""


@dataclass(frozen=True, slots=True, eq=False)
class Launched:
    """A detached process. It goes on when the one that started it ends."""

    kind: Command
    folder: Path
    """The run directory, or the result directory of an evaluation."""
    output: Path
    """The file to which everything it prints is appended."""
    command: Sequence[str]
    """As a person would write it."""
    process: "subprocess.Popen[bytes]"
    start: int
    """Where in the file its output begins, in bytes."""

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.process.pid

    def is_live(self) -> bool:
        """Whether it has got so far that its directory tells the rest."""
        if self.kind == "eval":
            return (self.folder / _EVAL).is_file()
        beat = read_heartbeat(self.folder)
        return beat is not None and beat.pid == self.pid

    def trouble(self) -> str | None:
        """Why it ended, where that wasn't as it should: the last lines that it printed; else None."""
        code = self.process.poll()
        if code is None or code in _EXPECTED:
            return None
        how = f"exit code {code}" if code > 0 else f"signal {-code}, {signal.strsignal(-code)}"
        return last_words(self.output, self.start) or f"It ended with {how}, and said nothing."

    def wait_until_live(self, timeout_s: float) -> bool:
        """Waits until its directory tells the rest; False if that takes longer.

        Raises:
            LaunchError: it ended before; says why.
        """
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if (trouble := self.trouble()) is not None:
                raise LaunchError(f"`geospot {self.kind}` ended at once: {trouble}")
            if self.is_live() or self.process.poll() is not None:
                return True
            time.sleep(0.1)
        return False


def command_line(kind: Command, settings: Mapping[str, Any]) -> list[str]:
    """The command that says these settings, as arguments beginning with `geospot`.

    Raises:
        UsageError: a setting that the command hasn't got, or a value that can't be said on its line.
    """
    model = MODELS[kind]
    unknown = [name for name in settings if name not in model.model_fields]
    if unknown:
        raise UsageError(f"geospot {kind} has no setting {printable(unknown[0])!r}.")
    say = _options if kind == "eval" else _pairs
    command = ["geospot", kind, *say(model, settings)]
    if unsayable := [argument for argument in command if "\0" in argument]:
        raise UsageError(f"{printable(unsayable[0], limit=80)} can't stand on a command line.")
    return command


def shown(command: Sequence[str]) -> str:
    """The command as it can be pasted into a shell."""
    return shell_line(command)


def launch(
    kind: Command,
    settings: Mapping[str, Any],
    folder: Path,
    *,
    cwd: Path | None = None,
) -> Launched:
    """Starts a command in a session of its own, so that no terminal's end reaches it.

    Nothing is read from it; what it prints is appended to a file. It has this process's environment,
    keys included, which are on no command line and in no file. Returns at once.

    Args:
        settings: what is said; everything else is as the command's own defaults have it.
        folder: the run directory, or the result directory of an evaluation; wins over `settings`.
        cwd: where relative paths in the settings begin; here, if None.

    Raises:
        UsageError: settings that don't fit.
        WriteError: the output file can't be made.
        LaunchError: the process can't be started.
    """
    folder = folder.absolute()
    said = {**settings, ("out" if kind == "eval" else "log_path"): folder}
    build(MODELS[kind], said, dashes=False)
    command = command_line(kind, said)
    output = _output_file(kind, said, folder)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        out = output.open("ab")
    except OSError as error:
        raise unwritable(output, error) from error
    with out:
        start = out.seek(0, os.SEEK_END)
        process = start_detached(command, out, cwd)
    return Launched(kind, folder, output, tuple(command), process, start)


def start_detached(
    command: Sequence[str], out: IO[bytes], cwd: Path | None = None
) -> "subprocess.Popen[bytes]":
    """Starts a command of ours, `geospot …`, in a session of its own; what it prints goes to `out`.

    Raises:
        LaunchError: it can't be started.
    """
    try:
        # -P: a folder called geospot where the person stands is not the program.
        return subprocess.Popen(  # noqa: S603 - arguments, and no shell
            [sys.executable, "-P", "-m", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    except OSError as error:  # too long a command line, or no memory
        raise LaunchError(f"`geospot {command[1]}` can't be started: {error.strerror}.") from error


def _output_file(kind: Command, said: Mapping[str, Any], folder: Path) -> Path:
    """In a run that is gone on with; else beside the directory, which has to be empty or new."""
    stays = kind != "eval" and said.get("behavior_if_log_dir_exists") != "delete"
    if stays and (folder / CONFIG).is_file():
        return folder / OUTPUT
    return folder.with_name(f"{folder.name}.{OUTPUT}")


def last_words(output: Path, start: int) -> str:
    """The last lines of a process's output; the program's own sentence alone, where it said one."""
    try:
        with output.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - _READ))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [printable(line.rstrip()) for line in text.splitlines() if line.strip()]
    own = [at for at, line in enumerate(lines) if line.startswith("geospot: ")]
    if own:
        return "\n".join([lines[own[-1]].removeprefix("geospot: "), *lines[own[-1] + 1 :]])
    return "\n".join(lines[-_SHOWN:])


def _pairs(model: type[BaseModel], settings: Mapping[str, Any]) -> Iterator[str]:
    """KEY=VALUE, as `geospot sft` and `rl` take them."""
    for name, value in settings.items():
        if value is None:
            if model.model_fields[name].get_default(call_default_factory=True) is not None:
                yield f"{name}=none"
            continue
        if isinstance(value, str) and value in NOTHING:
            raise UsageError(f"{name}={value} would be read as no value at all.", "Say another.")
        yield f"{name}={setting_text(value)}"


def _options(model: type[BaseModel], settings: Mapping[str, Any]) -> Iterator[str]:
    """--key=value, as `geospot eval` takes them; the = keeps a value from being taken for an option."""
    for name, value in settings.items():
        flag = name.replace("_", "-")
        default = model.model_fields[name].get_default(call_default_factory=True)
        if value is None:
            if default is not None:
                raise UsageError(
                    f"geospot eval can't be told on its command line that {flag} is nothing.",
                    "Leave it out, or give a value.",
                )
        elif isinstance(value, bool):
            if value or default:
                yield f"--{flag}" if value else f"--no-{flag}"
        elif isinstance(value, list):
            yield from (f"--{flag}={setting_text(item)}" for item in cast(list[Any], value))
        elif value != {}:
            yield f"--{flag}={setting_text(value)}"
