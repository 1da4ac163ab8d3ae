"""`geospot/tiny-vlm`: a Qwen3-VL of 0.6 million parameters, small enough to train on one CPU thread.

Architecture and tokenizer are made here, in code; a trained checkpoint lies in the folder `tiny/`, made
by `python -m geospot_backends.local.train_tiny`. Images become at most 96 × 96 pixels, nine tokens.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from geospot_backends.local.untyped import untyped

if TYPE_CHECKING:
    from geospot.data.sample import GeoSample

NAME: Final = "geospot/tiny-vlm"
"""The trained model that ships with the package."""

SCRATCH_NAME: Final = "geospot/tiny-vlm-scratch"
"""The same architecture with random weights, always the same ones."""

FOLDER: Final = Path(__file__).parent / "tiny"
CONTEXT_LENGTH: Final = 2048
VOCABULARY: Final = 512

# Written as Qwen's, so that one renderer serves both.
END_OF_TEXT: Final = "<|endoftext|>"
IM_START: Final = "<|im_start|>"
IM_END: Final = "<|im_end|>"
VISION_START: Final = "<|vision_start|>"
VISION_END: Final = "<|vision_end|>"
IMAGE_PAD: Final = "<|image_pad|>"
VIDEO_PAD: Final = "<|video_pad|>"
SPECIAL_TOKENS: Final = (
    END_OF_TEXT,
    IM_START,
    IM_END,
    VISION_START,
    VISION_END,
    IMAGE_PAD,
    VIDEO_PAD,
)

_CHAT_TEMPLATE: Final = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.content is string -%}{{- message.content -}}{%- else -%}"
    "{%- for part in message.content -%}"
    "{%- if part.type == 'text' -%}{{- part.text -}}"
    "{%- else -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{- '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def build_config(token_id: dict[str, int]) -> Any:
    """The architecture, as a transformers configuration; `token_id` maps special tokens to ids."""
    from transformers import Qwen3VLConfig

    return Qwen3VLConfig(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "head_dim": 32,
            "max_position_embeddings": CONTEXT_LENGTH,
            "initializer_range": 0.1,  # 0.02 learns slower at this width
            "tie_word_embeddings": True,
            "eos_token_id": token_id[IM_END],
            "pad_token_id": token_id[END_OF_TEXT],
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 160,
            "num_heads": 4,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": 96,
            "num_position_embeddings": 36,
            "deepstack_visual_indexes": [0],
            "initializer_range": 0.1,
        },
        **vision_ids(token_id),
        tie_word_embeddings=True,
    )


def vision_ids(token_id: dict[str, int]) -> dict[str, Any]:
    """Ids of what stands for pictures, by the names of a Qwen-VL's configuration."""
    return {
        "image_token_id": token_id[IMAGE_PAD],
        "video_token_id": token_id[VIDEO_PAD],
        "vision_start_token_id": token_id[VISION_START],
        "vision_end_token_id": token_id[VISION_END],
    }


def build_model(token_id: dict[str, int], seed: int) -> Any:
    """A model with random weights, the same for the same seed; global random state is untouched."""
    random = untyped("torch").random
    with random.fork_rng(devices=[]):
        random.manual_seed(seed)
        return (
            untyped("transformers").Qwen3VLForConditionalGeneration(build_config(token_id)).eval()
        )


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Ids of the special tokens."""
    return {token: int(tokenizer.convert_tokens_to_ids(token)) for token in SPECIAL_TOKENS}


def write_tokenizer(folder: Path, texts: Iterable[str]) -> None:
    """Trains the tokenizer on `texts` and writes it with the image processor's settings.

    Byte-level BPE of 512 tokens: every text can be written, digits stand alone as in Qwen.
    """
    library = untyped("tokenizers")
    pre_tokenizers = library.pre_tokenizers
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.normalizer = library.normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": IM_END,
            "pad_token": END_OF_TEXT,
            "clean_up_tokenization_spaces": False,
            "model_max_length": CONTEXT_LENGTH,
            "chat_template": _CHAT_TEMPLATE,
        },
    )
    _write_json(folder / "preprocessor_config.json", _IMAGE_PROCESSOR)


_IMAGE_PROCESSOR: Final[dict[str, Any]] = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "size": {"shortest_edge": 64 * 64, "longest_edge": 96 * 96},  # areas in pixels
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def tokenizer_texts(samples: Iterable["GeoSample"]) -> Iterator[str]:
    """What the tokenizer is trained on: the question and the answers."""
    from geospot.prompts import PROMPTS, target_text

    yield from PROMPTS.values()
    for sample in samples:
        yield target_text(sample)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
