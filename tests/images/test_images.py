"""What may leave the machine: nothing that says where the photo was taken, and nothing else changed."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from geospot.errors import ImageError
from geospot.images import prepare_image

GPS_TEXT = b"PLANTED-48.8584N-2.2945E"


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    gradient = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (gradient, gradient.rotate(180), gradient)).convert(mode)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def exif(orientation: int | None = None) -> bytes:
    tags = Image.Exif()
    tags[0x010E] = GPS_TEXT.decode()  # ImageDescription
    gps = tags.get_ifd(0x8825)
    gps[1], gps[2] = "N", (48.0, 51.0, 30.24)
    if orientation is not None:
        tags[0x0112] = orientation
    return tags.tobytes()


def with_segment(jpeg: bytes, marker: int, payload: bytes) -> bytes:
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload
    return jpeg[:2] + segment + jpeg[2:]


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_clean_jpeg_goes_out_byte_for_byte(progressive: bool) -> None:
    data = encoded(picture(), "JPEG", progressive=progressive, icc_profile=b"profile" * 9)
    prepared = prepare_image(data)
    assert prepared.data == data
    assert (prepared.mime, prepared.width, prepared.height) == ("image/jpeg", 64, 48)
    assert prepared.changes == ()


@pytest.mark.parametrize(
    ("marker", "payload"),
    [
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + GPS_TEXT),
        (0xED, b"Photoshop 3.0\0" + GPS_TEXT),
        (0xFE, GPS_TEXT),
        (0xE2, b"MPF\0" + GPS_TEXT),
        (0xE0, b"JFXX\0" + GPS_TEXT),
        (0xE5, GPS_TEXT),
    ],
)
def test_every_kind_of_jpeg_metadata_is_cut_and_the_picture_kept(
    marker: int, payload: bytes
) -> None:
    clean = encoded(picture(), "JPEG")
    prepared = prepare_image(with_segment(clean, marker, payload) + b"trailer" + GPS_TEXT)
    assert prepared.data == clean


def test_exif_gps_is_cut_from_a_jpeg_without_encoding_it_again() -> None:
    tagged = encoded(picture(), "JPEG", exif=exif())
    assert GPS_TEXT in tagged
    prepared = prepare_image(tagged)
    assert GPS_TEXT not in prepared.data
    assert b"Exif" not in prepared.data
    assert pixels(prepared.data) == pixels(tagged)


def test_a_photo_that_lies_on_its_side_is_turned_and_says_so() -> None:
    prepared = prepare_image(encoded(picture(64, 48), "JPEG", exif=exif(orientation=6)))
    assert (prepared.width, prepared.height) == (48, 64)
    assert prepared.changes == ("rotated",)
    assert GPS_TEXT not in prepared.data


def test_png_text_and_exif_are_cut_and_the_pixels_kept() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", GPS_TEXT.decode())
    info.add_itxt("XML:com.adobe.xmp", GPS_TEXT.decode(), zip=True)
    tagged = encoded(picture(), "PNG", pnginfo=info, exif=exif())
    prepared = prepare_image(tagged + GPS_TEXT)
    assert prepared.mime == "image/png"
    assert GPS_TEXT not in prepared.data
    with Image.open(io.BytesIO(prepared.data)) as image:
        assert set(image.info) <= {"icc_profile", "gamma", "srgb"}
    assert pixels(prepared.data) == pixels(tagged)


@pytest.mark.parametrize("lossless", [False, True])
def test_webp_exif_and_xmp_are_cut_and_the_pixels_kept(lossless: bool) -> None:
    tagged = encoded(picture(), "WEBP", lossless=lossless, exif=exif(), xmp=GPS_TEXT)
    assert GPS_TEXT in tagged
    prepared = prepare_image(tagged)
    assert prepared.mime == "image/webp"
    assert GPS_TEXT not in prepared.data
    assert pixels(prepared.data) == pixels(tagged)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF"])
def test_other_formats_become_jpeg(form: str) -> None:
    prepared = prepare_image(encoded(picture(), form))
    assert prepared.mime == "image/jpeg"
    assert prepared.changes == ("converted",)


def test_cmyk_becomes_rgb() -> None:
    prepared = prepare_image(encoded(picture(mode="CMYK"), "JPEG"))
    with Image.open(io.BytesIO(prepared.data)) as image:
        assert image.mode == "RGB"
    assert prepared.changes == ("converted",)


def test_sixteen_bits_are_scaled_not_clipped_to_white() -> None:
    grey = Image.new("I;16", (32, 32), 0x4000)  # a quarter of full brightness
    prepared = prepare_image(encoded(grey, "PNG"))
    with Image.open(io.BytesIO(prepared.data)) as image:
        level = image.convert("L").getpixel((16, 16))
    assert isinstance(level, int | float)
    assert 60 <= level <= 68


def test_an_animation_is_its_first_frame() -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    for form in ("GIF", "WEBP", "PNG"):
        prepared = prepare_image(encoded(red, form, save_all=True, append_images=[blue]))
        with Image.open(io.BytesIO(prepared.data)) as image:
            colour = image.convert("RGB").getpixel((4, 4))
        assert isinstance(colour, tuple)
        assert colour[0] > 200, form


def test_only_an_image_that_is_too_large_shrinks_and_keeps_its_shape() -> None:
    data = encoded(picture(400, 100), "JPEG", exif=exif())
    assert prepare_image(data, max_side=400).changes == ()
    small = prepare_image(data, max_side=200)
    assert (small.width, small.height) == (200, 50)
    assert small.changes == ("shrunk",)
    assert GPS_TEXT not in small.data


def png_header_only(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    bomb = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")
    )


HOPELESS = {
    "empty": (b"", "empty"),
    "text": (b"no image at all", "no image that can be read"),
    "parts of a JPEG": (b"\xff\xd8" + b"\xff\xfe\0\2" * 100_001, "more than 100,000 parts"),
    "parts of a PNG": (
        b"\x89PNG\r\n\x1a\n" + (bytes(4) + b"tEXt" + bytes(4)) * 100_001,
        "more than 100,000 parts",
    ),
    "parts of a WebP": (
        b"RIFF\0\0\0\0WEBP" + b"junk\0\0\0\0" * 100_001,
        "more than 100,000 parts",
    ),
    "PostScript": (encoded(picture(), "EPS"), "PostScript"),
    "PostScript for DOS": (b"\xc5\xd0\xd3\xc6" + bytes(40), "PostScript"),
    "web page": (b"<html>404</html>", "no image that can be read"),
    "cut JPEG": (encoded(picture(640, 480), "JPEG")[:-200], "can't be decoded"),
    "stub of a JPEG": (encoded(picture(), "JPEG")[:100], "no image"),
    "cut PNG": (encoded(picture(), "PNG")[:-60], "[Tt]runcated"),
    "no pixels": (png_header_only(0, 0), "."),
    "bomb": (png_header_only(20_000, 20_000), "absurdly large"),
    "large bomb": (png_header_only(60_000, 60_000), "absurdly large"),
}


@pytest.mark.parametrize(("data", "reason"), HOPELESS.values(), ids=HOPELESS.keys())
def test_what_is_no_image_is_an_image_error_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        prepare_image(data)


def test_any_cut_or_flipped_byte_gives_an_image_or_an_image_error() -> None:
    originals = [
        encoded(picture(16, 16), "JPEG", exif=exif(orientation=3)),
        encoded(picture(16, 16), "PNG", exif=exif()),
        encoded(picture(16, 16), "WEBP", exif=exif()),
    ]
    for original in originals:
        for index in range(0, len(original), 3):
            flipped = original[:index] + bytes([original[index] ^ 0xFF]) + original[index + 1 :]
            for broken in (original[:index], flipped):
                try:
                    prepared = prepare_image(broken)
                except ImageError:
                    continue
                assert prepared.width > 0
                assert b"Exif" not in prepared.data


def test_a_comment_is_not_carried_over_when_an_image_is_encoded_again() -> None:
    """The comment is not carried over, whatever makes the image change."""
    tagged = [
        with_segment(encoded(picture(), "JPEG", exif=exif(orientation=6)), 0xFE, GPS_TEXT),
        with_segment(encoded(picture(mode="CMYK"), "JPEG"), 0xFE, GPS_TEXT),
        encoded(picture(), "GIF", comment=GPS_TEXT),
    ]
    for data in tagged:
        assert GPS_TEXT in data
        assert GPS_TEXT not in prepare_image(data).data
    large = with_segment(encoded(picture(200, 100), "JPEG"), 0xFE, GPS_TEXT)
    assert GPS_TEXT not in prepare_image(large, max_side=64).data


@pytest.mark.parametrize(
    ("size", "shrunk"),
    [
        ((2000, 11), (256, 2)),
        ((11, 2000), (2, 256)),
        ((3000, 2), (256, 1)),
        ((1000, 333), (256, 85)),
    ],
)
def test_a_narrow_image_never_gets_narrower_by_shrinking(
    size: tuple[int, int], shrunk: tuple[int, int]
) -> None:
    small = prepare_image(encoded(picture(*size), "PNG"), max_side=256)
    assert (small.width, small.height) == shrunk
    assert (small.original_size, small.changes) == (size, ("shrunk",))
