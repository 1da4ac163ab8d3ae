"""The tiny models as Hugging Face folders, for transformers and the servers that stand on it."""

import shutil
from pathlib import Path
from typing import Any, Final, cast

from geospot_backends.local.models import ModelRegistry
from geospot_backends.local.qwen_family import QwenFamily
from geospot_backends.local.tensors import writing_tensors
from geospot_backends.local.tiny_processor import TinyVlmProcessor

_IMAGES: Final = "preprocessor_config.json"


def export_tiny(name: str, folder: Path, weights: Path | None = None) -> None:
    """Writes one of the tiny models with its tokenizer and processor.

    Weights are float32, as the engine computes, so that greedy answers are the same elsewhere.

    Args:
        name: `tiny_vlm.NAME` or `tiny_vlm.SCRATCH_NAME`.
        folder: exists already.
        weights: a folder with all weights as they were trained; None takes the model's own.
    """
    registry = ModelRegistry("cpu")
    base = registry.get(name)
    network = base.network if weights is None else registry.network_from(base, weights)
    with writing_tensors():
        network.save_pretrained(str(folder))
    writer: Any = TinyVlmProcessor
    writer.register_for_auto_class()  # its code is written too, and named in processor_config.json
    family = cast(QwenFamily, base.family)  # the tiny models are Qwen3-VL
    processor = writer(
        family.image_processor, base.tokenizer, chat_template=base.tokenizer.chat_template
    )
    processor.save_pretrained(str(folder))
    # transformers wants it in processor_config.json, everybody else in a file of its own.
    shutil.copyfile(base.folder / _IMAGES, folder / _IMAGES)
