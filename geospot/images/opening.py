"""Opening an image that may be hostile: what is refused, and what Pillow's errors mean."""

import io
import re
import struct
import warnings
import zlib
from functools import cache
from typing import TYPE_CHECKING, Final

from geospot.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS: Final = 120_000_000
"""More is refused as absurd: 120 megapixels is beyond any camera that takes street photos."""

MAX_BYTES: Final = 64 * 1024 * 1024

# As Pillow tells it: plain, or in the wrapping of DOS.
_POSTSCRIPT: Final = re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")
_ORIENTATION_TAG: Final = 0x0112

# What Pillow's decoders raise on hostile bytes; each of them means the same: a broken image.
PILLOW_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    MemoryError,
    struct.error,
    zlib.error,
)


def open_image(data: bytes) -> "Image":
    """The image, its header read. PostScript is none: Pillow would have Ghostscript run it.

    Raises:
        ImageError: not an image, or absurdly large.
    """
    from PIL import Image

    _quiet_pillow()
    if _POSTSCRIPT.match(data):
        raise ImageError("This is PostScript, a program that would have to be run; it is refused.")
    try:
        return Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise ImageError(f"The image is absurdly large: {pillow_reason(error)}.") from error
    except PILLOW_ERRORS as error:
        raise ImageError(f"This is no image that can be read: {pillow_reason(error)}.") from error


def orientation(data: bytes) -> int:
    """EXIF orientation, 1 (upright) to 8; 1 where there is none or it can't be read."""
    with open_image(data) as image:
        try:
            value = image.getexif().get(_ORIENTATION_TAG, 1)
        except PILLOW_ERRORS:
            return 1  # broken EXIF says nothing, and goes no further
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def check_size(width: int, height: int) -> None:
    """Raises ImageError for no pixels at all, or absurdly many."""
    if width < 1 or height < 1:
        raise ImageError(f"The image has no pixels ({width} × {height}).")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"The image is absurdly large ({width} × {height} pixels, at most {MAX_PIXELS:,})."
        )


def pillow_reason(error: BaseException) -> str:
    """What Pillow says of a broken image, without the address of the buffer that it was read from."""
    text = str(error) or type(error).__name__
    return re.sub(r" ?<_io\.BytesIO object at 0x[0-9a-f]+>", "", text).rstrip(". ")


@cache
def _quiet_pillow() -> None:
    """Pillow warns of large images and broken EXIF; here `check_size` decides, and EXIF goes anyway.

    Once: warning filters belong to no thread.
    """
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
