"""Reads the hub in processes of their own: they can be killed, and have an environment of their own.

The hub's clients read the endpoint and the person's home when they are imported. Each process is forked from
one that has imported the rest: what they stand on takes longer to import than most tests take.
"""

import hashlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *(
            "pandas",
            "pyarrow.dataset",
            "pyarrow.parquet",
            "aiohttp",
            "httpx",
            "multiprocess",
            "dill",
        ),
        *("fsspec.implementations.local", "yaml", "xxhash", "tqdm.auto", "PIL.Image"),
        "geospot.data.osv5m",
    ]
)


class Child:
    """A process that does something.

    Args:
        does: is given the process's end of `pipe`, and `given`.
        environment: the process's own, from its first import of a client on.
    """

    def __init__(
        self, does: Callable[..., None], *given: object, environment: Mapping[str, str]
    ) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        arguments = (does, dict(environment), theirs, *given)
        self.process = _CONTEXT.Process(target=_begin, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def kill(self) -> None:
        """Ends it by signal 9, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _begin(does: Callable[..., None], environment: dict[str, str], *given: object) -> None:
    os.environ.clear()
    os.environ.update(environment)
    does(*given)


def prepare_test_split(pipe: Connection, cache: Path) -> None:
    """Prepares OSV-5M's test split, and says of each step what it is and how far it has come."""
    from geospot.data.osv5m import prepare

    def tell(what: str, done: int, _total: int | None) -> None:
        pipe.send((what, done))

    prepare("test", cache_dir=cache, progress=tell)


def answer_requests(pipe: Connection) -> None:
    """Opens what is asked for, again and again: repository, split, limit, cache, columns."""
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        pipe.send(_opened(*request))


def _opened(
    repo_id: str, split: str, limit: str, cache: Path, columns: Mapping[str, str]
) -> dict[str, Any]:
    """What was selected, with the SHA-256 of every image; or the error's sentence."""
    from geospot.data.hub import open_hub
    from geospot.errors import GeospotError, ImageError

    try:
        dataset = open_hub(repo_id, split, columns=columns, cache_dir=cache)
        selection = dataset.select(None if limit == "all" else int(limit))
    except GeospotError as error:
        return {"error": str(error), "type": type(error).__name__}
    images: list[str] = []
    for sample in selection.table:
        try:
            images.append(hashlib.sha256(dataset.read_image(sample)).hexdigest())
        except ImageError as error:
            images.append(str(error))
    rows = selection.table.arrow.drop_columns(["image"]).to_pylist()
    dataset.close()
    return {
        "rows": rows,
        "images": images,
        "dropped": selection.table.dropped,
        "fingerprint": selection.fingerprint,
        "order": selection.order,
        "name": selection.dataset,
        "available": selection.available,
        "has torch": "torch" in sys.modules,
    }
