"""Reads a result's stored answers again with today's parser and labels, offline."""

import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geospot.durable import WriteError, unwritable
from geospot.errors import ResultFormatError
from geospot.evaluation.judge import reread
from geospot.evaluation.results import EVAL, SAMPLES, ResultDirectory, read_records
from geospot.evaluation.sessions import seconds_asking
from geospot.evaluation.summary import summarise
from geospot.provenance import versions


@dataclass(frozen=True, slots=True)
class Rescored:
    """What reading again changed."""

    manifest: dict[str, Any]
    summary: dict[str, Any]
    before: dict[str, Any] | None
    changed: Counter[tuple[str, str]]
    """Samples whose outcome changed, by (before, after)."""
    moved: int
    """Samples that are `ok` before and after, at other coordinates."""
    kept: Path | None
    """The samples as they were before; None if all are read as they were."""


def rescore(path: Path) -> Rescored:
    """Rewrites samples.jsonl and summary.json; the old samples stay beside the new ones.

    Raises:
        ResultFormatError: not a result directory, or a damaged one.
        BusyError: an evaluation is writing into it.
        WriteError: it can't be written; the old samples are there still.
    """
    if not (path / EVAL).is_file():
        raise ResultFormatError(
            f"{path} is no result directory: it has no {EVAL}.", "Name a folder that eval wrote."
        )
    directory = ResultDirectory.reopen(path)
    try:
        return _rescore(directory)
    finally:
        directory.close()


def _rescore(directory: ResultDirectory) -> Rescored:
    manifest = directory.manifest() or {}
    before = directory.summary()
    changed: Counter[tuple[str, str]] = Counter()
    moved = altered = 0
    samples = directory.path / SAMPLES
    fresh = directory.path / f".{SAMPLES}.fresh"
    _remove(fresh)  # of a rescoring that was killed: the lock is ours
    try:
        with directory.writing_to(fresh):
            for old in read_records(samples):
                new = reread(old)
                altered += new != old
                if new.outcome != old.outcome:
                    changed[str(old.outcome), str(new.outcome)] += 1
                elif (new.latitude, new.longitude) != (old.latitude, old.longitude):
                    moved += 1
                directory.append(new)
        kept = _exchange(samples, fresh) if altered else None
    finally:
        with suppress(WriteError):  # a folder that can't be written has said so already
            _remove(fresh)
    summary = _summary(directory, manifest)
    manifest["rescored"] = {"versions": versions(), "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    directory.write_manifest(manifest)
    directory.write_summary(summary)
    return Rescored(manifest, summary, before, changed, moved, kept)


def _exchange(samples: Path, fresh: Path) -> Path:
    """Puts the fresh samples in place of the old ones, which get another name first.

    At no moment is there a directory without its samples.
    """
    kept = samples.with_name(f"samples.before-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
    _remove(kept)
    try:
        os.link(samples, kept)
        fresh.replace(samples)
    except OSError as error:
        raise unwritable(kept, error) from error
    return kept


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def _summary(directory: ResultDirectory, manifest: dict[str, Any]) -> dict[str, Any]:
    try:
        dataset, config = manifest["dataset"], manifest["config"]
        return summarise(
            directory.records(),
            n=dataset["n"],
            fingerprint=dataset["fingerprint"],
            samples=config.get("samples", 1),
            canary=manifest.get("canary"),
            seconds=seconds_asking(directory.path),
            price_in=config.get("price_in"),
            price_out=config.get("price_out"),
        )
    except KeyError as error:
        raise ResultFormatError(
            f"{directory.path / EVAL} has no {error}.", "It was damaged, or isn't of geospot."
        ) from error
