"""A photo as it may leave the machine: stripped where that is enough, else encoded again."""

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from geospot.errors import ImageError
from geospot.images.opening import (
    MAX_BYTES,
    PILLOW_ERRORS,
    check_size,
    open_image,
    orientation,
    pillow_reason,
)
from geospot.images.stripping import OddFileError, strip

if TYPE_CHECKING:
    from PIL.Image import Image

JPEG_QUALITY: Final = 95

_NARROW: Final = 50
"""A picture this many times as long as wide is very narrow; models refuse more than 200."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """Bytes fit to be sent, their media type and size in pixels.

    `changes` says what was done beyond cutting metadata: `rotated`, `shrunk`, `converted`.
    `shrunk_from` is the upright width and height before that; None where nothing was shrunk.
    """

    data: bytes
    mime: str
    width: int
    height: int
    changes: tuple[str, ...] = ()
    shrunk_from: tuple[int, int] | None = None

    @property
    def original_size(self) -> tuple[int, int]:
        """Width and height in pixels that the photo had as it was given, upright."""
        return self.shrunk_from or (self.width, self.height)


def prepare_image(data: bytes, max_side: int | None = None) -> PreparedImage:
    """The image as it may leave the machine.

    Args:
        data: the file's bytes, of any format that Pillow reads.
        max_side: longest side in pixels; larger images are shrunk, smaller ones left alone.

    Raises:
        ImageError: not an image, truncated, or absurdly large.
    """
    if not data:
        raise ImageError("The image file is empty.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"The image file has {len(data):,} bytes, more than {MAX_BYTES:,}.")
    try:
        stripped = strip(data)
    except OddFileError:
        return _encode_again(data, max_side)
    check_size(stripped.width, stripped.height)
    if max_side is not None and max(stripped.width, stripped.height) > max_side:
        return _encode_again(data, max_side)
    return PreparedImage(*stripped)


def prepare_decoded(image: "Image", max_side: int | None = None) -> PreparedImage:
    """The same for an image that Pillow has opened or made: upright, RGB, a JPEG without metadata.

    Raises:
        ImageError: it can't be decoded, or is absurdly large.
    """
    from PIL import ImageOps

    check_size(*image.size)
    try:
        picture = _to_rgb(ImageOps.exif_transpose(image))
    except PILLOW_ERRORS as error:
        raise ImageError(f"The image can't be decoded: {pillow_reason(error)}.") from error
    return _encode(picture, max_side, ["converted"])


def as_rgb(prepared: PreparedImage) -> PreparedImage:
    """A JPEG or PNG of three colours, as the Tinker services take them.

    What is one already comes back as it is; WebP, grey, palettes and transparency become a JPEG.

    Raises:
        ImageError: it can't be decoded.
    """
    with open_image(prepared.data) as image:
        if (
            image.format in ("JPEG", "PNG")
            and image.mode == "RGB"
            and "transparency" not in image.info
        ):
            return prepared
        converted = prepare_decoded(image)
    return PreparedImage(
        converted.data,
        converted.mime,
        converted.width,
        converted.height,
        (*prepared.changes, "converted"),
        prepared.shrunk_from,
    )


def _encode_again(data: bytes, max_side: int | None) -> PreparedImage:
    """Decodes the first frame, turns it upright, shrinks it if it must, and writes a JPEG."""
    from PIL import ImageOps

    changes: list[str] = []
    with open_image(data) as image:
        check_size(*image.size)
        try:
            upright = ImageOps.exif_transpose(image)
            picture = _to_rgb(upright)
        except PILLOW_ERRORS as error:
            raise ImageError(f"The image can't be decoded: {pillow_reason(error)}.") from error
        if orientation(data) != 1:
            changes.append("rotated")
        if image.format not in ("JPEG", "PNG", "WEBP") or image.mode not in ("RGB", "L"):
            changes.append("converted")
    return _encode(picture, max_side, changes)


def _encode(picture: "Image", max_side: int | None, changes: list[str]) -> PreparedImage:
    """An RGB picture of our own as a JPEG without metadata, shrunk if it must be."""
    from PIL import Image

    picture.info.clear()  # Pillow would write a comment that it once read
    shrunk_from = None
    if max_side is not None and max(picture.size) > max_side:
        shrunk_from = picture.size
        picture = picture.resize(_shrunk_size(*picture.size, max_side), Image.Resampling.LANCZOS)
        changes.append("shrunk")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=JPEG_QUALITY)
    return PreparedImage(
        out.getvalue(),
        "image/jpeg",
        *picture.size,
        tuple(changes) or ("converted",),
        shrunk_from,
    )


def _shrunk_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Width and height with the longest side at `max_side`, each to the nearest pixel.

    The short side of a very narrow picture is rounded up: the picture may get wider in proportion,
    never narrower, so that a shape that a model takes doesn't become one that it refuses.
    """
    short, longest = min(width, height), max(width, height)
    exact = short * max_side / longest
    side = math.ceil(exact) if longest > _NARROW * short else max(1, round(exact))
    return (max_side, side) if width >= height else (side, max_side)


def _to_rgb(image: "Image") -> "Image":
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of grey; a plain convert() would clip it to white
        return image.point(lambda level: level / 256).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layered).convert("RGB")
    return image.convert("RGB")
