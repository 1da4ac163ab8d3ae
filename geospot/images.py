"""What leaves the machine: the photo, without anything that says where it was taken.

EXIF, XMP, IPTC, comments and whatever is hidden behind the end of a file are cut out losslessly;
the picture's own bytes and its colour profile go out as they are. Only an image that must change is
encoded again: one that is too large, lies on its side (EXIF orientation), or is in a form that vision
servers don't take.
"""

import io
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from geospot.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS: Final = 120_000_000
"""More is refused as absurd: 120 megapixels is beyond any camera that takes street photos."""

MAX_BYTES: Final = 64 * 1024 * 1024

_MOST_PARTS: Final = 100_000
"""Segments or chunks of one file; 64 MiB of PNG as it is usually written has 8,000."""

JPEG_QUALITY: Final = 95

_NARROW: Final = 50
"""A picture this many times as long as wide is very narrow; models refuse more than 200."""

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# What a decoder needs to show the picture; text, time, EXIF, animation and private chunks go.
_PNG_KEPT: Final = frozenset(
    [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT"]
)
_WEBP_KEPT: Final = frozenset([b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"])
_WEBP_METADATA_FLAGS: Final = 0x08 | 0x04  # EXIF and XMP bits of the VP8X header
_WEBP_ANIMATED: Final = 0x02

# As Pillow tells it: plain, or in the wrapping of DOS.
_POSTSCRIPT: Final = re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")

# In entropy-coded JPEG data a marker is 0xFF followed by neither 0x00 (stuffing), a restart marker
# nor another fill byte.
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What a decoder needs besides frames: Huffman and arithmetic tables, scans, quantisation, restarts.
_JPEG_CODING: Final = _JPEG_FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD}
_ORIENTATION_TAG: Final = 0x0112


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


class _Odd(Exception):  # noqa: N818 - not an error: the quick way doesn't apply
    """The lossless way isn't open for this file; decode and encode it again."""


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
        prepared = _strip(data)
    except _Odd:
        return _encode_again(data, max_side)
    _check_size(prepared.width, prepared.height)
    if max_side is not None and max(prepared.width, prepared.height) > max_side:
        return _encode_again(data, max_side)
    return prepared


def prepare_decoded(image: "Image", max_side: int | None = None) -> PreparedImage:
    """The same for an image that Pillow has opened or made: upright, RGB, a JPEG without metadata.

    Raises:
        ImageError: it can't be decoded, or is absurdly large.
    """
    from PIL import ImageOps

    _check_size(*image.size)
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


def _strip(data: bytes) -> PreparedImage:
    """Cuts metadata without touching the picture; _Odd where that can't be done."""
    if data.startswith(b"\xff\xd8"):
        return _strip_jpeg(data)
    if data.startswith(_PNG_SIGNATURE):
        return _strip_png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _strip_webp(data)
    raise _Odd


def _strip_jpeg(data: bytes) -> PreparedImage:
    """JPEG (ITU-T T.81): keeps JFIF, ICC profile, Adobe transform and the coded picture."""
    kept: list[bytes] = [b"\xff\xd8"]
    size: tuple[int, int] | None = None
    position = 2
    for _ in _parts():
        marker, position = _next_marker(data, position)
        if marker == 0xD9:
            break
        length = _u16(data, position)
        segment = data[position : position + length]
        if length < 2 or len(segment) < length:
            raise _Odd
        position += length
        if marker in _JPEG_FRAMES:
            if length < 8 or segment[7] not in (1, 3):  # CMYK and stranger things
                raise _Odd
            size = (_u16(segment, 5), _u16(segment, 3))
        if marker == 0xE1 and segment[2:6] == b"Exif" and _orientation(data) != 1:
            raise _Odd
        if not _jpeg_keeps(marker, segment):
            continue
        kept += [bytes([0xFF, marker]), segment]
        if marker == 0xDA:
            end = _JPEG_MARKER.search(data, position)
            if end is None:
                raise _Odd  # truncated: let the decoder say so
            kept.append(data[position : end.start()])
            position = end.start()
    if size is None or 0 in size:
        raise _Odd
    kept.append(b"\xff\xd9")
    return PreparedImage(b"".join(kept), "image/jpeg", *size)


def _parts() -> Iterator[None]:
    """Goes on for as long as a file may have parts.

    Raises:
        ImageError: it has absurdly many, each of which would cost memory and time.
    """
    for _ in range(_MOST_PARTS):
        yield
    raise ImageError(f"The image file has more than {_MOST_PARTS:,} parts.")


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    if data[position : position + 1] != b"\xff":
        raise _Odd
    while data[position : position + 1] == b"\xff":  # any number of fill bytes is allowed
        position += 1
    if position >= len(data):
        raise _Odd
    return data[position], position + 1


def _jpeg_keeps(marker: int, segment: bytes) -> bool:
    if marker == 0xE0:
        return segment[2:7] == b"JFIF\0"
    if marker == 0xE2:
        return segment[2:14] == b"ICC_PROFILE\0"
    if marker == 0xEE:
        return segment[2:7] == b"Adobe"
    return marker in _JPEG_CODING


def _strip_png(data: bytes) -> PreparedImage:
    """PNG (W3C): keeps the chunks that make the picture; every kept chunk's CRC is verified."""
    kept = [_PNG_SIGNATURE]
    position, size = 8, (0, 0)
    for _ in _parts():
        header = data[position : position + 8]
        if len(header) < 8:
            raise _Odd
        length, kind = struct.unpack(">I4s", header)
        chunk = data[position : position + 12 + length]
        if len(chunk) < 12 + length:
            raise _Odd
        position += 12 + length
        if kind == b"acTL" or (kind == b"eXIf" and _orientation(data) != 1):
            raise _Odd  # an animation, or a picture that lies on its side
        if kind not in _PNG_KEPT:
            continue
        if zlib.crc32(chunk[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
            raise _Odd
        if kind == b"IHDR":
            if length != 13 or chunk[16] > 8:  # 16 bits a channel: many servers clip it to white
                raise _Odd
            size = struct.unpack(">II", chunk[8:16])
        kept.append(chunk)
        if kind == b"IEND":
            break
    if 0 in size:
        raise _Odd
    return PreparedImage(b"".join(kept), "image/png", *size)


def _strip_webp(data: bytes) -> PreparedImage:
    """WebP (RFC 9649): drops the EXIF and XMP chunks and the flags that announce them."""
    kept: list[bytes] = []
    position = 12
    for _ in _parts():
        if position + 8 > len(data):
            break
        kind, length = struct.unpack("<4sI", data[position : position + 8])
        end = position + 8 + length + (length & 1)
        chunk = data[position:end]
        if len(chunk) < 8 + length:
            raise _Odd
        if kind == b"EXIF" and _orientation(data) != 1:
            raise _Odd
        if kind == b"VP8X":
            if length < 10 or chunk[8] & _WEBP_ANIMATED:
                raise _Odd
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_METADATA_FLAGS]) + chunk[9:]
        if kind in _WEBP_KEPT:
            kept.append(chunk)
        position = end
    body = b"WEBP" + b"".join(kept)
    stripped = b"RIFF" + struct.pack("<I", len(body)) + body
    with open_image(stripped) as image:
        return PreparedImage(stripped, "image/webp", *image.size)


def _encode_again(data: bytes, max_side: int | None) -> PreparedImage:
    """Decodes the first frame, turns it upright, shrinks it if it must, and writes a JPEG."""
    from PIL import ImageOps

    changes: list[str] = []
    with open_image(data) as image:
        _check_size(*image.size)
        try:
            upright = ImageOps.exif_transpose(image)
            picture = _to_rgb(upright)
        except PILLOW_ERRORS as error:
            raise ImageError(f"The image can't be decoded: {pillow_reason(error)}.") from error
        if _orientation(data) != 1:
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


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"The image has no pixels ({width} × {height}).")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"The image is absurdly large ({width} × {height} pixels, at most {MAX_PIXELS:,})."
        )


def _orientation(data: bytes) -> int:
    """EXIF orientation, 1 (upright) to 8; 1 where there is none or it can't be read."""
    with open_image(data) as image:
        try:
            value = image.getexif().get(_ORIENTATION_TAG, 1)
        except PILLOW_ERRORS:
            return 1  # broken EXIF says nothing, and goes no further
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


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


@cache
def _quiet_pillow() -> None:
    """Pillow warns of large images and broken EXIF; here `_check_size` decides, and EXIF goes anyway.

    Once: warning filters belong to no thread.
    """
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


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


def pillow_reason(error: BaseException) -> str:
    """What Pillow says of a broken image, without the address of the buffer that it was read from."""
    text = str(error) or type(error).__name__
    return re.sub(r" ?<_io\.BytesIO object at 0x[0-9a-f]+>", "", text).rstrip(". ")


def _u16(data: bytes, position: int) -> int:
    pair = data[position : position + 2]
    if len(pair) < 2:
        raise _Odd
    return (pair[0] << 8) | pair[1]
