"""The tiny models as Hugging Face folders, for transformers and the servers that stand on it."""

from pathlib import Path
from typing import Any, cast

from geospot_backends.local.models import ModelRegistry
from geospot_backends.local.qwen_family import QwenFamily
from geospot_backends.local.tiny_processor import TinyVlmProcessor


def export_tiny(name: str, folder: Path) -> list[Path]:
    """Writes one of the tiny models with its tokenizer and processor; returns the files.

    Weights are float32, as the engine computes, so that greedy answers are the same elsewhere.

    Args:
        name: `tiny_vlm.NAME` or `tiny_vlm.SCRATCH_NAME`.
        folder: exists already.
    """
    base = ModelRegistry("cpu").get(name)
    base.network.save_pretrained(str(folder))
    writer: Any = TinyVlmProcessor
    writer.register_for_auto_class()  # its code is written too, and named in processor_config.json
    family = cast(QwenFamily, base.family)  # the tiny models are Qwen3-VL
    processor = writer(
        family.image_processor, base.tokenizer, chat_template=base.tokenizer.chat_template
    )
    processor.save_pretrained(str(folder))
    return sorted(folder.iterdir())
