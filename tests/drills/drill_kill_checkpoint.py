"""A process killed while it saves, replaces and deletes checkpoints in the embedded engine's store.

After a kill each name has what the last finished act left there, or what the act under way would have left,
whole to the byte and never a mixture. What the kill left lying is gone when the next process has tidied,
which then goes on saving under the same names. A power cut isn't drilled.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from geospot_backends.local.api import EngineUserError
from geospot_backends.local.checkpoints import CheckpointPath, CheckpointStore
from tests.drills.drill import Attempt, Session, Trial, drill
from tests.drills.killing import TOO_EARLY
from tests.drills.saver import DELETED, FILES, NAMES, RUN, content

_LONGEST_S: Final = 1.0
_AWAITED: Final = 0.8
_LIVES: Final = 3


@drill("kill -9 while a checkpoint is written, replaced or deleted", times=50, short=2)
def kill_checkpoint(session: Session) -> Iterator[Trial]:
    """Three processes after another in the same state folder, each of them killed."""
    yield from session.repeat(_killed, side_by_side=2)


def _killed(attempt: Attempt) -> Trial:
    state, lost, kills = attempt.folder / "state", list[str](), list[str]()
    known: dict[str, int] = dict.fromkeys(NAMES, DELETED)
    for life in range(_LIVES):
        at_s = attempt.chance.uniform(0.0, _LONGEST_S)
        # A busy machine takes seconds to start Python: most times it is waited for.
        awaited = attempt.chance.random() < _AWAITED
        said = _saved_until(state, f"{attempt.number}/{life}", at_s, awaited=awaited)
        known, under_way = _told(said, known)
        if said:
            doing = _doing(under_way)
            kills.append(f"{at_s:.2f} s, {doing}")
        lost += _otherwise(state, known, under_way)
        CheckpointStore(state).tidy()
        lost += _litter(state)
    if not kills:
        return Trial("three lives", 1, tuple(lost), TOO_EARLY)
    return Trial("; ".join(kills), len(kills), tuple(lost))


def _doing(under_way: tuple[str, int] | None) -> str:
    if under_way is None:
        return "between two"
    return "in a deletion" if under_way[1] == DELETED else "in a save"


def _saved_until(
    state: Path, seed: str, at_s: float, *, awaited: bool
) -> list[tuple[str, str, int]]:
    """What a saver said until it was killed, so long after its start or, if awaited, its first act."""
    command = [sys.executable, "-m", "tests.drills.saver", str(state), seed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline() if awaited else b""
        time.sleep(at_s)
        process.kill()
        rest, error = process.communicate()
    if process.returncode != -signal.SIGKILL:
        raise RuntimeError(f"The saver ended by itself: {error.decode()}")
    lines = (line.split(" ") for line in (first + rest).decode().splitlines())
    return [(what, name, int(number)) for what, name, number in lines]


def _told(
    said: list[tuple[str, str, int]], before: Mapping[str, int]
) -> tuple[dict[str, int], tuple[str, int] | None]:
    """What each name has after the acts that were done, and the act under way, if there was one."""
    known = {**before, **{name: number for what, name, number in said if what == "done"}}
    under_way = said[-1][1:] if said and said[-1][0] == "begin" else None
    return known, under_way


def _otherwise(
    state: Path, known: dict[str, int], under_way: tuple[str, int] | None
) -> Iterator[str]:
    """Names that have something else than they may have; `known` learns what they have."""
    store = CheckpointStore(state)
    for name in NAMES:
        may_be = {known[name]}
        if under_way is not None and under_way[0] == name:
            may_be.add(under_way[1])
        found = _found(store, name)
        if isinstance(found, str):
            yield f"checkpoint {name}: {found}"
        elif found not in may_be:
            yield f"checkpoint {name} has act {found}, and should have one of {sorted(may_be)}"
        else:
            known[name] = found


def _found(store: CheckpointStore, name: str) -> int | str:
    """The number of the act that a checkpoint is of, or what is wrong with it."""
    try:
        found = store.find(str(CheckpointPath(RUN, "weights", name)))
    except EngineUserError as error:
        return DELETED if "There is no checkpoint" in error.message else error.message
    number = int(found.base_model.removeprefix("base-"))
    files = {file.name: file.read_bytes() for file in found.folder.iterdir()}
    if set(files) != set(FILES):
        return f"it has the files {sorted(files)}"
    torn = [file for file, data in files.items() if data != content(number, len(data) // 4)]
    if torn or sum(map(len, files.values())) != found.bytes:
        return f"torn: {torn or 'a size'}"
    return number


def _litter(state: Path) -> Iterator[str]:
    """What is left lying after tidying. An empty folder isn't litter: it may be anybody's, and stays."""
    for place in (state / RUN.replace(":", "%3A") / "weights").glob("*"):
        entries = sorted(entry.name for entry in place.iterdir())
        if entries and (len(entries) != 2 or "checkpoint.json" not in entries):
            yield f"litter in {place.name}: {entries}"
