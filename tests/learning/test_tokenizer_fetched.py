"""The tokenizer that a service names is fetched, or given up within seconds and said in a sentence."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from geospot.renderers.tokenizers import hub_id
from geospot_backends.local.api import ModelInfo
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer
from tests.support.evaluating import environment

PROGRAM = """
import asyncio, sys, time
from pathlib import Path
from geospot.config.learning import SFTConfig
from geospot.errors import GeospotError
from geospot.learning.trainer import Trainer
from tests.support.learning import small

async def main():
    trainer = await Trainer.connect(SFTConfig(**small(sys.argv[1], Path(sys.argv[2]))))
    began = time.monotonic()
    try:
        await trainer.load()
    except GeospotError as error:
        print(type(error).__name__, error, time.monotonic() - began, sep="|")
    finally:
        await trainer.aclose()

asyncio.run(main())
"""


class _NamesAHubModel(LocalEngine):
    """Says of its models that their tokenizer lies on the hub."""

    def info(self, model_id: str) -> ModelInfo:
        return replace(super().info(model_id), tokenizer_dir="Qwen/Qwen3-VL-2B-Instruct")


def test_training_gives_up_a_hub_out_of_reach_within_seconds(tmp_path: Path) -> None:
    engine = _NamesAHubModel(tmp_path / "state", device="cpu")
    dead = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "NO_PROXY": "*"}
    with EmbeddedServer(engine, engine.checkpoints) as server:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.base_url, str(tmp_path / "run")],
            env=environment(dead),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    kind, message, seconds = done.stdout.strip().split("|")
    assert kind == "ModelNotFoundError"
    assert "The tokenizer of geospot/tiny-vlm-scratch can't be loaded: " in message
    assert "the hub reachable" in message
    assert float(seconds) < 60
    assert "Retrying" not in done.stderr


@pytest.mark.parametrize(
    "name",
    ["Qwen/Qwen3-VL-2B-Instruct", "Qwen/Qwen3-VL-2B-Instruct/fast", "Qwen/Qwen3-VL-2B-Instruct:1"],
)
def test_a_variant_has_the_tokenizer_of_its_model(name: str) -> None:
    assert hub_id(name) == "Qwen/Qwen3-VL-2B-Instruct"
