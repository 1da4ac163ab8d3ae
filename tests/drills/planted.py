"""Secrets that are planted, in every spelling in which they might come out again, and the search for them.

Keys in environment variables, a password in an address, and the place where photos were taken: as EXIF
(rational numbers), XMP (text), comments, and behind the end of the file.
"""

import base64
import binascii
import io
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from PIL import Image, PngImagePlugin

from tests.support.photos import gps_exif, make_photo

KEYS: Final = {
    "OPENAI_API_KEY": "sk-planted-openai-5c1f",
    "OPENROUTER_API_KEY": "sk-or-planted-router-77aa",
    "TINKER_API_KEY": "tml-planted-tinker-90be",
    "HF_TOKEN": "hf_plantedhubtoken31d",
    "HUGGING_FACE_HUB_TOKEN": "hf_plantedoldtoken88c",
    "WANDB_API_KEY": "planted0wandb0key0f00",
    "MY_OWN_KEY": "planted-own-key-4e2d",
}
PASSWORD: Final = "planted-password-66f0"  # noqa: S105
AT: Final = (-47.123457, 169.876543)
"""Degrees; nothing else of the drill lies near."""
PLACE: Final = "the place in a photo"

_GPS_IFD: Final = 0x8825
_NOTE: Final = f"planted-note {AT[0]:.6f}, {AT[1]:.6f}"
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/\-_]{64,}")
_AROUND: Final = 50

Forms = Mapping[str, tuple[bytes, ...]]


def _minutes(degrees: float) -> tuple[int, float]:
    return int(abs(degrees)), (abs(degrees) % 1) * 60


def _xmp() -> bytes:
    """A packet as cameras and phones write it."""
    (south, south_min), (east, east_min) = map(_minutes, AT)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" '
        f'exif:GPSLatitude="{south},{south_min:.6f}S" exif:GPSLongitude="{east},{east_min:.6f}E">'
        f"<exif:UserComment>{_NOTE}</exif:UserComment>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def planted_photos() -> dict[str, bytes]:
    """Photos by file name that tell their place, each format in its own ways."""
    segments = _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _xmp())
    segments += _segment(0xFE, _NOTE.encode()) + _segment(0xED, b"Photoshop 3.0\0" + _NOTE.encode())
    plain = make_photo("planted JPEG", gps=AT)
    jpeg = plain[:2] + segments + plain[2:] + _NOTE.encode()
    on_its_side = make_photo("planted, on its side", gps=AT)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", _xmp().decode())
    text.add_text("Comment", _NOTE)
    return {
        "0.jpg": jpeg,
        "1.png": _saved("planted PNG", "PNG", pnginfo=text),
        "2.webp": _saved("planted WebP", "WEBP", xmp=_xmp()),
        "3.jpg": _turned(on_its_side),
    }


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _saved(seed: str, kind: str, **more: Any) -> bytes:
    out = io.BytesIO()
    with Image.open(io.BytesIO(make_photo(seed))) as image:
        image.save(out, kind, exif=gps_exif(*AT), **more)
    return out.getvalue()


def _turned(data: bytes) -> bytes:
    """The photo with an EXIF orientation, so that it has to be encoded again."""
    exif, out = gps_exif(*AT), io.BytesIO()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(data)) as image:
        image.save(out, "JPEG", exif=exif, comment=_NOTE.encode())
    return out.getvalue()


@cache
def forms() -> Forms:
    """Each secret in all spellings in which it might be written."""
    found: dict[str, tuple[bytes, ...]] = {}
    for name, key in {**KEYS, "the password in --base-url": PASSWORD}.items():
        raw = key.encode()
        pair = base64.b64encode(f"planter:{key}".encode())
        alone = base64.b64encode(raw).rstrip(b"=")
        found[name] = (raw, quote(key, safe="").encode(), alone, pair)
    found[PLACE] = tuple(_spellings_of_the_place())
    return found


def _spellings_of_the_place() -> Iterator[bytes]:
    for degrees in AT:
        yield from (f"{abs(degrees):.{digits}f}".encode() for digits in (4, 5, 6))
        yield from (
            struct.pack(order + "d", sign * abs(degrees)) for order in "<>" for sign in (1, -1)
        )
        whole, minutes = _minutes(degrees)
        seconds = minutes % 1 * 60
        yield f"{whole},{minutes:.4f}".encode()
        yield f"{whole}\u00b0{int(minutes)}'{seconds:.2f}".encode()
        yield f"{whole}\u00b0 {int(minutes)}' {seconds:.2f}".encode()
    for order in "<>":
        yield from _rationals(order)
    yield b"planted-note"


def _rationals(order: str) -> list[bytes]:
    """Degrees, minutes and seconds as EXIF holds them."""
    kept = Image.Exif()
    kept.load(gps_exif(*AT).tobytes())
    numbers = [kept.get_ifd(_GPS_IFD)[tag] for tag in (2, 4)]
    return [
        b"".join(struct.pack(order + "2L", part.numerator, part.denominator) for part in three)
        for three in numbers
    ]


def leaks(where: str, content: bytes) -> list[str]:
    """A sentence for each secret that is in there, as it is or within base64."""
    lost: list[str] = []
    for secret, spellings in forms().items():
        for view in _views(content):
            form = next((form for form in spellings if form in view), None)
            if form is not None:
                lost.append(f"{secret} is in {where}: {_around(view, form)!r}")
                break
    return lost


def _views(content: bytes) -> Iterator[bytes]:
    """The content itself, and whatever in it reads as base64."""
    yield content
    for match in _BASE64.finditer(content):
        text = match[0].replace(b"-", b"+").replace(b"_", b"/")
        with suppress(binascii.Error):
            yield base64.b64decode(text[: len(text) // 4 * 4])


def _around(content: bytes, form: bytes) -> bytes:
    at = content.index(form)
    return content[max(0, at - _AROUND) : at + len(form) + _AROUND]


def without_headers_of(said: bytes, names: tuple[str, ...]) -> tuple[bytes, set[str]]:
    """What a client sent but for the headers in which its own server's keys belong, and which those were."""
    sent: set[str] = set()
    for name in names:
        line = rb"(?im)^(authorization: *bearer +|x-api-key: *)" + re.escape(KEYS[name].encode())
        said, count = re.subn(line + rb"\r?$", b"", said)
        if count:
            sent.add(name)
    return said, sent


def unspelled() -> list[bytes]:
    """Numbers of the place that no photo holds, so that looking for them would prove nothing."""
    photos = b"\n".join(planted_photos().values())
    needed = [f"{abs(AT[0]):.6f}".encode(), b"planted-note", *_rationals(">")]
    return [form for form in needed if form not in photos]
