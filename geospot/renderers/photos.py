"""A photo as a prompt carries it: without metadata, RGB, JPEG or PNG, its tokens counted."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from geospot.errors import ImageError, refuse_if_exhausted
from geospot.images import PreparedImage, as_rgb, prepare_decoded, prepare_image
from geospot.renderers.messages import ImageSource
from geospot.renderers.pieces import Picture
from geospot.renderers.vision import VisionGrid


def to_picture(image: ImageSource, grid: VisionGrid, max_side: int | None) -> Picture:
    """The photo as a piece of a prompt.

    Args:
        image: a file's bytes or path, a prepared image, or a Pillow image.
        grid: what the model's image processor does with it.
        max_side: longest side in pixels; larger images are shrunk.

    Raises:
        ImageError: not an image, or one that the model would refuse.
    """
    photo = prepare_photo(image, max_side)
    grid.check_shape(*photo.original_size)
    tokens = grid.expected_tokens(photo.width, photo.height)
    return Picture(photo.data, format_of(photo), tokens)


def format_of(photo: PreparedImage) -> Literal["jpeg", "png"]:
    """How services call the kind of a prepared photo."""
    return "png" if photo.mime == "image/png" else "jpeg"


def prepare_photo(image: ImageSource, max_side: int | None) -> PreparedImage:
    """An RGB JPEG or PNG; one that nothing has to be changed in keeps the picture's bytes.

    Raises:
        ImageError: not an image that can be read.
    """
    if isinstance(image, PreparedImage):
        if max_side is None or max(image.width, image.height) <= max_side:
            return as_rgb(image)
        again = prepare_image(image.data, max_side)
        return as_rgb(replace(again, shrunk_from=image.original_size))
    if isinstance(image, bytes):
        return as_rgb(prepare_image(image, max_side))
    if isinstance(image, Path):
        return as_rgb(prepare_image(_read(image), max_side))
    from PIL.Image import Image

    if isinstance(image, Image):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are untyped
        return prepare_decoded(image, max_side)
    raise ImageError(
        f"An image can't be given as {type(image).__name__}.",
        "Give the file's bytes, its pathlib.Path, or a Pillow image; nothing is fetched here.",
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        refuse_if_exhausted(error)
        raise ImageError(f"The image {path} can't be read: {error.strerror}.") from error
