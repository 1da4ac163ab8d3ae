"""Chunks become what a model reads: token ids, three-dimensional positions, pixels. All is checked here."""

import hashlib
import io
from collections import OrderedDict
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt

from geospot_backends.local.api import Chunks, EngineUserError, ImageChunk
from geospot_backends.local.models import BaseModel
from geospot_backends.local.sequences import Pixels, PlacedImage, Sequence

_CACHE_BYTES: Final = 256 * 1024 * 1024
_MAX_PIXELS: Final = 120_000_000


class InputReader:
    """Reads the chunks of one base model; images decoded lately are remembered."""

    def __init__(self, base: BaseModel) -> None:
        self._base = base
        self._cache: OrderedDict[bytes, Pixels] = OrderedDict()
        self._cached_bytes = 0
        self._unspeakable_V: npt.NDArray[np.bool_] = base.unspeakable_V.cpu().numpy()

    def read(self, chunks: Chunks, *, room: int = 0) -> Sequence:
        """The sequence of these chunks.

        Args:
            chunks: text and images; at least one token, and text at the end.
            room: positions that must be left in the context.

        Raises:
            EngineUserError: what can't be read, with its reason.
        """
        tokens: list[npt.NDArray[np.int64]] = []
        positions: list[npt.NDArray[np.int64]] = []
        images: list[PlacedImage] = []
        at = position = 0
        for chunk in chunks:
            if isinstance(chunk, ImageChunk):
                pixels = self._pixels(chunk)
                count = len(pixels.tokens_N)
                if chunk.expected_tokens is not None and chunk.expected_tokens != count:
                    raise EngineUserError(
                        f"An image has {count} tokens, but {chunk.expected_tokens} were expected."
                    )
                images.append(PlacedImage(at, pixels))
                tokens.append(pixels.tokens_N)
                positions.append(position + pixels.offsets_3_N)
                position += pixels.advance
            else:
                count = len(chunk.tokens)
                tokens.append(self._text(chunk.tokens))
                positions.append(np.tile(position + np.arange(count), (3, 1)))
                position += count
            at += count
        if not chunks or at == 0:
            raise EngineUserError("A model input has no tokens.")
        if isinstance(chunks[-1], ImageChunk):
            raise EngineUserError("A model input may not end in an image.")
        if at + room > self._base.context_length:
            more = f" leaves no room for {room} more" if room else " is too long"
            raise EngineUserError(
                f"A model input of {at} tokens{more}: the context has {self._base.context_length}."
            )
        return Sequence(
            np.concatenate(tokens), np.concatenate(positions, axis=1), tuple(images), position
        )

    def read_ahead(self, chunks: Chunks) -> None:
        """Remembers the images among the chunks; one that can't be read is left for `read` to refuse."""
        for chunk in chunks:
            if isinstance(chunk, ImageChunk):
                with suppress(EngineUserError):
                    self._pixels(chunk)

    def _text(self, tokens: tuple[int, ...]) -> npt.NDArray[np.int64]:
        if not tokens:
            raise EngineUserError("A text chunk is empty.")
        try:
            ids = np.array(tokens, dtype=np.int64)
        except (OverflowError, ValueError, TypeError) as error:
            raise EngineUserError("A text chunk holds something that is no token id.") from error
        check_tokens(ids, self._base)
        if self._unspeakable_V[ids].any():
            bad = int(ids[self._unspeakable_V[ids]][0])
            raise EngineUserError(
                f"Token {bad} stands for an image or is unused; send images as image chunks."
            )
        return ids

    def _pixels(self, chunk: ImageChunk) -> Pixels:
        digest = hashlib.sha256(chunk.data).digest()
        if (known := self._cache.get(digest)) is not None:
            self._cache.move_to_end(digest)
            return known
        pixels = _decode(chunk.data, digest, self._base)
        self._cache[digest] = pixels
        self._cached_bytes += pixels.nbytes
        while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
            _, old = self._cache.popitem(last=False)
            self._cached_bytes -= old.nbytes
        return pixels


def check_tokens(ids: npt.NDArray[np.int64], base: BaseModel) -> None:
    """Raises EngineUserError unless every id is in the vocabulary."""
    outside = (ids < 0) | (ids >= base.vocabulary)
    if outside.any():
        raise EngineUserError(
            f"Token {int(ids[outside][0])} is out of the vocabulary of {base.vocabulary}."
        )


def _decode(data: bytes, digest: bytes, base: BaseModel) -> Pixels:
    from PIL import Image

    from geospot.images import PILLOW_ERRORS

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            width, height = image.size
            if width * height > _MAX_PIXELS:
                raise EngineUserError(f"An image is too large ({width} × {height} pixels).")
            picture = image.convert("RGB")
    except (*PILLOW_ERRORS, Image.DecompressionBombError) as error:
        raise EngineUserError("An image can't be decoded as PNG or JPEG.") from error
    return base.family.image(data, digest, picture)
