"""`geospot tui`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from geospot.cli.completion import DEFAULT_FOLDERS, complete_run
from geospot.errors import UsageError
from geospot.textsafe import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Exit codes: 0 closed, 1 failed, 2 wrong usage or no terminal.")
def tui(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER",
            help="Where runs are looked for, at any depth; a run directory is opened at once. Default: "
            "runs and results.",
            show_default=False,
            autocompletion=complete_run,
        ),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Where results of evaluations are looked for. Repeatable. Default: results.",
            show_default=False,
        ),
    ] = None,
    theme: Annotated[
        Literal["auto", "dark", "light"],
        typer.Option(help="`auto` goes by the terminal's background."),
    ] = "auto",
) -> None:
    """Watch runs live, start them, look at their answers, and rank results: all in the terminal.

    Runs are processes of their own: closing the app, or losing the connection, touches none of them, and
    several may watch the same run. It works over SSH and in tmux, from 80x24 on. ? shows every key,
    Ctrl-P what can be done, Ctrl-Q closes. NO_COLOR is heeded.

    \b
    geospot tui
    geospot tui runs/rl
    geospot tui /scratch/runs --results /scratch/results
    """
    _refuse_without_terminal()
    runs, searched = _told_apart(folders or [])
    from geospot.tui.app import RESULTS, GeospotApp
    from geospot.tui.hangup import end_with
    from geospot.tui.terminal import Terminal, ask_terminal
    from geospot.tui.widgets.graphics import may_show_pixels, pixel_widget

    is_asked = (for_pixels := may_show_pixels()) or theme == "auto"
    said = ask_terminal(for_pixels=for_pixels) if is_asked else Terminal(is_dark=True)
    is_dark = said.is_dark if theme == "auto" else theme == "dark"
    widget = pixel_widget(said.pixels, said.cell)

    def first(app: GeospotApp) -> None:
        for run in runs:
            app.open_run(run)
        for key in said.typed_keys():
            app.call_after_refresh(app.post_message, key)

    app = GeospotApp(searched, results or [RESULTS], dark=is_dark, first=first, pixel_widget=widget)
    end_with(sys.stdin)
    app.run()
    if app.return_code:
        raise typer.Exit(app.return_code)


def _refuse_without_terminal() -> None:
    """Raises UsageError where a screen can't be drawn, or keys can't be read."""
    advice = "`geospot runs list` and `geospot runs show DIR` print the same as text."
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError("geospot tui needs a terminal, and this isn't one.", advice)
    if os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        raise UsageError("This terminal (TERM=dumb, or unset) can't draw a screen.", advice)


def _told_apart(folders: Sequence[Path]) -> tuple[list[Path], Sequence[Path]]:
    """Run directories among the folders, which are opened, and the folders in which runs are looked for.

    A run's own folder is where it is found in the list.
    """
    from geospot.runs.catalogue import Catalogue

    runs: list[Path] = []
    searched: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {printable(str(folder))}.", "Name one that is there."
            )
        is_run = Catalogue([folder], most=1).scan() == [folder]
        if is_run:
            runs.append(folder)
        searched.append(folder.absolute().parent if is_run else folder)
    return runs, list(dict.fromkeys(searched)) or DEFAULT_FOLDERS
