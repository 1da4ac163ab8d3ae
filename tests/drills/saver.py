"""Saves and deletes checkpoints without end, and says so: `python -m tests.drills.saver STATE SEED`.

A line before and a line after each act, `begin` or `done`, with the name and the number of the act. The files
of a checkpoint hold its act's number and nothing else, so that a mixture of two would show.
"""

import os
import random
import sys
from pathlib import Path
from typing import Final

from geospot_backends.local.checkpoints import CheckpointPath, CheckpointStore

RUN: Final = "run:train:0"
NAMES: Final = ("a", "b", "c")
FILES: Final = ("adapter_model.safetensors", "optimizer.safetensors")
DELETED: Final = -1
_LARGEST: Final = 400_000


def content(number: int, size: int) -> bytes:
    """A file of the act of this number."""
    return number.to_bytes(4, "big") * size


def main(state: Path, seed: str) -> None:
    """Goes on until it is killed."""
    store, chance, there = CheckpointStore(state), random.Random(seed), set[str]()
    first = int(seed.rpartition("/")[2]) * 1_000_000
    for number in range(first, first + 1_000_000):
        path = CheckpointPath(RUN, "weights", chance.choice(NAMES))
        if path.name in there and chance.random() < 0.2:
            _say("begin", path.name, DELETED)
            store.delete(str(path))
            there.discard(path.name)
            _say("done", path.name, DELETED)
            continue
        sizes = [chance.randrange(1, _LARGEST) for _ in FILES]

        def fill(folder: Path, number: int = number, sizes: list[int] = sizes) -> None:
            for name, size in zip(FILES, sizes, strict=True):
                (folder / name).write_bytes(content(number, size))

        _say("begin", path.name, number)
        store.write(path, f"base-{number}", None, fill)
        there.add(path.name)
        _say("done", path.name, number)


def _say(what: str, name: str, number: int) -> None:
    os.write(1, f"{what} {name} {number}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
