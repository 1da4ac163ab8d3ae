"""Which layers have an adapter: as it was said, as the checkpoint has it, and what makes no sense."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from geospot.config.learning import RLConfig, SFTConfig
from geospot.errors import UsageError
from geospot.learning.trainer import Trainer
from geospot_backends.local.untyped import untyped
from tests.support.learning import small


async def _saved(url: str, tmp_path: Path, **changed: Any) -> str:
    """The path of a checkpoint that was saved before any step."""
    trainer = await Trainer[SFTConfig].open(SFTConfig(**small(url, tmp_path, **changed)))
    try:
        return str((await trainer.save("untouched", batch=0)).state_path)
    finally:
        await trainer.aclose()


def _layers(state: Path) -> set[str]:
    """What kinds of layers the newest adapter has."""
    files = sorted(state.rglob("adapter_model.safetensors"), key=lambda path: path.stat().st_mtime)
    with untyped("safetensors").safe_open(files[-1], "numpy") as file:
        names: list[str] = list(file.keys())
    kinds = {"self_attn": "attn", "mlp": "mlp", "lm_head": "unembed"}
    return {short for name in names for part, short in kinds.items() if f".{part}." in name}


@pytest.mark.parametrize("part", ["attn", "mlp", "unembed"])
def test_only_the_layers_asked_for_have_an_adapter(
    url: str, state: Path, tmp_path: Path, part: str
) -> None:
    said = {f"train_{name}": name == part for name in ("attn", "mlp", "unembed")}
    asyncio.run(_saved(url, tmp_path, lora_rank=2, **said))
    assert _layers(state) == {part}


def test_all_of_them_where_nothing_is_said(url: str, state: Path, tmp_path: Path) -> None:
    asyncio.run(_saved(url, tmp_path, lora_rank=2))
    assert _layers(state) == {"attn", "mlp", "unembed"}


def test_a_run_has_the_layers_of_the_checkpoint_that_it_starts_from(
    url: str, tmp_path: Path
) -> None:
    path = asyncio.run(_saved(url, tmp_path, lora_rank=2, train_unembed=False))
    settings = small(url, tmp_path / "next", load_checkpoint_path=path)

    async def started(**changed: Any) -> SFTConfig:
        trainer = await Trainer[SFTConfig].open(SFTConfig(**(settings | changed)))
        await trainer.aclose()
        return trainer.config

    config = asyncio.run(started())
    assert (config.lora_rank, config.train_attn, config.train_unembed) == (2, True, False)
    assert asyncio.run(started(train_unembed=False)).train_unembed is False
    with pytest.raises(UsageError, match=r"train_unembed is true, and .* has false"):
        asyncio.run(started(train_unembed=True))


def test_all_weights_leave_no_layer_out(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="train_mlp=false is about a LoRA adapter"):
        asyncio.run(_saved(url, tmp_path, train_mlp=False))


@pytest.mark.parametrize("model", [SFTConfig, RLConfig])
def test_some_layer_is_trained(model: type[SFTConfig | RLConfig]) -> None:
    with pytest.raises(ValidationError, match="all false"):
        model(train_attn=False, train_mlp=False, train_unembed=False)
