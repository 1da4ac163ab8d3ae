"""What commands share when they talk to a person."""

import sys
import time
from typing import Final

import typer
from rich.console import Console
from rich.text import Text

from geospot.data.progress import Progress

_LINE_EVERY_S: Final = 10.0
_DRAW_EVERY_S: Final = 0.1

EXIT_CODES: Final = {"complete": 0, "incomplete": 3, "interrupted": 130}


def stderr_console() -> Console:
    """Where progress and warnings go, so that standard output stays clean."""
    return Console(file=sys.stderr, highlight=False)


def data_progress(console: Console) -> Progress:
    """Shows long work on a data set: one line that changes, or a line now and then."""
    last = 0.0

    def show(what: str, done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        finished = total is not None and done >= total
        every_s = _DRAW_EVERY_S if console.is_terminal else _LINE_EVERY_S
        if last == 0.0:
            last = now  # short work needs no line at all
            return
        if now - last < every_s and not (finished and console.is_terminal):
            return
        last = now
        amount = f"{done:,} of {total:,}" if total is not None else f"{done:,}"
        line = Text(f"{what}: {amount}", no_wrap=True, overflow="ellipsis")
        if console.is_terminal:
            console.file.write("\r\x1b[2K")
            console.print(line, end="\n" if finished else "\r")
        else:
            console.print(line)

    return show


def finish(ending: str) -> None:
    """Ends the command with the exit code of this ending."""
    code = EXIT_CODES[ending]
    if code:
        raise typer.Exit(code)
