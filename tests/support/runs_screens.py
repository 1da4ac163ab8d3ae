"""The list of runs under test: four runs, what the table shows, and the way until it is filled."""

import os
import time
from pathlib import Path

from textual.pilot import Pilot

from geospot.tui.app import GeospotApp
from geospot.tui.widgets.table import Table
from tests.support.screens import seen, until
from tests.support.written_runs import foreign_run, write_beat, write_run


def folder_of_runs(tmp_path: Path) -> Path:
    """Four runs, started one after the other: sft, rl, died, foreign (newest)."""
    runs = tmp_path / "runs"
    write_run(runs / "sft", "sft", steps=4).close("finished", "")
    write_run(runs / "rl", "rl", steps=3).close("stopped", "asked to")
    write_run(runs / "died", "rl", steps=9).close("finished", "")
    write_beat(runs / "died", pid=2**22 + 7, birth="", step=9, total=10, time=time.time() - 500)
    foreign_run(runs / "deep" / "foreign", final=True)
    for age, name in enumerate(("deep/foreign", "died", "rl", "sft")):
        at = time.time() - 100 * (age + 1)
        os.utime(runs / name / "config.json", (at, at))
    return runs


def app_on(*folders: Path) -> GeospotApp:
    """An app that looks below these folders."""
    return GeospotApp(folders, [folders[0].parent / "results"])


def rows(app: GeospotApp) -> list[str]:
    """What the table shows, line by line, without the header and blank lines."""
    table = app.screen.query_one(Table)
    lines = [table.render_line(y).text for y in range(1, table.size.height)]
    return [line for line in lines if line.strip()]


def names(app: GeospotApp) -> list[str]:
    """The names in the list, from the top."""
    known = ("deep/foreign", "died", "rl", "sft")
    return [next(word for word in line.split() if word in known) for line in rows(app)]


def on_cursor(app: GeospotApp) -> str:
    (line,) = [line for line in rows(app) if line.startswith("▌")]
    return line


async def until_read(pilot: Pilot[None], app: GeospotApp, count: int = 4) -> None:
    """Waits until so many runs are read and shown."""
    await until(
        pilot, lambda: app.listing.is_complete and len(app.listing.runs) == count, "every run"
    )
    await until(
        pilot, lambda: len(rows(app)) == count and "reading" not in seen(app.screen), "the rows"
    )
