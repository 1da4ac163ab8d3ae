"""Training runs for tests: a server of their own, small settings, and what a run left behind."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from geospot.config.learning import LearnConfig
from geospot.config.recipes import TINY_SCRATCH
from geospot.data import GeoDataset, GeoSample
from geospot.errors import ImageError
from geospot.images import PreparedImage
from geospot.learning.photos import open_training_data, read_photo
from geospot.services import ServiceOptions, open_service
from geospot_backends.local.embedded import make_engine
from geospot_backends.local.server import EmbeddedServer


@contextmanager
def embedded_url(folder: Path) -> Generator[str]:
    """The address of an embedded engine whose checkpoints lie in the folder."""
    service = open_service("local", ServiceOptions(state_dir=folder))
    try:
        yield service.endpoint.base_url
    finally:
        service.close()


@contextmanager
def engine_url(folder: Path) -> Generator[str]:
    """The address of the same engine in this process, whose imports all tests here share."""
    engine = make_engine(folder)
    with EmbeddedServer(engine, engine.checkpoints) as server:
        yield server.base_url


def break_photos(
    monkeypatch: pytest.MonkeyPatch, config: LearnConfig, steps: tuple[int, ...]
) -> None:
    """Breaks the photos of these steps, to the next run in this process."""
    data = open_training_data(config, held_out=getattr(config, "test_size", 0))
    order, size = data.order(config.seed), config.batch_size
    broken = {data.samples[at].id for step in steps for at in order.batch(step, size)}

    def read(dataset: GeoDataset, sample: GeoSample, max_side: int | None) -> PreparedImage:
        if sample.id in broken:
            raise ImageError("The image can't be decoded.")
        return read_photo(dataset, sample, max_side)

    for module in ("geospot.learning.supervised", "geospot.rl.geo_env"):
        monkeypatch.setattr(f"{module}.read_photo", read)


def small(url: str, log_path: Path, **changed: Any) -> dict[str, Any]:
    """Settings of an SFT run that takes seconds."""
    settings: dict[str, Any] = {
        "service": url,
        "model_name": TINY_SCRATCH,
        "hf_repo": "world",
        "max_samples": 24,
        "batch_size": 4,
        "num_epochs": 2,
        "warmup_steps": 2,
        "test_size": 8,
        "nll_every": 4,
        "save_every": 3,
        "eval_every": 0,
        "eval_limit": 6,
        "max_tokens": 24,
        "log_path": log_path,
    }
    return settings | changed


def rows_of(log_path: Path) -> dict[int, dict[str, Any]]:
    """The run's metrics merged by step, without what depends on the clock."""
    merged: dict[int, dict[str, Any]] = {}
    whole_lines, _, _ = (log_path / "metrics.jsonl").read_text().rpartition("\n")
    for line in whole_lines.splitlines():  # behind them, one may be under way
        row = json.loads(line)
        own = {key: value for key, value in row.items() if not key.startswith("time/")}
        merged.setdefault(row["step"], {}).update(own)
    return {step: dict(sorted(merged[step].items())) for step in sorted(merged)}


def checkpoint_rows(log_path: Path) -> list[dict[str, Any]]:
    """The rows of checkpoints.jsonl."""
    return [json.loads(line) for line in (log_path / "checkpoints.jsonl").read_text().splitlines()]
