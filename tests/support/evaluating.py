"""Runs evaluations for the tests: in this process, or as a person would, in one of its own."""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from geospot.config.evaluation import EvalConfig
from geospot.config.load import build
from geospot.evaluation.evaluate import Finished, evaluate
from geospot.evaluation.harness import Settings, Stats
from geospot.evaluation.limiter import Gauge
from geospot.evaluation.records import SampleRecord
from geospot.evaluation.results import read_records
from geospot.images import prepare_image
from tests.support.warm import CLIENT, Started, Warm

_READ_BY_IMPORTS = ("PYTHON", "HF_", "LC_", "LANG", "OMP_", "MKL_", "OPENBLAS_", "XDG_")
_OURS = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_TOKEN"))}
"""The environment before any test changes it, without anybody's keys."""

FAST = Settings(concurrency=8, max_retries=3, backoff_s=0.01, backoff_max_s=0.05, patience_s=60.0)


class Listener:
    """A view that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)

    @contextmanager
    def live(self, stats: Stats, limiter: Gauge) -> Generator[Callable[[], None]]:
        del stats, limiter
        yield lambda: None


def run(
    dataset: Path | str,
    base_url: str,
    out: Path,
    *,
    settings: Settings = FAST,
    view: Listener | None = None,
    **more: Any,
) -> Finished:
    """One evaluation in this process, with the real SDK over a real socket."""
    values: dict[str, Any] = {
        "backend": "openai",
        "model": "some-vlm",
        "base_url": base_url,
        "dataset": str(dataset),
        "limit": "all",
        "out": out,
    }
    config = build(EvalConfig, values, more)
    return asyncio.run(evaluate(config, view or Listener(), settings=settings))


def geospot(
    *arguments: str | Path, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """`geospot …` in a process of its own, with its outputs as text.

    The process comes from an interpreter that has its imports behind it; where the environment has
    something else that is read while modules are imported, it does them itself.
    """
    wanted = environment(env)
    if _read_by_imports(wanted) != _read_by_imports(_OURS):
        return cold_geospot(*arguments, env=env)
    try:
        return _warm(CLIENT).run(arguments, Path.cwd(), wanted)
    except BaseException:
        _warm.cache_clear()  # a test whose time is over may leave the answer to its order behind
        raise


def cold_geospot(
    *arguments: str | Path, env: Mapping[str, str] | None = None, timeout_s: float | None = None
) -> "subprocess.CompletedProcess[str]":
    """The same, as a person starts it."""
    return subprocess.run(
        [sys.executable, "-m", "geospot", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(env),
        check=False,
    )


def start_geospot(
    *arguments: str | Path, env: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """The same, running on."""
    return subprocess.Popen(
        [sys.executable, "-m", "geospot", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(env),
    )


def begin_geospot(
    *arguments: str | Path, env: Mapping[str, str] | None = None, imports: tuple[str, ...] = CLIENT
) -> Started:
    """The same, from an interpreter that has its imports behind it.

    Args:
        imports: which ones.
    """
    wanted = environment(env)
    assert _read_by_imports(wanted) == _read_by_imports(_OURS)
    try:
        return _warm(imports).start(arguments, Path.cwd(), wanted)
    except BaseException:
        _warm.cache_clear()  # a test whose time is over may leave the answer to its order behind
        raise


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anybody's keys."""
    kept = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_TOKEN"))}
    return kept | {"COLUMNS": "100"} | dict(more or {})


def _read_by_imports(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_BY_IMPORTS)}


@cache
def _warm(imports: tuple[str, ...]) -> Warm:
    """One for all tests of this process; it goes when the process does."""
    return Warm(_OURS, imports)


def records(out: Path) -> dict[str, SampleRecord]:
    """Each sample's record, by id (first draws only)."""
    return {record.id: record for record in read_records(out / "samples.jsonl") if not record.draw}


def summary(out: Path) -> dict[str, Any]:
    """Content of summary.json."""
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


def timeless(out: Path) -> dict[str, Any]:
    """The summary without what depends on the clock."""
    return {name: value for name, value in summary(out).items() if name != "seconds"}


def sent_digests(root: Path, split: str = "test") -> dict[str, str]:
    """For each id of an OSV-5M tree the digest of its image as it leaves the machine."""
    digests: dict[str, str] = {}
    for archive in sorted((root / "images" / split).glob("*.zip")):
        with zipfile.ZipFile(io.BytesIO(archive.read_bytes())) as images:
            for name in images.namelist():
                if name.endswith(".jpg"):
                    sent = prepare_image(images.read(name)).data
                    digests[Path(name).stem] = hashlib.sha256(sent).hexdigest()
    return digests


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Waits for what another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
