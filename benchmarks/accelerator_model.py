"""A Qwen3-VL with random weights in a folder, as large as Qwen3-VL-2B or tiny, and photos for it."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from geospot.data.world import open_world
from geospot.images import prepare_decoded
from geospot.prompts import COORDINATES, PROMPTS
from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import Chunks, ImageChunk, TokenChunk
from geospot_backends.local.models import load_tokenizer
from geospot_backends.local.untyped import untyped


@dataclass(frozen=True, slots=True)
class Size:
    """How large the model is, and what is asked of it.

    `text` and `vision` are sizes by the names of transformers' configuration. `image_side` is in pixels;
    `group` answers of `max_tokens` tokens are sampled about each of `photos` photos.
    """

    name: str
    text: dict[str, Any]
    vision: dict[str, Any]
    dtype: str
    image_side: int
    photos: int
    group: int
    max_tokens: int
    rank: int
    rounds: int

    @property
    def image_tokens(self) -> int:
        """Tokens of one photo: a patch has 16 pixels a side, and four of them make a token."""
        return (self.image_side // 32) ** 2


FULL: Final = Size(
    name="Qwen3-VL-2B",
    text={
        "vocab_size": 151_936,
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 262_144,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_section": [24, 20, 20],
            "mrope_interleaved": True,
        },
    },
    vision={
        "depth": 24,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_heads": 16,
        "out_hidden_size": 2048,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [5, 11, 17],
    },
    dtype="bfloat16",
    image_side=448,
    photos=16,
    group=8,
    max_tokens=64,
    rank=32,
    rounds=5,
)
"""The sizes that were published with the model."""

SMALL: Final = Size(
    name="a tiny Qwen3-VL",
    text={
        "vocab_size": 1024,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 2048,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_section": [3, 3, 2],
            "mrope_interleaved": True,
        },
    },
    vision={
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "num_position_embeddings": 36,
        "deepstack_visual_indexes": [0],
    },
    dtype="float32",
    image_side=96,
    photos=2,
    group=4,
    max_tokens=8,
    rank=4,
    rounds=1,
)
"""For a look at whether all of it runs."""

_PATCHES: Final = {"patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2}


def build_network(size: Size, token_id: dict[str, int]) -> Any:
    """The network, on torch's default device and of its default type; `token_id` maps special tokens."""
    transformers = untyped("transformers")
    config = transformers.Qwen3VLConfig(
        text_config={
            **size.text,
            "tie_word_embeddings": True,
            "eos_token_id": token_id[tiny_vlm.IM_END],
            "pad_token_id": token_id[tiny_vlm.END_OF_TEXT],
        },
        vision_config={**size.vision, **_PATCHES},
        **tiny_vlm.vision_ids(token_id),
        tie_word_embeddings=True,
    )
    return transformers.Qwen3VLForConditionalGeneration(config)


def write_model(folder: Path, size: Size, device: str) -> None:
    """Writes weights drawn on the device, a tokenizer that knows the whole vocabulary, and settings."""
    torch = untyped("torch")
    untyped("transformers").logging.disable_progress_bar()
    tiny_vlm.write_tokenizer(folder, [*PROMPTS.values()] * 40)
    _fill_vocabulary(folder / "tokenizer.json", size.text["vocab_size"])
    _allow_area(folder / "preprocessor_config.json", size.image_side)
    usual = torch.get_default_dtype()
    torch.manual_seed(0)
    try:
        torch.set_default_dtype(getattr(torch, size.dtype))
        with torch.device(device):
            network = build_network(size, tiny_vlm.special_ids(load_tokenizer(folder)))
    finally:
        torch.set_default_dtype(usual)
    network.save_pretrained(str(folder))


def photo_prompts(folder: Path, size: Size) -> list[Chunks]:
    """The question about each photo, up to where the answer begins; all of them are equally long."""
    from PIL import Image

    tokenizer = load_tokenizer(folder)
    before: list[int] = tokenizer.encode("<|im_start|>user\n<|vision_start|>")
    after: list[int] = tokenizer.encode(
        f"<|vision_end|>{COORDINATES}<|im_end|>\n<|im_start|>assistant\n"
    )
    world = open_world("test", size=size.photos)
    prompts: list[Chunks] = []
    for sample in world.table:
        with Image.open(io.BytesIO(world.read_image(sample))) as image:
            photo = prepare_decoded(image.resize((size.image_side, size.image_side)))
        prompts.append(
            (TokenChunk(tuple(before)), ImageChunk(photo.data), TokenChunk(tuple(after)))
        )
    return prompts


def _fill_vocabulary(file: Path, length: int) -> None:
    """Names for the rows of the output layer that the small tokenizer has no token for."""
    content = json.loads(file.read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = content["model"]["vocab"]
    used = {*vocabulary.values(), *(token["id"] for token in content["added_tokens"])}
    vocabulary |= {f"~{number}~": number for number in range(length) if number not in used}
    content["model"]["vocab"] = vocabulary
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _allow_area(file: Path, side: int) -> None:
    """Lets the image processor keep photos of this side as they are."""
    content = json.loads(file.read_text(encoding="utf-8"))
    content["size"] = {"shortest_edge": 64 * 64, "longest_edge": side * side}
    file.write_text(json.dumps(content), encoding="utf-8")
