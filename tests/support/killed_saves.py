"""Saves one checkpoint again and again in processes that are killed, and says what was found after each.

`python -m tests.support.killed_saves STATE replacing`: killed before the 1st, 2nd … time that saving
touches the file system. `… first`: the same where nothing is replaced. `… at-random`: with SIGKILL from
outside, 20 times. One JSON object a line: `begun` and `saved` are the numbers of the newest save that had
begun and that had returned, `found` that of the checkpoint that is there (null: none), `entries` counts
what lies in its place, before and after tidying.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from geospot_backends.local.checkpoints import CheckpointPath, CheckpointStore

PATH = CheckpointPath("run:train:0", "weights", "last")
FILES = ("adapter_model.safetensors", "optimizer.safetensors")
BYTES = 100_000


def save(state: Path, number: int) -> None:
    """All files hold the number, and nothing else."""

    def fill(folder: Path) -> None:
        for name in FILES:
            (folder / name).write_bytes(number.to_bytes(4, "big") * (BYTES // 4))

    CheckpointStore(state).write(PATH, f"base-{number}", None, fill)


def at_each_step(state: Path, *, replacing: bool) -> None:
    """One killed process for each step, until a save gets through; a step is an audit event."""
    number, finished = 1, False
    while not finished:
        if replacing:
            save(state, 1)
        number += 1
        child = os.fork()
        if child == 0:
            left = number - 1

            def die_in_time(event: str, _: tuple[object, ...]) -> None:
                nonlocal left
                if event.startswith(("os.", "open", "shutil.", "tempfile.", "fcntl.")):
                    left -= 1
                    if left == 0:
                        os._exit(9)

            sys.addaudithook(die_in_time)
            save(state, number)
            os._exit(0)
        finished = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        report(begun=number, saved=number if finished else int(replacing), state=state)
        shutil.rmtree(state)


def at_random(state: Path) -> None:
    """A process that saves without end, killed after some milliseconds."""
    save(state, 0)
    chance = random.Random(3)
    for _ in range(20):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            for number in range(1, 1 << 30):
                os.write(write, b"b")
                save(state, number)
                os.write(write, b"s")
        time.sleep(chance.uniform(0.005, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            log = pipe.read()
        report(begun=log.count(b"b"), saved=log.count(b"s"), state=state)
        save(state, 0)


def report(*, begun: int, saved: int, state: Path) -> None:
    """What lies under the name now, and whether every byte of it is of one save."""
    store, place = CheckpointStore(state), state / "run%3Atrain%3A0" / PATH.kind / PATH.name
    entries = len(list(place.glob("*")))
    store.tidy()
    tidied = len(list(place.glob("*")))
    row: dict[str, object] = {"begun": begun, "saved": saved, "found": None, "whole": True}
    row |= {"entries": [entries, tidied], "place": place.exists()}
    if found := next(store.all(), None):
        number = int(found.base_model.removeprefix("base-"))
        row["found"] = number
        row["whole"] = {file.name: file.read_bytes() for file in found.folder.iterdir()} == {
            name: number.to_bytes(4, "big") * (BYTES // 4) for name in FILES
        }
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    folder, way = Path(sys.argv[1]), sys.argv[2]
    if way == "at-random":
        at_random(folder)
    else:
        at_each_step(folder, replacing=way == "replacing")
