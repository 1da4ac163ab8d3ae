"""The Qwen-VL architectures: Qwen2-VL, Qwen2.5-VL, Qwen3-VL, and Qwen3.5 with its linear attention."""

import types
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL.Image import Image

from geospot_backends.local import quick_text
from geospot_backends.local.api import EngineUserError
from geospot_backends.local.caches import has_linear_attention, masks_padded_left, new_cache
from geospot_backends.local.families import Heads
from geospot_backends.local.products import product
from geospot_backends.local.quick_ops import quick_linear
from geospot_backends.local.sequences import Pixels, Sequence
from geospot_backends.local.tensors import tensor_of
from geospot_backends.local.untyped import untyped

ARCHITECTURES: Final = {
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "qwen3_vl_moe": "Qwen3VLMoeForConditionalGeneration",
    "qwen3_5": "Qwen3_5ForConditionalGeneration",
    "qwen3_5_moe": "Qwen3_5MoeForConditionalGeneration",
}
"""By `model_type` in config.json. Qwen3.6 and 3.8 call themselves qwen3_5 too."""

_MAX_ASPECT: Final = 200


@dataclass(frozen=True, slots=True)
class QwenFamily:
    """See `families.Family`."""

    image_token: int
    merge_size: int
    image_processor: Any
    shares: bool = True

    @staticmethod
    def of(config: Any, folder: Path, settings: dict[str, Any]) -> "QwenFamily":
        """The family of a model with this configuration; `settings` are from_pretrained's."""
        images = untyped("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
        return QwenFamily(
            image_token=int(config.image_token_id),
            merge_size=int(config.vision_config.spatial_merge_size),
            image_processor=images.Qwen2VLImageProcessorPil.from_pretrained(
                str(folder), **settings
            ),
        )

    def image(self, data: bytes, digest: bytes, picture: Image) -> Pixels:
        """Patches, merged into tokens that are numbered down and across."""
        width, height = picture.size
        if max(width, height) > _MAX_ASPECT * min(width, height):
            raise EngineUserError(f"An image is too long and narrow ({width} × {height} pixels).")
        read: Any = self.image_processor.preprocess([picture], return_tensors="pt")
        grid: torch.Tensor = read["image_grid_thw"]
        rows, columns = (int(side) // self.merge_size for side in grid[0, 1:])
        down, across = np.divmod(np.arange(rows * columns), columns)
        return Pixels(
            digest,
            data,
            tokens_N=np.full(rows * columns, self.image_token, np.int64),
            offsets_3_N=np.stack([np.zeros_like(down), down, across]),
            advance=max(rows, columns),
            tensors={"pixel_values": read["pixel_values"], "image_grid_thw": grid},
            kinds={},
        )

    def read(self, network: Any, sequences: Many[Sequence], *, remember: bool) -> Heads:
        """One pass; padding is on the right, or on the left where it must not change a state."""
        longest = max(sequence.length for sequence in sequences)
        recurrent = has_linear_attention(network)
        first = [longest - sequence.length if recurrent else 0 for sequence in sequences]
        padding = int(self.image_token == 0)  # masked: any token but a placeholder will do
        tokens = np.full((len(sequences), longest), padding, np.int64)
        positions = np.zeros((3, len(sequences), longest), np.int64)
        mask = np.zeros((len(sequences), longest), np.int64)
        for row, (sequence, start) in enumerate(zip(sequences, first, strict=True)):
            place = slice(start, start + sequence.length)
            tokens[row, place] = sequence.tokens_L
            positions[:, row, place] = sequence.positions_3_L
            mask[row, place] = 1
        device = network.device
        images = [image.pixels.tensors for sequence in sequences for image in sequence.images]
        vision = {
            name: torch.cat([image[name] for image in images]).to(device)
            for name in (images[0] if images else ())
        }
        mask_H_L = tensor_of(mask, device)
        cache = new_cache(network) if remember else None
        tokens_H_L, positions_3_H_L = tensor_of(tokens, device), tensor_of(positions, device)
        if quick_text.is_quick(network):
            seen = _seen(network, vision, tokens_H_L == self.image_token) if images else None
            hidden_H_L_D = quick_text.go_on(
                network, cache, tokens_H_L, positions_3_H_L, mask_H_L, seen
            )
        else:
            hidden_H_L_D = network.model(
                input_ids=tokens_H_L,
                position_ids=positions_3_H_L,
                attention_mask=masks_padded_left(mask_H_L) if any(first) else mask_H_L,
                past_key_values=cache,
                use_cache=remember,
                **vision,
            ).last_hidden_state
        following = [sequence.next_position for sequence in sequences]
        return Heads(hidden_H_L_D, cache, mask_H_L, first, following)

    def go_on(
        self,
        network: Any,
        cache: Any,
        tokens_N_L: torch.Tensor,
        positions_3_N_L: torch.Tensor,
        mask_N_K: torch.Tensor,
    ) -> torch.Tensor:
        """The text model alone; padding is on the right."""
        if quick_text.is_quick(network):
            return quick_text.go_on(network, cache, tokens_N_L, positions_3_N_L, mask_N_K)
        out = network.model.language_model(
            input_ids=tokens_N_L,
            position_ids=positions_3_N_L,
            attention_mask=mask_N_K,
            past_key_values=cache,
            use_cache=True,
        )
        hidden_N_L_D: torch.Tensor = out.last_hidden_state
        return hidden_N_L_D

    def logits(self, network: Any, hidden_T_D: torch.Tensor) -> torch.Tensor:
        """The output layer is a matrix product."""
        if quick_text.is_quick(network) and not torch.is_grad_enabled():
            return product(hidden_T_D, network.lm_head.weight.t())
        logit_T_V: torch.Tensor = network.lm_head(hidden_T_D).float()
        return logit_T_V


def _seen(
    network: Any, vision: dict[str, torch.Tensor], is_image_H_L: torch.Tensor
) -> quick_text.Images:
    """What the vision tower says of the pixels, and where it belongs."""
    out = network.model.visual(vision["pixel_values"], grid_thw=vision["image_grid_thw"])
    where_P = is_image_H_L.flatten().nonzero()[:, 0]
    return quick_text.Images(where_P, out.pooler_output, tuple(out.deepstack_features))


def quick_vision(network: Any) -> None:
    """Has the vision tower's matrix products computed by the faster library."""
    for module in network.model.visual.modules():
        if type(module) is torch.nn.Linear:
            module.forward = types.MethodType(quick_linear, module)


def patch_embedding_as_linear(network: Any) -> None:
    """Computes the patch embedding as a matrix product.

    Kernel and stride of the convolution are equal, so it is one; on a CPU Conv3d is many times slower.
    """

    def forward(self: Any, patches_P_D: torch.Tensor) -> torch.Tensor:
        convolution: Any = self.proj
        weight: torch.Tensor = convolution.weight
        return torch.nn.functional.linear(
            patches_P_D.to(weight.dtype), weight.flatten(1), convolution.bias
        )

    patch_embed = network.model.visual.patch_embed
    patch_embed.forward = types.MethodType(forward, patch_embed)
