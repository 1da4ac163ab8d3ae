"""Checkpoints that a person deletes: which names of a run go with them, and how they leave its record."""

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from geospot.durable import json_line, replace_bytes, take_lock
from geospot.runs.checkpoints import CHECKPOINTS, RunCheckpoint, read_checkpoints


def paths_of(row: RunCheckpoint) -> list[str]:
    """Its paths, to train on from and to sample from, as far as they were saved."""
    return [path for path in (row.state_path, row.sampler_path) if path]


def delete_and_forget(
    run: Path,
    paths: Collection[str],
    delete: Callable[[str], None],
    gone_before: Collection[str] = (),
) -> None:
    """Deletes checkpoints of a run and takes them out of its checkpoints.jsonl.

    A row that shares its weights with one that goes loses these paths too, and goes with its last.

    Args:
        gone_before: paths that were found to be deleted already; they leave the record too.

    Raises:
        BusyError: a process is writing into the run; nothing was deleted.
        WriteError: the record can't be written; nothing was deleted.
    """
    lock = take_lock(run, "Stop it first, or delete by the tinker:// path.")
    gone = set(gone_before)
    try:
        _forget(run, gone)  # a row that can't be taken out would name what is gone for ever
        for path in paths:
            delete(path)
            gone.add(path)
    finally:
        try:
            if gone:
                _forget(run, gone)
        finally:
            os.close(lock)


def _forget(run: Path, gone: set[str]) -> None:
    rows = [_without(row, gone) for row in read_checkpoints(run)]
    lines = b"".join(json_line(row.to_json()) for row in rows if paths_of(row))
    replace_bytes(run / CHECKPOINTS, lines)


def _without(row: RunCheckpoint, gone: set[str]) -> RunCheckpoint:
    return replace(
        row,
        state_path=None if row.state_path in gone else row.state_path,
        sampler_path=None if row.sampler_path in gone else row.sampler_path,
    )
