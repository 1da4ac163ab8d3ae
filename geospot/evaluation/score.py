"""Scores a finished file of predictions into the same kind of result directory as an evaluation."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from geospot.config.evaluation import ScoreConfig
from geospot.data import open_dataset
from geospot.data.columns import parse_overrides
from geospot.data.progress import Progress, silent
from geospot.data.sample import GeoSample
from geospot.data.selection import fingerprint
from geospot.errors import UsageError
from geospot.evaluation.judge import judge, unanswered
from geospot.evaluation.manifest import dataset_section, make_manifest, truth_sha
from geospot.evaluation.predictions import Predictions
from geospot.evaluation.results import (
    EVAL,
    OUR_FILES,
    RESULTS,
    ResultDirectory,
    read_json,
    set_aside,
)
from geospot.evaluation.summary import summarise
from geospot.outcomes import Outcome
from geospot.textsafe import printable

BACKEND: Final = "score"


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored file."""

    directory: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]
    unknown_ids: int
    """Rows of the file whose id was not among the selected ones; they count for nothing."""
    set_aside: Path | None
    """Where an earlier scoring in the same directory went."""


@dataclass(frozen=True, slots=True)
class _Truth:
    """What the predictions are held against."""

    samples: Iterable[GeoSample]
    n: int
    manifest: dict[str, Any]


def score(config: ScoreConfig, progress: Progress = silent) -> Scored:
    """Scores every selected sample; with a data set, one that the file lacks is a failure.

    Raises:
        GeospotError: the file or the data set can't be read, or doesn't hold what is needed.
    """
    predictions = Predictions(config.file, with_truth=config.dataset is None)
    truth = _from_dataset(config, progress) if config.dataset else _from_file(predictions)
    draws = predictions.draws
    _refuse_other_ids(config, predictions, truth)  # before an earlier scoring is set aside for it
    manifest = _manifest(config, truth, draws)
    path = config.out or RESULTS / f"{BACKEND}-{_label(config)}-{_short(truth)}"
    aside = _make_way(path)
    directory = ResultDirectory.open(path, manifest, resume=True)
    used = 0
    try:
        for sample in truth.samples:
            for draw in range(draws):
                reply = predictions.reply(sample.id, draw)
                if reply is None:
                    error = f"{config.file.name} has no answer to it"
                    directory.append(unanswered(sample, Outcome.MISSING, error, draw=draw))
                    continue
                used += 1
                directory.append(judge(sample, reply, draw=draw))
        summary = summarise(
            directory.records(),
            n=truth.n,
            fingerprint=truth.manifest["fingerprint"],
            samples=draws,
            canary=manifest["canary"],
        )
        directory.write_summary(summary)
    finally:
        directory.close()
    return Scored(path, manifest, summary, len(predictions) - used, aside)


def _refuse_other_ids(config: ScoreConfig, predictions: Predictions, truth: _Truth) -> None:
    draws = range(predictions.draws)
    if all(predictions.reply(s.id, draw) is None for s in truth.samples for draw in draws):
        raise UsageError(
            f"None of the ids in {config.file} is among the {truth.n:,} selected ones.",
            "Check --dataset, --split, --limit and --seed, and the file's id column.",
        )


def _from_dataset(config: ScoreConfig, progress: Progress) -> _Truth:
    dataset = open_dataset(
        config.dataset or "",
        config.split,
        columns=parse_overrides(config.columns),
        progress=progress,
    )
    try:
        selection = dataset.select(config.limit_or_none, config.seed)
    finally:
        dataset.close()
    section = dataset_section(config.dataset or "", selection)
    return _Truth(selection.table, len(selection), section)


def _from_file(predictions: Predictions) -> _Truth:
    """The file's own truth: whoever made it chose which images count, and the result says so."""
    samples = predictions.truths
    name = predictions.path.stem
    return _Truth(
        samples.values(),
        len(samples),
        {
            "spec": predictions.path.name,
            "name": name,
            "split": "self-selected",
            "order": "hash",
            "n": len(samples),
            "available": len(samples),
            "fingerprint": fingerprint(name, "self-selected", samples, order="hash"),
            "truth_sha": truth_sha(samples.values()),
            "self_selected": True,
            "dropped": {},
        },
    )


def _manifest(config: ScoreConfig, truth: _Truth, draws: int) -> dict[str, Any]:
    return make_manifest(
        backend={
            "name": BACKEND,
            "model": _label(config),
            "file": config.file.name,
            "sha256": _sha256(config.file),
        },
        dataset=truth.manifest,
        prompt=None,
        config={"samples": draws, "seed": config.seed, "limit": config.limit},
    )


def _make_way(path: Path) -> Path | None:
    """Sets an earlier scoring aside and returns its new name; what else is in the way isn't ours."""
    manifest = read_json(path / EVAL)
    if manifest is None:
        return None
    if manifest.get("backend", {}).get("name") != BACKEND:
        raise UsageError(f"{path} holds an evaluation that was asked live.", "Give another --out.")
    strangers = sorted(entry.name for entry in path.iterdir() if entry.name not in OUR_FILES)
    if strangers:
        raise UsageError(
            f"{path} holds other things than a scoring ({printable(strangers[0])}, …).",
            "Give another --out.",
        )
    return set_aside(path)


def _label(config: ScoreConfig) -> str:
    return config.model or config.file.stem


def _short(truth: _Truth) -> str:
    return str(truth.manifest["fingerprint"]).rpartition(":")[2][:8]


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
