"""How an architecture reads: what the engine asks of it, and nothing else.

There are two. `qwen_family` knows the Qwen-VL architectures and shares what sequences have in common;
`general_family` serves whatever else transformers loads for images and text, one sequence at a time.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL.Image import Image

from geospot_backends.local.sequences import Pixels, Sequence


@dataclass(frozen=True, slots=True)
class Heads:
    """H sequences read: their last hidden states, and what is remembered for that which follows."""

    hidden_H_L_D: torch.Tensor
    cache: Any
    """None where nothing was to be remembered."""
    mask_H_L: torch.Tensor
    """1 for positions, 0 for padding."""
    first_H: list[int]
    """Where each sequence begins: behind the padding, if that is on the left."""
    next_position_H: list[int]


class Family(Protocol):
    """What one architecture does with images and sequences. `network` is a transformers model."""

    @property
    def shares(self) -> bool:
        """Whether it reads many sequences at once, and tails behind a head that they share."""
        ...

    def image(self, data: bytes, digest: bytes, picture: Image) -> Pixels:
        """The image, decoded to RGB from `data`, as the model reads it.

        Raises:
            EngineUserError: one that the model refuses.
        """
        ...

    def read(self, network: Any, sequences: Many[Sequence], *, remember: bool) -> Heads:
        """Reads H sequences with their images; only one where nothing is shared.

        Args:
            remember: whether `go_on` will follow.
        """
        ...

    def go_on(
        self,
        network: Any,
        cache: Any,
        tokens_N_L: torch.Tensor,
        positions_3_N_L: torch.Tensor,
        mask_N_K: torch.Tensor,
    ) -> torch.Tensor:
        """Hidden states (N, L, D) of text behind what the cache remembers, which grows by it.

        Args:
            mask_N_K: 1 for positions, 0 for padding, of what is remembered and of the text.
        """
        ...

    def logits(self, network: Any, hidden_T_D: torch.Tensor) -> torch.Tensor:
        """Logits (T, V) of the next token, float32."""
        ...
