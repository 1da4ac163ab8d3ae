"""A run that trains a LoRA adapter is killed, and goes on as if nothing had happened."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.approx import approx
from tests.support.evaluating import begin_geospot
from tests.support.learning import checkpoint_rows, rows_of, small
from tests.support.warm import Started

pytestmark = pytest.mark.timeout(900)

OF_KIND: dict[str, dict[str, Any]] = {
    "sft": {"num_epochs": 2, "learning_rate": 1e-2},
    "rl": {
        "model_name": "geospot/tiny-vlm",  # whose answers earn rewards that differ
        # Which calls are decoded together changes the last digits, and after some steps a token.
        "max_steps": 6,
        "batch_size": 2,
        "group_size": 4,
        "max_tokens": 96,
        "coord_tau": 2000,
        "learning_rate": 3e-3,
    },
}
"""Twelve steps of the one, six of the other; a checkpoint every three."""


def _start(kind: str, url: str, log_path: Path) -> Started:
    """`geospot sft` or `geospot rl` in a process of its own, begun or gone on with."""
    settings = small(url, log_path, lora_rank=4, **OF_KIND[kind])
    if kind == "rl":
        settings = {name: value for name, value in settings.items() if name not in _OF_SFT}
    settings["behavior_if_log_dir_exists"] = "resume"
    return begin_geospot(kind, *(f"{name}={value}" for name, value in settings.items()))


def _kill_in_the_middle(process: Started, log_path: Path) -> None:
    """Kills it, or finds it at its end, once there is a checkpoint and a step behind it."""
    files = [log_path / "checkpoints.jsonl", log_path / "metrics.jsonl"]
    while process.poll() is None and not (
        all(file.is_file() and file.read_bytes() for file in files) and 4 in rows_of(log_path)
    ):
        time.sleep(0.01)
    process.kill()
    _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said


_OF_SFT = ("test_size", "nll_every")


def _finish(process: Started) -> str:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize("kind", OF_KIND)
def test_killed_and_resumed_a_lora_is_as_if_nothing_had_happened(
    kind: str, url: str, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _finish(_start(kind, url, whole))
    for _ in range(5):
        _kill_in_the_middle(_start(kind, url, killed), killed)
        if not any(row["name"] == "final" for row in checkpoint_rows(killed)):
            break
        shutil.rmtree(killed)  # it was done before this process had its turn

    said = _finish(_start(kind, url, killed))

    assert "a LoRA of rank 4" in said
    assert "from step" in said
    assert json.loads((killed / "config.json").read_bytes())["lora_rank"] == 4
    resumed, expected = rows_of(killed), rows_of(whole)
    assert sum("optim/grad_norm" in row for row in expected.values()) > 3  # it does learn
    assert list(resumed) == list(expected)
    for step, row in expected.items():
        assert list(resumed[step]) == list(row), step
        assert list(resumed[step].values()) == approx(list(row.values()), rel=1e-4, abs=1e-6), step
