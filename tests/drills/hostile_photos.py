"""Photos that no camera made: cut, bombed, empty, of odd depths and shapes."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image

from tests.support.photos import make_photo


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _noise(chance: random.Random, size: tuple[int, int] = (48, 32)) -> Image.Image:
    values = np.random.default_rng(chance.getrandbits(60)).integers(
        0, 256, (*size[::-1], 3), np.uint8
    )
    return Image.fromarray(values)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, pixels: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(pixels, 9)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _resized_jpeg(chance: random.Random, width: int, height: int) -> bytes:
    """A JPEG whose head lies about its size."""
    data = bytearray(make_photo(str(chance.random())))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _cut(chance: random.Random) -> bytes:
    data = make_photo(str(chance.random()), size=(120, 90))
    return data[: chance.randrange(2, len(data) * 3 // 4)]


def _flipped(chance: random.Random) -> bytes:
    data = bytearray(make_photo(str(chance.random())))
    for _ in range(chance.randrange(1, 30)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def _animated(chance: random.Random, kind: str) -> bytes:
    frames = [_noise(chance) for _ in range(4)]
    return _saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def _deep(chance: random.Random) -> bytes:
    values = np.random.default_rng(chance.getrandbits(60)).integers(0, 65536, (32, 48), np.uint16)
    return _saved(Image.fromarray(values), "PNG")


Maker = Callable[[random.Random], bytes]
READABLE: Final[dict[str, Maker]] = {
    "16 bits": _deep,
    "CMYK": lambda chance: _saved(_noise(chance).convert("CMYK"), "JPEG"),
    "animated GIF": lambda chance: _animated(chance, "GIF"),
    "animated WebP": lambda chance: _animated(chance, "WEBP"),
    "animated PNG": lambda chance: _animated(chance, "PNG"),
    "palette with alpha": lambda chance: _saved(_noise(chance).convert("P"), "PNG", transparency=0),
}
"""Odd, but photos: each has to be asked about."""
BROKEN: Final[dict[str, Maker]] = {
    "truncated": _cut,
    "bombed PNG": lambda _: _png(60_000, 60_000, bytes(2_000_000)),
    "bombed JPEG": lambda chance: _resized_jpeg(chance, 65_000, 65_000),
    "0x0 PNG": lambda _: _png(0, 0, b""),
    "0x0 JPEG": lambda chance: _resized_jpeg(chance, 0, 0),
    "0x0 GIF": lambda _: b"GIF89a\x00\x00\x00\x00\x00\x00\x00;",
    "empty": lambda _: b"",
    "HTML": lambda _: b"<!doctype html><title>404</title>",
    "random bytes": lambda chance: chance.randbytes(2000),
    "head of a JPEG": lambda _: b"\xff\xd8\xff\xe0\x00\x10JFIF",
}
"""No photos: each has to be an `image_error`."""
EITHER: Final[dict[str, Maker]] = {
    "1x20000": lambda chance: _saved(_noise(chance, (1, 20_000)), "PNG"),
    "20000x1": lambda chance: _saved(_noise(chance, (20_000, 1)), "JPEG"),
    "changed bytes": _flipped,
}
"""Whether they can be asked about is the reader's to say."""
