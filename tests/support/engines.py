"""Small models and engines for the tests of the embedded engine."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import Chunks, Datum, ImageChunk, SampleResult, TokenChunk
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.untyped import untyped
from tests.support.photos import make_photo

TEXTS = ["City: Lyon\nCountry: France\nLatitude: 45.7640\nLongitude: 4.8357", "Where is this?"] * 40


@cache
def tiny_folder() -> Path:
    """A tiny Qwen3-VL with random weights in a local folder."""
    folder = Path(mkdtemp(prefix="tiny-qwen3-")) / "model"
    tiny_vlm.write_tokenizer(folder, TEXTS)
    network = tiny_vlm.build_model(tiny_vlm.special_ids(_tokenizer(folder)), seed=3)
    network.save_pretrained(str(folder))
    return folder


@cache
def experts_folder() -> Path:
    """A tiny Qwen3-VL with a mixture of experts and random weights."""
    folder = Path(mkdtemp(prefix="tiny-moe-")) / "model"
    tiny_vlm.write_tokenizer(folder, TEXTS)
    dense = tiny_vlm.build_config(tiny_vlm.special_ids(_tokenizer(folder))).to_dict()
    text = {name: dense["text_config"][name] for name in _TEXT_SETTINGS}
    text |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
    vision = {key: value for key, value in dense["vision_config"].items() if key != "model_type"}
    tokens = {key: value for key, value in dense.items() if key.endswith("_token_id")}
    transformers = untyped("transformers")
    config = transformers.Qwen3VLMoeConfig(text_config=text, vision_config=vision, **tokens)
    untyped("torch").manual_seed(6)
    transformers.Qwen3VLMoeForConditionalGeneration(config).save_pretrained(str(folder))
    return folder


_TEXT_SETTINGS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "initializer_range",
    "rope_parameters",
)


@cache
def qwen25_folder() -> Path:
    """A tiny Qwen2.5-VL with random weights: other vision tower, no deepstack, untied output layer."""
    folder = Path(mkdtemp(prefix="tiny-qwen25-")) / "model"
    tiny_vlm.write_tokenizer(folder, TEXTS)
    token_id = tiny_vlm.special_ids(_tokenizer(folder))
    transformers = untyped("transformers")
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": tiny_vlm.VOCABULARY,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "initializer_range": 0.1,
            "eos_token_id": token_id[tiny_vlm.IM_END],
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [4, 2, 2],
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": 64,
            "window_size": 64,
            "fullatt_block_indexes": [1],
            "initializer_range": 0.1,
        },
        **tiny_vlm.vision_ids(token_id),
        tie_word_embeddings=False,
    )
    untyped("torch").manual_seed(5)
    network = transformers.Qwen2_5_VLForConditionalGeneration(config)
    network.save_pretrained(str(folder))
    return folder


@cache
def qwen35_folder() -> Path:
    """A tiny Qwen3.5 with random weights: linear attention beside full attention."""
    return _qwen35("qwen35", "Qwen3_5", {"intermediate_size": 96})


@cache
def qwen35_experts_folder() -> Path:
    """A tiny Qwen3.5 with a mixture of experts and random weights."""
    experts = {"num_experts": 4, "num_experts_per_tok": 2}
    sizes = {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 32}
    return _qwen35("qwen35-moe", "Qwen3_5Moe", experts | sizes)


def _qwen35(name: str, family: str, mlp: dict[str, int]) -> Path:
    folder = Path(mkdtemp(prefix=f"tiny-{name}-")) / "model"
    tiny_vlm.write_tokenizer(folder, TEXTS)
    token_id = tiny_vlm.special_ids(_tokenizer(folder))
    transformers = untyped("transformers")
    config = getattr(transformers, f"{family}Config")(
        text_config={
            "vocab_size": tiny_vlm.VOCABULARY,
            "hidden_size": 64,
            "num_hidden_layers": 3,
            "layer_types": ["linear_attention", "full_attention", "linear_attention"],
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 32,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "max_position_embeddings": 512,
            "initializer_range": 0.1,
            "eos_token_id": token_id[tiny_vlm.IM_END],
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "partial_rotary_factor": 0.5,
                "mrope_section": [4, 2, 2],
                "mrope_interleaved": True,
            },
            **mlp,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 36,
            "initializer_range": 0.1,
        },
        **tiny_vlm.vision_ids(token_id),
    )
    untyped("torch").manual_seed(8)
    network = getattr(transformers, f"{family}ForConditionalGeneration")(config)
    network.save_pretrained(str(folder))
    return folder


def _tokenizer(folder: Path) -> object:
    return untyped("transformers").AutoTokenizer.from_pretrained(str(folder))


MADE = (tiny_folder, experts_folder, qwen25_folder, qwen35_folder, qwen35_experts_folder)
"""Every kind of model made here."""


def engine_at(folder: Path) -> LocalEngine:
    """An engine on the CPU whose state is in this folder; it serves the folders made here."""
    models = [str(made()) for made in MADE]
    return LocalEngine(folder / "state", device="cpu", models=models)


def question(seed: str, size: tuple[int, int] = (96, 96)) -> Chunks:
    """A prompt with one image."""
    text = tuple(range(20, 34))
    return (TokenChunk((5, 6, 7)), ImageChunk(make_photo(seed, size=size)), TokenChunk(text))


def length_of(prompt: Chunks, image_tokens: int = 9) -> int:
    """Positions of a prompt whose images have so many tokens each."""
    return sum(len(one.tokens) if isinstance(one, TokenChunk) else image_tokens for one in prompt)


def rollout(
    prompt: Chunks,
    tokens: list[int],
    logprobs: list[float],
    advantage: float,
    image_tokens: int = 9,
) -> Datum:
    """A datum of reinforcement learning, as tinker-cookbook makes it: shifted by one, 0 for the prompt."""
    *before, last = prompt
    assert isinstance(last, TokenChunk)
    known = length_of(prompt, image_tokens) - 1
    chunks = (*before, TokenChunk((*last.tokens, *tokens[:-1])))
    return Datum(
        chunks,
        {
            "target_tokens": np.array([0] * known + tokens, np.int64),
            "logprobs": np.array([0.0] * known + logprobs, np.float32),
            "advantages": np.array([0.0] * known + [advantage] * len(tokens), np.float32),
        },
    )


def supervised(prompt: Chunks, tokens: list[int], weight: float = 1.0) -> Datum:
    """A supervised datum; the answer carries weight."""
    datum = rollout(prompt, tokens, [0.0] * len(tokens), weight)
    return Datum(
        datum.chunks,
        {
            "target_tokens": datum.inputs["target_tokens"],
            "weights": datum.inputs["advantages"],
        },
    )


def answered(result: object) -> SampleResult:
    """The result, which must not be an error."""
    assert isinstance(result, SampleResult), result
    return result
