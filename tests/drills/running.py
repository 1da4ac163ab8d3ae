"""Runs drills: progress, one table, and a record from which each failure can be repeated."""

import json
import platform
import shutil
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.drills.drill import Drill, Session, Trial


@dataclass(slots=True)
class Tally:
    """What a drill came to so far."""

    drill: Drill
    times: int = 0
    aside: dict[str, int] = field(default_factory=dict[str, int])
    lost: list[Trial] = field(default_factory=list[Trial])
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list[str])

    def add(self, trial: Trial) -> None:
        """Counts one trial."""
        if trial.aside:
            self.aside[trial.aside] = self.aside.get(trial.aside, 0) + 1
        else:
            self.times += trial.tries
        if trial.lost:
            self.lost.append(trial)
        if note := trial.figures.get("note"):
            self.notes.append(str(note))


class Record:
    """The full record: one JSON object a line, a line a trial; only ever appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, **row: Any) -> None:
        """Appends a row."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **row}, default=str)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def run_drill(
    drill: Drill, session: Session, record: Record, console: Console | None = None
) -> Tally:
    """Does one drill to its end; says how it goes on, and keeps what is lost."""
    tally, began_s = Tally(drill), time.monotonic()
    try:
        for trial in drill.function(session):
            tally.add(trial)
            tally.seconds = time.monotonic() - began_s
            again = f"--seed {session.seed} --only {trial.number}"
            shown = asdict(trial) | {"figures": dict(trial.figures)}
            record.add(drill=drill.name, seed=session.seed, again=again, **shown)
            if console is not None:
                console.print(_progress(tally, trial), highlight=False, markup=False)
    except Exception:  # noqa: BLE001 - what a drill runs into is lost, and the others go on
        broken = Trial("the drill", 0, (traceback.format_exc(),))
        tally.lost.append(broken)
        record.add(drill=drill.name, seed=session.seed, **asdict(broken))
    except KeyboardInterrupt:
        tally.lost.append(Trial("the drill", 0, ("it was interrupted",)))
    tally.seconds = time.monotonic() - began_s
    if not tally.lost:
        shutil.rmtree(session.folder, ignore_errors=True)
    return tally


def _progress(tally: Tally, trial: Trial) -> str:
    lost = f"LOST: {'; '.join(map(_last_line, trial.lost))}"
    state = lost if trial.lost else trial.aside or "nothing lost"
    return (
        f"{tally.drill.name} {tally.times:,}  {tally.seconds:7.1f} s  "
        f"#{trial.number}: {trial.what}: {state}"
    )


def table(tallies: list[Tally]) -> Table:
    """Every drill a line; zero lost is the bar."""
    made = Table("drill", "tried", show_edge=False, pad_edge=False)
    for name in ("times", "aside", "lost", "seconds"):
        made.add_column(name, justify="right")
    for tally in tallies:
        made.add_row(
            tally.drill.name,
            tally.drill.tried,
            f"{tally.times:,}",
            f"{sum(tally.aside.values()):,}",
            f"{sum(len(trial.lost) for trial in tally.lost):,}",
            f"{tally.seconds:,.1f}",
        )
    return made


def details(tallies: list[Tally], seed: int) -> Iterator[str]:
    """Lines below the table: what stood aside, what else was measured, what was lost and how to repeat it."""
    for tally in tallies:
        for why, times in sorted(tally.aside.items()):
            yield f"{tally.drill.name}: {times} set aside: {why}"
        for note in tally.notes:
            yield f"{tally.drill.name}: {note}"
        for trial in tally.lost:
            for sentence in trial.lost:
                yield f"{tally.drill.name} #{trial.number}, {trial.what}: LOST: {_last_line(sentence)}"
            if trial.number >= 0:
                command = f"python -m tests.drills {tally.drill.name} --seed {seed}"
                yield f"    again: {command} --only {trial.number}"


def _last_line(text: str) -> str:
    """What a line of the screen holds of it; the record has all."""
    return text.strip().splitlines()[-1][:400]


def machine() -> str:
    """What the figures were measured on."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
