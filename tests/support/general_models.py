"""Tiny models with random weights of families that the engine has no code of its own for."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from geospot_backends.local.untyped import untyped

END, PAD, BEGIN = "<eos>", "<pad>", "<bos>"
TURN, TURN_END = "<turn>", "<turn_end>"
TEXTS = ["City: Lyon\nCountry: France\nLatitude: 45.7640\nLongitude: 4.8357", "Where is this?"] * 40

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "initializer_range": 0.2,
}
SOFT = 70
SIDE = {"height": 32, "width": 32}


def template(placeholder: str) -> str:
    """A chat template whose turns end in a mark, with an image in front of its text."""
    return (
        "{{- '<bos>' -}}{%- for message in messages -%}{{- '<turn>' + message.role + '\\n' -}}"
        "{%- if message.content is string -%}{{- message.content | trim -}}{%- else -%}"
        "{%- for part in message.content -%}{%- if part.type == 'image' -%}"
        f"{{{{- '{placeholder}' -}}}}{{%- else -%}}{{{{- part.text | trim -}}}}{{%- endif -%}}"
        "{%- endfor -%}{%- endif -%}{{- '<turn_end>\\n' -}}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<turn>assistant\\n' -}}{%- endif -%}"
    )


def tokenizer(marks: list[str], placeholder: str, **named: str) -> Any:
    """Byte-level BPE with these marks as tokens; `named` become attributes of the tokenizer."""
    library = untyped("tokenizers")
    made = library.Tokenizer(library.models.BPE())
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=320,
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    made.add_special_tokens([END, PAD, BEGIN, TURN, TURN_END, *marks])
    return untyped("transformers").PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        chat_template=template(placeholder),
        extra_special_tokens=named,
    )


def _saved(name: str, network: Any, parts: Callable[[], tuple[Any, ...]]) -> Path:
    folder = Path(mkdtemp(prefix=f"tiny-{name}-")) / "model"
    network.save_pretrained(str(folder))
    for part in parts():
        part.save_pretrained(str(folder))
    return folder


def _network(name: str, config: Any) -> Any:
    untyped("torch").manual_seed(9)
    return getattr(untyped("transformers"), f"{name}ForConditionalGeneration")(config).eval()


def _ids(made: Any, **named: str) -> dict[str, int]:
    return {name: int(made.convert_tokens_to_ids(token)) for name, token in named.items()}


@cache
def gemma3_folder() -> Path:
    """Gemma 3: sliding windows, images that attend to themselves both ways, white space around them."""
    transformers = untyped("transformers")
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    made = tokenizer(list(named.values()), "<start_of_image>", **named)
    config = transformers.Gemma3Config(
        text_config={
            **TEXT,
            "vocab_size": len(made),
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config={**VISION, "model_type": "siglip_vision_model"},
        mm_tokens_per_image=4,
        **_ids(
            made,
            image_token_id="<image_soft_token>",  # noqa: S106
            boi_token_id="<start_of_image>",  # noqa: S106
            eoi_token_id="<end_of_image>",  # noqa: S106
            eos_token_id=TURN_END,
        ),
    )
    images = untyped("transformers.models.gemma3.image_processing_pil_gemma3")

    def parts() -> tuple[Any, ...]:
        pil = images.Gemma3ImageProcessorPil(size=SIDE)
        return (transformers.Gemma3Processor(pil, made, image_seq_length=4),)

    network = _network("Gemma3", config)
    network.model.multi_modal_projector.mm_input_projection_weight.data.normal_(0, 0.3)  # was 0
    return _saved("gemma3", network, parts)


@cache
def gemma4_folder() -> Path:
    """Gemma 4: bounded logits, layers that share keys and values, inputs of their own to each layer."""
    transformers = untyped("transformers")
    named = {
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "image_token": "<|image|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
        "audio_token": "<|audio|>",
    }
    made = tokenizer([*named.values(), "<|video|>"], "<|image|>", **named)
    ids = {key: made.convert_tokens_to_ids(token) for key, token in named.items()}
    config = transformers.Gemma4Config(
        text_config={
            **TEXT,
            "vocab_size": len(made),
            "vocab_size_per_layer_input": len(made),
            "hidden_size_per_layer_input": 8,
            "global_head_dim": 8,
            "num_hidden_layers": 4,
            "num_kv_shared_layers": 2,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "final_logit_softcapping": 5.0,
            "eos_token_id": made.convert_tokens_to_ids(TURN_END),
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "patch_size": 8,
            "pooling_kernel_size": 2,
            "position_embedding_size": 64,
            "initializer_range": 0.2,
        },
        audio_config=None,
        boi_token_id=ids["boi_token"],
        eoi_token_id=ids["eoi_token"],
        image_token_id=ids["image_token"],
        audio_token_id=ids["audio_token"],
        boa_token_id=ids["boa_token"],
        eoa_token_index=ids["eoa_token"],
        video_token_id=made.convert_tokens_to_ids("<|video|>"),
    )
    images = untyped("transformers.models.gemma4.image_processing_pil_gemma4")

    def parts() -> tuple[Any, ...]:
        pil = images.Gemma4ImageProcessorPil(
            patch_size=8, pooling_kernel_size=2, max_soft_tokens=SOFT
        )
        return (made, pil)

    return _saved("gemma4", _network("Gemma4", config), parts)


@cache
def idefics3_folder() -> Path:
    """Idefics 3: images cut into tiles, each with marks that say where it was."""
    transformers = untyped("transformers")
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    marks = ["<image>", "<fake_token_around_image>", "<global-img>", *tiles]
    made = tokenizer(marks, "<image>")
    config = transformers.Idefics3Config(
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(made)},
        vision_config=VISION,
        scale_factor=2,
        **_ids(made, image_token_id="<image>"),  # noqa: S106 - a token of text
        pad_token_id=made.pad_token_id,
    )
    images = untyped("transformers.models.idefics3.image_processing_pil_idefics3")

    def parts() -> tuple[Any, ...]:
        pil = images.Idefics3ImageProcessorPil(
            size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
        )
        return (transformers.Idefics3Processor(pil, made, image_seq_len=4),)

    return _saved("idefics3", _network("Idefics3", config), parts)


@cache
def llava_folder() -> Path:
    """LLaVA: a CLIP tower before a Llama."""
    transformers = untyped("transformers")
    made = tokenizer(["<image>"], "<image>")
    config = transformers.LlavaConfig(
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(made)},
        vision_config={"model_type": "clip_vision_model", **VISION, "projection_dim": 16},
        vision_feature_layer=-1,
        **_ids(made, image_token_id="<image>"),  # noqa: S106 - a token of text
    )

    def parts() -> tuple[Any, ...]:
        pil = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SIDE)
        processor = transformers.LlavaProcessor(
            pil,
            made,
            patch_size=8,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
        )
        return (processor,)

    return _saved("llava", _network("Llava", config), parts)


@cache
def internvl_folder() -> Path:
    """InternVL: its processor reads videos too, for which transformers wants torchvision."""
    transformers = untyped("transformers")
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    made = tokenizer(list(named.values()), "<IMG_CONTEXT>", **named)
    config = transformers.InternVLConfig(
        text_config={"model_type": "qwen2", **TEXT, "vocab_size": len(made)},
        vision_config={**VISION, "image_size": [32, 32], "patch_size": [8, 8]},
        image_seq_length=4,
        **_ids(made, image_token_id="<IMG_CONTEXT>"),  # noqa: S106
    )
    images = untyped("transformers.models.got_ocr2.image_processing_pil_got_ocr2")

    def parts() -> tuple[Any, ...]:
        pil = images.GotOcr2ImageProcessorPil(size=SIDE, crop_to_patches=True, max_patches=4)
        return (made, pil)

    folder = _saved("internvl", _network("InternVL", config), parts)
    (folder / "processor_config.json").write_text(
        '{"processor_class": "InternVLProcessor", "image_seq_length": 4}'
    )
    return folder


@cache
def paligemma_folder() -> Path:
    """PaliGemma, which is no causal model: not among those served."""
    transformers = untyped("transformers")
    made = tokenizer(["<image>"], "<image>", image_token="<image>")  # noqa: S106 - a token of text
    config = transformers.PaliGemmaConfig(
        text_config={"model_type": "gemma", **TEXT, "vocab_size": len(made)},
        vision_config={"model_type": "siglip_vision_model", **VISION, "projection_dim": 32},
        projection_dim=32,
        **_ids(made, image_token_id="<image>"),  # noqa: S106
    )

    def parts() -> tuple[Any, ...]:
        pil = transformers.SiglipImageProcessorPil(size=SIDE)
        pil.image_seq_length = 16
        return (made, pil)

    return _saved("paligemma", _network("PaliGemma", config), parts)


GENERAL = {
    "gemma3": gemma3_folder,
    "gemma4": gemma4_folder,
    "idefics3": idefics3_folder,
    "llava": llava_folder,
    "internvl": internvl_folder,
}
"""Every folder by its `model_type`."""
