"""A run directory whose files were cut, changed and doubled: what its readers have to make of it."""

import random
import shutil
import time
from pathlib import Path
from typing import Any, Final

from geospot.runs.digest import read_digest
from geospot.runs.watch import RunWatch
from tests.drills.drill import Attempt, Trial

RECORDED: Final = Path(__file__).parents[1] / "recordings" / "runs"
_FILES: Final = (
    *("metrics.jsonl", "rollouts.jsonl", "rollouts.index.jsonl", "histograms.jsonl"),
    *("checkpoints.jsonl", "config.json", "heartbeat.json", "logs.log"),
)
_VALUES: Final = (
    b"NaN",
    b"-1",
    b"1e999",
    b"[]",
    b"null",
    b'"x"',
    b"99999999999999999999",
    b"{",
    b"\0",
    b"\xff",
)
_LONGEST_S: Final = 5.0
_KEPT_ROLLOUTS: Final = 40_000
"""Bytes of the recorded rollouts that are read; all of them would take most of the time."""


def read_broken_run(attempt: Attempt) -> Trial:
    """Breaks a recorded run and reads it whole, twice; what is read twice is the same."""
    chance = attempt.chance
    folder, what = attempt.folder / "run", chance.choice(("rl", "sft"))
    folder.mkdir()
    for name in _FILES:
        path = RECORDED / what / name
        if path.is_file():
            data = path.read_bytes()[:_KEPT_ROLLOUTS]
            (folder / name).write_bytes(broken(data, chance) if chance.random() < 0.6 else data)
    if chance.random() < 0.1:
        (folder / chance.choice(_FILES)).unlink(missing_ok=True)
    began_s = time.thread_time()
    first, again = seen(RunWatch(folder)), seen(RunWatch(folder))
    took_s = time.thread_time() - began_s
    lost = ["read twice, it isn't the same"] * (first != again)
    lost += [f"it took {took_s:.1f} s"] * (took_s > _LONGEST_S)
    shutil.rmtree(folder, ignore_errors=not lost)
    return Trial(what, 1, tuple(lost))


def broken(data: bytes, chance: random.Random) -> bytes:
    """The bytes after up to six accidents: cut, changed, doubled, left out, a value that can't be."""
    for _ in range(chance.randrange(1, 7)):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.randrange(1, 200))
        match chance.randrange(6):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + chance.randbytes(to - at) + data[to:]
            case 2:
                data = data[:to] + data[at:]
            case 3:
                data = data[:at] + data[to:]
            case 4:
                data = data[:at] + b"\n" + data[at:]
            case _:
                colon = data.find(b":", at)
                end = data.find(b",", colon)
                if 0 <= colon < end:
                    data = data[: colon + 1] + chance.choice(_VALUES) + data[end:]
    return data


def seen(watch: RunWatch) -> str:
    """All that the readers say of a run, as text."""
    while (state := watch.look()).is_behind:
        pass
    columns = state.columns
    said: list[Any] = [state.kind, state.has_final, state.done, state.total, state.log]
    said += [list(state.checkpoints), columns.steps_N.tolist(), columns.loose]
    said += [(key, columns.values_N[key].tolist()) for key in columns.keys]
    for spread in (state.reward, state.distance_km):
        said += [spread.steps_S.tolist(), spread.edges, spread.counts_S_B.tolist()]
        said += [spread.quantiles_S_Q.tolist(), spread.mean_S.tolist()]
    said.append({name: share_S.tolist() for name, share_S in state.groups.items()})
    for step in state.rollout_steps:
        said += [watch.rollouts.count(step), watch.rollouts.read(step)]
    said.append(read_digest(watch.folder / "metrics.jsonl"))
    return repr(said)
