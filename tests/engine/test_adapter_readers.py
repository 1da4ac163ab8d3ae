"""An exported adapter in the hands of others: plain transformers, and the rules of vLLM's loader."""

import io
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from geospot.services.archive import new_folder
from geospot.services.endpoint import ServiceOptions
from geospot_backends.local.api import AdamParams, ImageChunk, LoraSpec, TokenChunk
from geospot_backends.local.archive import open_archive
from geospot_backends.local.untyped import untyped
from tests.support.engines import (
    engine_at,
    experts_folder,
    question,
    qwen25_folder,
    supervised,
    tiny_folder,
)
from tests.support.vllm_rules import objections, serving

DATUM = supervised(question("a"), [40, 41, 42, 43])
FAMILIES = pytest.mark.parametrize(
    ("base", "kind", "train_mlp"),
    [
        (tiny_folder, "Qwen3VLForConditionalGeneration", True),
        (qwen25_folder, "Qwen2_5_VLForConditionalGeneration", True),
        (experts_folder, "Qwen3VLMoeForConditionalGeneration", False),
    ],
    ids=["qwen3", "qwen2.5", "qwen3-moe"],
)


def exported(folder: Path, base: Path, spec: LoraSpec) -> tuple[Path, np.ndarray]:
    """A trained adapter as `geospot checkpoints export` writes it, and what its model computes."""
    engine = engine_at(folder)
    engine.create_model("m", str(base), spec)
    for _ in range(3):
        engine.forward_backward("m", [DATUM], "cross_entropy")
        engine.optim_step("m", AdamParams(learning_rate=0.02))
    read = engine.forward_backward("m", [DATUM], "cross_entropy", forward_only=True)
    path = engine.save_for_sampler("m", "out")
    with new_folder(folder / "adapter") as draft:
        open_archive(ServiceOptions(state_dir=folder / "state")).export(path, draft)
    return folder / "adapter", read.outputs[0].logprobs


def logprobs_of(network: Any, base: Path) -> np.ndarray:
    """The datum's target log-probabilities, with nothing but transformers in between."""
    before, photo, after = DATUM.chunks
    assert isinstance(before, TokenChunk)
    assert isinstance(photo, ImageChunk)
    assert isinstance(after, TokenChunk)
    images = untyped("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    processor = images.Qwen2VLImageProcessorPil.from_pretrained(str(base))
    read = processor(images=[Image.open(io.BytesIO(photo.data))], return_tensors="pt")
    pads = int(read["image_grid_thw"].prod()) // processor.merge_size**2
    placeholder = int(network.config.image_token_id)
    ids = torch.tensor([[*before.tokens, *[placeholder] * pads, *after.tokens]])
    with torch.no_grad():
        logits = network(
            input_ids=ids, mm_token_type_ids=(ids == placeholder).int(), **read
        ).logits[0]
    tokenizer = untyped("transformers").AutoTokenizer.from_pretrained(str(base))
    unspeakable = torch.ones(logits.shape[1], dtype=torch.bool)
    unspeakable[sorted(tokenizer.get_vocab().values())] = False
    unspeakable[[placeholder, network.config.video_token_id]] = True
    targets = torch.tensor(DATUM.inputs["target_tokens"].astype(np.int64))
    scores = logits.masked_fill(unspeakable, -torch.inf).log_softmax(-1)
    return scores.gather(1, targets[:, None])[:, 0].numpy()


@FAMILIES
def test_transformers_loads_the_adapter_and_computes_the_same(
    base: Callable[[], Path], kind: str, train_mlp: bool, tmp_path: Path
) -> None:
    adapter, wanted = exported(tmp_path, base(), LoraSpec(rank=4, seed=1, train_mlp=train_mlp))
    network = getattr(untyped("transformers"), kind).from_pretrained(str(base())).eval()
    without = logprobs_of(network, base())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # tied output layers: it isn't merged
        loaded = network.load_adapter(str(adapter))
    assert not loaded.missing_keys
    assert not loaded.unexpected_keys
    np.testing.assert_allclose(logprobs_of(network, base()), wanted, atol=1e-4)
    assert np.abs(without - wanted).max() > 0.01


def test_transformers_finds_the_base_model_by_itself(tmp_path: Path) -> None:
    adapter, wanted = exported(tmp_path, tiny_folder(), LoraSpec(rank=2, train_unembed=False))
    auto = untyped("transformers").AutoModelForImageTextToText
    network = auto.from_pretrained(str(adapter)).eval()
    np.testing.assert_allclose(logprobs_of(network, tiny_folder()), wanted, atol=1e-4)


@FAMILIES
@pytest.mark.parametrize("rank", [1, 4, 32])
def test_the_folder_is_what_vllm_demands(
    base: Callable[[], Path], kind: str, train_mlp: bool, rank: int, tmp_path: Path
) -> None:
    spec = LoraSpec(rank=rank, seed=1, train_mlp=train_mlp, train_unembed=False)
    adapter, _ = exported(tmp_path, base(), spec)
    assert objections(adapter, serving(base())) == []
    assert sorted(file.name for file in adapter.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_vllm_takes_the_output_layer_of_qwen3_and_not_of_qwen2(tmp_path: Path) -> None:
    spec = LoraSpec(rank=4, seed=1)
    of_qwen3, _ = exported(tmp_path / "3", tiny_folder(), spec)
    assert objections(of_qwen3, serving(tiny_folder())) == []
    of_qwen2, _ = exported(tmp_path / "2", qwen25_folder(), spec)
    assert objections(of_qwen2, serving(qwen25_folder())) == [
        "language_model.lm_head isn't among the target modules"
    ]


@pytest.mark.parametrize(
    ("change", "objection"),
    [
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is set"),
        ({"use_dora": True}, "use_dora is set"),
        ({"bias": "all"}, "biases are trained"),
        ({"r": 1024}, "rank 1024 is greater than 512"),
        ({"lora_alpha": None}, "lora_alpha is missing"),
        ({"alpha_pattern": {"q_proj": 8}}, "alpha_pattern isn't read"),
    ],
)
def test_the_rules_find_what_is_wrong(
    change: dict[str, Any], objection: str, tmp_path: Path
) -> None:
    adapter, _ = exported(tmp_path, tiny_folder(), LoraSpec(rank=1, train_mlp=False))
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | change))
    assert any(text.startswith(objection) for text in objections(adapter, serving(tiny_folder())))


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.visual.blocks.0.attn.qkv.lora_A.weight",
        "base_model.model.model.language_model.layers.9.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.default.weight",
        "model.language_model.layers.0.self_attn.q_proj.lora_A.weight",
    ],
)
def test_the_rules_find_names_that_would_be_left_unused(name: str, tmp_path: Path) -> None:
    safetensors = untyped("safetensors.torch")
    adapter, _ = exported(tmp_path, tiny_folder(), LoraSpec(rank=1, train_mlp=False))
    weights = safetensors.load_file(str(adapter / "adapter_model.safetensors"))
    other = tmp_path / "other"
    shutil.copytree(adapter, other)
    safetensors.save_file(
        weights | {name: torch.zeros(1, 96)}, str(other / "adapter_model.safetensors")
    )
    assert objections(other, serving(tiny_folder()))
