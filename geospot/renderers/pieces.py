"""A rendered conversation: runs of tokens and photos, and the `tinker.ModelInput` made of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from geospot.errors import RenderError

if TYPE_CHECKING:
    import tinker


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo in a prompt: its file's bytes, and how many tokens it will take."""

    data: bytes
    format: Literal["jpeg", "png"]
    expected_tokens: int


Piece = list[int] | Picture
"""Tokens of text, or a photo."""


def length_of(piece: Piece) -> int:
    """How many positions of the context a piece takes."""
    return piece.expected_tokens if isinstance(piece, Picture) else len(piece)


def to_model_input(pieces: Iterable[Piece]) -> "tinker.ModelInput":
    """The pieces as the service takes them: neighbouring runs of text are one chunk, none is empty.

    Raises:
        RenderError: nothing to send, or a photo at the end, which the service refuses.
    """
    from tinker import types

    chunks: list[types.ModelInputChunk] = []
    run: list[int] = []
    for piece in pieces:
        if not isinstance(piece, Picture):
            run += piece
            continue
        if run:
            chunks.append(types.EncodedTextChunk(tokens=run))
            run = []
        chunks.append(
            types.ImageChunk(
                data=piece.data, format=piece.format, expected_tokens=piece.expected_tokens
            )
        )
    if not run:
        raise RenderError(
            "A model input must end in text." if chunks else "The model input is empty.",
            "Put text behind the last image." if chunks else "Give the conversation some content.",
        )
    chunks.append(types.EncodedTextChunk(tokens=run))
    return types.ModelInput(chunks=chunks)
