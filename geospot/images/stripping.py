"""Cutting metadata out of JPEG, PNG and WebP files without touching the picture."""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from geospot.errors import ImageError
from geospot.images.opening import open_image, orientation

_MOST_PARTS: Final = 100_000
"""Segments or chunks of one file; 64 MiB of PNG as it is usually written has 8,000."""

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# What a decoder needs to show the picture; text, time, EXIF, animation and private chunks go.
_PNG_KEPT: Final = frozenset(
    [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT"]
)
_WEBP_KEPT: Final = frozenset([b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"])
_WEBP_METADATA_FLAGS: Final = 0x08 | 0x04  # EXIF and XMP bits of the VP8X header
_WEBP_ANIMATED: Final = 0x02

# In entropy-coded JPEG data a marker is 0xFF followed by neither 0x00 (stuffing), a restart marker
# nor another fill byte.
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What a decoder needs besides frames: Huffman and arithmetic tables, scans, quantisation, restarts.
_JPEG_CODING: Final = _JPEG_FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD}


class Stripped(NamedTuple):
    """A file without metadata, its media type and size in pixels."""

    data: bytes
    mime: str
    width: int
    height: int


class OddFileError(Exception):
    """The lossless way isn't open for this file; decode and encode it again."""


def strip(data: bytes) -> Stripped:
    """The file without metadata.

    Raises:
        OddFileError: that can't be done without decoding it: another format, or a picture that has to
            change or is damaged.
        ImageError: the file has absurdly many parts.
    """
    if data.startswith(b"\xff\xd8"):
        return _strip_jpeg(data)
    if data.startswith(_PNG_SIGNATURE):
        return _strip_png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _strip_webp(data)
    raise OddFileError


def _strip_jpeg(data: bytes) -> Stripped:
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
            raise OddFileError
        position += length
        if marker in _JPEG_FRAMES:
            if length < 8 or segment[7] not in (1, 3):  # CMYK and stranger things
                raise OddFileError
            size = (_u16(segment, 5), _u16(segment, 3))
        if marker == 0xE1 and segment[2:6] == b"Exif" and orientation(data) != 1:
            raise OddFileError
        if not _jpeg_keeps(marker, segment):
            continue
        kept += [bytes([0xFF, marker]), segment]
        if marker == 0xDA:
            end = _JPEG_MARKER.search(data, position)
            if end is None:
                raise OddFileError  # truncated: let the decoder say so
            kept.append(data[position : end.start()])
            position = end.start()
    if size is None or 0 in size:
        raise OddFileError
    kept.append(b"\xff\xd9")
    return Stripped(b"".join(kept), "image/jpeg", *size)


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
        raise OddFileError
    while data[position : position + 1] == b"\xff":  # any number of fill bytes is allowed
        position += 1
    if position >= len(data):
        raise OddFileError
    return data[position], position + 1


def _jpeg_keeps(marker: int, segment: bytes) -> bool:
    if marker == 0xE0:
        return segment[2:7] == b"JFIF\0"
    if marker == 0xE2:
        return segment[2:14] == b"ICC_PROFILE\0"
    if marker == 0xEE:
        return segment[2:7] == b"Adobe"
    return marker in _JPEG_CODING


def _u16(data: bytes, position: int) -> int:
    pair = data[position : position + 2]
    if len(pair) < 2:
        raise OddFileError
    return (pair[0] << 8) | pair[1]


def _strip_png(data: bytes) -> Stripped:
    """PNG (W3C): keeps the chunks that make the picture; every kept chunk's CRC is verified."""
    kept = [_PNG_SIGNATURE]
    position, size = 8, (0, 0)
    for _ in _parts():
        header = data[position : position + 8]
        if len(header) < 8:
            raise OddFileError
        length, kind = struct.unpack(">I4s", header)
        chunk = data[position : position + 12 + length]
        if len(chunk) < 12 + length:
            raise OddFileError
        position += 12 + length
        if kind == b"acTL" or (kind == b"eXIf" and orientation(data) != 1):
            raise OddFileError  # an animation, or a picture that lies on its side
        if kind not in _PNG_KEPT:
            continue
        if zlib.crc32(chunk[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
            raise OddFileError
        if kind == b"IHDR":
            if length != 13 or chunk[16] > 8:  # 16 bits a channel: many servers clip it to white
                raise OddFileError
            size = struct.unpack(">II", chunk[8:16])
        kept.append(chunk)
        if kind == b"IEND":
            break
    if 0 in size:
        raise OddFileError
    return Stripped(b"".join(kept), "image/png", *size)


def _strip_webp(data: bytes) -> Stripped:
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
            raise OddFileError
        if kind == b"EXIF" and orientation(data) != 1:
            raise OddFileError
        if kind == b"VP8X":
            if length < 10 or chunk[8] & _WEBP_ANIMATED:
                raise OddFileError
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_METADATA_FLAGS]) + chunk[9:]
        if kind in _WEBP_KEPT:
            kept.append(chunk)
        position = end
    body = b"WEBP" + b"".join(kept)
    stripped = b"RIFF" + struct.pack("<I", len(body)) + body
    with open_image(stripped) as image:
        return Stripped(stripped, "image/webp", *image.size)
