"""Model inputs that were read: token ids, positions and images, ready for a forward pass."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch


@dataclass(frozen=True, slots=True)
class Pixels:
    """One image as a model reads it, taking N positions.

    Attributes:
        digest: of the encoded bytes.
        data: the encoded bytes.
        tokens_N: ids at its positions: placeholders, and marks around them if the model has any.
        offsets_3_N: M-RoPE positions counted from the image's first.
        advance: by how much positions have grown behind it.
        tensors: what the vision tower takes, by the names of the forward pass.
        kinds: other arrays of shape (N,) that the forward pass takes, such as `token_type_ids`.
    """

    digest: bytes
    data: bytes
    tokens_N: npt.NDArray[np.int64]
    offsets_3_N: npt.NDArray[np.int64]
    advance: int
    tensors: Mapping[str, torch.Tensor]
    kinds: Mapping[str, npt.NDArray[np.int64]]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return len(self.data) + sum(tensor.nbytes for tensor in self.tensors.values())


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image and the first of its positions in the sequence."""

    start: int
    pixels: Pixels

    @property
    def tokens(self) -> int:
        """How many positions it takes."""
        return len(self.pixels.tokens_N)


@dataclass(frozen=True, slots=True)
class Sequence:
    """L positions: token ids (images as placeholders), M-RoPE positions, and the images."""

    tokens_L: npt.NDArray[np.int64]
    positions_3_L: npt.NDArray[np.int64]
    images: tuple[PlacedImage, ...]
    next_position: int
    """M-RoPE position of the token that would follow."""

    @property
    def length(self) -> int:
        """Positions in the sequence."""
        return len(self.tokens_L)

    @property
    def text_start(self) -> int:
        """The first position behind the last image."""
        return self.images[-1].start + self.images[-1].tokens if self.images else 0

    def head(self, length: int) -> "Sequence":
        """The first `length` positions; no image may be cut."""
        next_position = (
            int(self.positions_3_L[0, length]) if length < self.length else self.next_position
        )
        return Sequence(
            self.tokens_L[:length], self.positions_3_L[:, :length], self.images, next_position
        )

    @property
    def key(self) -> tuple[bytes, ...]:
        """Equal keys mean equal sequences."""
        return (self.tokens_L.tobytes(), *(image.pixels.digest for image in self.images))
