"""tinker-cookbook 0.6.1's own `supervised/train.py` and `rl/train.py`, unchanged, on photos."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer
from tests.support.evaluating import environment, geospot

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        any(
            importlib.util.find_spec(name) is None
            for name in ("tinker_cookbook", "chz", "blobfile")
        ),
        reason="tinker-cookbook isn't installed (pip install --no-deps -r requirements-oracle.txt)",
    ),
]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_both_training_programs_run_and_learn(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path / "state")
    with EmbeddedServer(engine, engine.checkpoints) as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.cookbook_training", server.base_url, tmp_path],
            capture_output=True,
            text=True,
            timeout=600,
            env=environment({"TINKER_API_KEY": "tml-test", "NO_PROXY": "*"}),
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        losses = [
            row["train_mean_nll"]
            for row in rows(tmp_path / "sft" / "metrics.jsonl")
            if "train_mean_nll" in row
        ]
        assert len(losses) == 6
        assert losses[-1] < 0.7 * losses[0]
        steps = [
            row for row in rows(tmp_path / "rl" / "metrics.jsonl") if "env/all/reward/total" in row
        ]
        assert len(steps) == 3
        # Sampler and trainer agree about what was sampled.
        assert all(abs(row["optim/kl_sample_train_v1"]) < 1e-4 for row in steps)
        final = rows(tmp_path / "rl" / "checkpoints.jsonl")[-1]
        assert final["name"] == "final"
        options = ["--backend", "tinker", "--base-url", server.base_url, "--limit", "2"]
        options += ["--model", str(tmp_path / "rl"), "--out", str(tmp_path / "out")]
        options += ["--prompt", "coordinates", "--max-tokens", "12", "--no-canary"]
        assert geospot("eval", *options).returncode == 0
    manifest = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert manifest["backend"]["path"] == final["sampler_path"]
