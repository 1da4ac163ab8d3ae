"""The program: thin commands over the library."""

import errno
import gc
import os
import sys
from pathlib import Path
from typing import Final

import typer

from geospot import __version__
from geospot.cli.lazy import LazyGroup
from geospot.errors import EXHAUSTED, MORE_FILES, GeospotError
from geospot.textsafe import never_fail_to_print, outliving

EPILOG = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 finished but incomplete, 130 interrupted."
_FULL = (
    "No space is left on the disk, or where the output goes. Free some, or write elsewhere, and run "
    "the same command again."
)


_FILES: Final = 32
"""So many a command needs beside the standard three, at the least."""


_NEW_OBJECTS: Final = 10_000
"""So many before the garbage collector looks at them. At Python's 700 a training spends a seventh of its
start on looking at all that torch has made while it is imported, which stays."""


class Commands(LazyGroup):
    """Every command of `geospot`; one module each."""

    table = {  # noqa: RUF012
        "demo": (
            "geospot.cli.demo",
            "Train a tiny model on the world, SFT then GRPO, and rank it.",
        ),
        "tui": (
            "geospot.cli.tui",
            "Watch and start runs on screen: curves, rollouts, map, ranking.",
        ),
        "eval": ("geospot.cli.eval", "Score a backend on a data set."),
        "sft": ("geospot.cli.sft", "Fine-tune a model on photos and their places."),
        "rl": ("geospot.cli.rl", "Train a model by the distance of its answers (GRPO)."),
        "runs": ("geospot.cli.runs", "List, stop, resume and branch training runs."),
        "predict": ("geospot.cli.predict", "Ask a backend where your own photos were taken."),
        "score": ("geospot.cli.score", "Score a finished file of predictions."),
        "rescore": ("geospot.cli.rescore", "Read a result's stored answers again, offline."),
        "parse": ("geospot.cli.parse", "Show what is read from a model's answer."),
        "leaderboard": ("geospot.cli.leaderboard", "Rank, export and compare results."),
        "report": ("geospot.cli.report", "Write results and runs as one page."),
        "serve": ("geospot.cli.serve", "Serve models over the Tinker protocol, without a key."),
        "checkpoints": ("geospot.cli.checkpoints", "List, export and delete trained checkpoints."),
        "data": ("geospot.cli.data", "Check and prepare data sets."),
        "backends": ("geospot.cli.backends", "List the backends that are installed."),
        "doctor": (
            "geospot.cli.doctor",
            "Say what is installed, which keys are set, what answers.",
        ),
    }


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog=EPILOG,
    pretty_exceptions_enable=False,  # they show local variables, and one of them may be a key
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"geospot {__version__}")
        raise typer.Exit


@app.callback()
def geospot(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version and exit.",
    ),
) -> None:
    """Train vision-language models to say where a photo was taken, and measure how good they are."""


def main() -> None:
    """Entry point of `geospot`."""
    run_program(app)


def _fill_closed_streams() -> None:
    """Opens /dev/null in the place of standard streams that are closed, as cron and daemons leave them.

    Python has None there, and the next file that is opened would get the descriptor of the stream; here
    and in whatever is started from here.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - to the end
            os.set_inheritable(nowhere.fileno(), True)
            setattr(sys, name, nowhere)


def _speak_utf8() -> None:
    """Starts the program again where names of files are taken for another encoding than UTF-8.

    Tables name photos in UTF-8, and libraries take paths in nothing else. What is shown stays in the
    terminal's encoding.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8":
        return
    os.environ["PYTHONIOENCODING"] = f"{sys.stdout.encoding}:replace"
    os.environ["PYTHONUTF8"] = "1"
    command = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606 - the same program


def run_program(program: typer.Typer) -> None:
    """Runs a program to its end. A GeospotError becomes its sentence and its advice; so does a system
    that has no room or no files left; anything else is a bug.
    """
    gc.set_threshold(_NEW_OBJECTS)
    _fill_closed_streams()
    _speak_utf8()
    for stream in (sys.stdout, sys.stderr):
        never_fail_to_print(stream)
    sys.stdout, sys.stderr = outliving(sys.stdout), outliving(sys.stderr)
    try:
        _check_files()
        program()
    except GeospotError as error:
        typer.echo(f"geospot: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if (sentence := _of_system(error)) is None:
            raise
        _give_up_output()
        typer.echo(f"geospot: {sentence}", err=True)
        sys.exit(1)


def _check_files() -> None:
    """Makes sure that some files can be opened: half an import, or half an event loop, says it badly."""
    opened: list[int] = []
    try:
        opened += (os.open(os.devnull, os.O_RDONLY) for _ in range(_FILES))
    finally:
        for one in opened:
            os.close(one)


def _of_system(error: OSError) -> str | None:
    """The sentence where it's no bug of ours, but the machine that is full or has nothing left."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _FULL
    if error.errno in EXHAUSTED:
        return f"No more files can be opened: {error.strerror}. {MORE_FILES}"
    if error.errno == errno.EROFS and error.filename is not None:
        from geospot.durable import unwritable

        return str(unwritable(Path(os.fsdecode(error.filename)), error))
    return None


def _give_up_output() -> None:
    """Drops what standard output didn't take; the interpreter would try again, and fail, at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
