"""Commands that go on until they are told to end, and the one that tells: a server, the app, a stopped run.

Each meets a trouble at its start. Where it can't begin, it says so; where it does, it ends as it should.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from geospot.runs.checkpoints import read_checkpoints
from tests.drills.drill import Attempt
from tests.drills.errands import Arguments, Ground, lines, litter, program
from tests.drills.killing import torn_files, unended_lines
from tests.drills.processes import Marked
from tests.drills.terminal import Terminal
from tests.drills.trained import settings, standing
from tests.drills.troubles import (
    FewFiles,
    FullDisk,
    PoorLocale,
    ReadOnlyDisk,
    ReadOnlyFolder,
    Trouble,
    until,
)
from tests.drills.verdict import said_wrongly
from tests.support.evaluating import environment

_WITHIN_S: Final = 120.0
_SETTLES_S: Final = 1.0
_IS_THERE: Final = 0.5
_BY_SIGTERM: Final = 128 + signal.SIGTERM
_WRONGLY: Final = -1
"""For the exit code 0 of one that should have had another."""
_CLOSES: Final = "\x11"
_ENDLESS: Final = {"num_epochs": 5000, "save_every": 100_000, "eval_every": 0}

Life = Callable[[Trouble, Attempt, Ground], list[str]]


def _start(trouble: Trouble, marked: Marked, arguments: Arguments) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*trouble.prefix, *program(arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environment({**marked.environment, **trouble.environment}),
    )


def _served(trouble: Trouble, attempt: Attempt, made: Ground) -> list[str]:
    """A server is started in the trouble, and again when it is over."""
    del attempt, made
    marked, state = Marked(), trouble.place / "state"
    if trouble.chance.random() < _IS_THERE:
        state.mkdir()
    trouble.begin(None)
    lost = _started_and_ended(trouble, marked, state, may_fail=trouble.may_fail)
    trouble.end()
    afterwards = _started_and_ended(trouble, marked, state, may_fail=False)
    lost += [f"afterwards, {sentence}" for sentence in afterwards]
    return [*lost, *litter(trouble.place), *marked.orphans()]


def _started_and_ended(
    trouble: Trouble, marked: Marked, state: Path, *, may_fail: bool
) -> list[str]:
    """What is wrong with how a server starts, and ends by Ctrl-C once it serves."""
    process = _start(trouble, marked, ["serve", "--port", "0", "--state-dir", state])
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "Serving" in line:
            process.send_signal(signal.SIGINT)
    return said_wrongly(process.wait(_WITHIN_S), said, may_fail=may_fail)


def _shown(trouble: Trouble, attempt: Attempt, made: Ground) -> list[str]:
    """The app is opened in the trouble, looks at a run, and is closed."""
    marked = Marked()
    trouble.begin(None)
    env = {**marked.environment, **trouble.environment}
    with Terminal("tui", made.stopped().parent, env=env, by=trouble.prefix) as terminal:
        if terminal.until("sft"):
            terminal.keys(attempt.chance.choice(["", "\r", "?"]))
            time.sleep(attempt.chance.uniform(0.0, _SETTLES_S))
            terminal.keys(_CLOSES)
        try:
            code = terminal.process.wait(_WITHIN_S)
        except subprocess.TimeoutExpired:
            return [f"it doesn't end: {terminal.said()[-500:]}"]
        lost = said_wrongly(code, terminal.said(), may_fail=trouble.may_fail)
    trouble.end()
    return [*lost, *litter(trouble.place), *marked.orphans()]


def _stopped(trouble: Trouble, attempt: Attempt, made: Ground) -> list[str]:
    """A run that is well is stopped by a command that isn't."""
    del attempt
    marked, run = Marked(), trouble.folder / "run"
    going = _start(trouble, marked, settings("sft", made.service(), run, **_ENDLESS))
    if not until(lambda: lines(run / "metrics.jsonl") >= 2, going):
        return [f"it never got going: {going.communicate()[0][-500:]}"]
    stop: Arguments = ["runs", "stop", run, "--wait"]
    trouble.begin(None)
    lost = list(_ends_well(_start(trouble, marked, stop), may_fail=trouble.may_fail))
    trouble.end()
    if standing(run) == "running":
        again = _ends_well(_start(trouble, marked, stop), may_fail=False)
        lost += [f"afterwards, {sentence}" for sentence in again]
    lost += [f"the run: {one}" for one in _ends_well(going, may_fail=False, code=_BY_SIGTERM)]
    if standing(run) != "stopped":
        lost.append(f"its heartbeat says {standing(run)}")
    if (read_checkpoints(run)[-1].batch or 0) < lines(run / "metrics.jsonl") - 1:
        lost.append("steps were lost: the last checkpoint is older than they are")
    return [*lost, *torn_files(run), *unended_lines(run), *litter(run), *marked.orphans()]


def _ends_well(process: "subprocess.Popen[str]", *, may_fail: bool, code: int = 0) -> Iterator[str]:
    """What is wrong with how it ends; `code` is what it ends with where nothing is."""
    try:
        said = process.communicate(timeout=_WITHIN_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        yield f"it hung: {process.communicate()[0]}"
        return
    ended_with = 0 if process.returncode == code else process.returncode or _WRONGLY
    yield from said_wrongly(ended_with, said, may_fail=may_fail)


def _met(kind: type[Trouble], life: Life, attempt: Attempt, made: Ground) -> list[str]:
    made.stopped()  # nobody disturbs that one
    trouble = kind(attempt.folder, attempt.chance)
    trouble.open()
    try:
        return life(trouble, attempt, made)
    finally:
        trouble.close()


_LIVES: Final[tuple[tuple[str, type[Trouble], str, Life], ...]] = (
    ("full disk", FullDisk, "serve", _served),
    ("read-only disk", ReadOnlyDisk, "serve", _served),
    ("read-only folder", ReadOnlyFolder, "serve", _served),
    ("no files left", FewFiles, "serve", _served),
    ("poor locale", PoorLocale, "serve", _served),
    ("no files left", FewFiles, "tui", _shown),
    ("no files left", FewFiles, "runs stop", _stopped),
    ("poor locale", PoorLocale, "runs stop", _stopped),
)

LONG_LIVED: Final = {
    f"{trouble}, {command}, start": (kind.why_not, partial(_met, kind, life))
    for trouble, kind, command, life in _LIVES
}
"""Why this machine can't have it, and the trial, by trouble and command."""
