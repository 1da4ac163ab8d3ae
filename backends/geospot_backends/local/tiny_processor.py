"""The processor of an exported tiny model, as transformers loads it with `trust_remote_code`.

A copy of this file lies in every exported folder, so it imports nothing of geospot. transformers' own
processor of Qwen3-VL would read videos too, and asks for torchvision even where there are none.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    ProcessorMixin = Any
else:
    from transformers import ProcessorMixin


class TinyVlmProcessor(ProcessorMixin):
    """Text and images become what Qwen3-VL reads."""

    return_mm_token_type_ids = True  # M-RoPE positions are counted from them

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        **_: Any,
    ) -> None:
        self.image_token = "<|image_pad|>"  # noqa: S105
        self.image_token_id: int = tokenizer.convert_tokens_to_ids(self.image_token)
        inherited: Any = super()
        inherited.__init__(image_processor, tokenizer, chat_template=chat_template)

    def replace_image_token(self, image_inputs: Mapping[str, Any], image_idx: int, **_: Any) -> str:
        """As many placeholders as the image has tokens: one for each square of merged patches."""
        patches = int(image_inputs["image_grid_thw"][image_idx].prod())
        return self.image_token * (patches // self.image_processor.merge_size**2)

    @property
    def model_input_names(self) -> list[str]:
        """What the model's forward pass takes from here."""
        inherited: Any = super()
        return [*inherited.model_input_names, "mm_token_type_ids"]
