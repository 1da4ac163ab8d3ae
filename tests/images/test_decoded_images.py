"""Images for services that take RGB as JPEG or PNG only, and images that Pillow has opened."""

import io
from typing import Any

import pytest
from PIL import Image

from geospot.images import as_rgb, prepare_decoded, prepare_image

SECRET = b"PLANTED-48.8584N-2.2945E"


def _picture(mode: str) -> Image.Image:
    gradient = Image.linear_gradient("L").resize((64, 48))
    return Image.merge("RGB", (gradient, gradient.rotate(180), gradient)).convert(mode)


def _file(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _opened(data: bytes) -> tuple[str | None, str, tuple[int, int]]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.format, image.mode, image.size


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_rgb_goes_through_untouched(form: str) -> None:
    prepared = prepare_image(_file(_picture("RGB"), form))
    assert as_rgb(prepared) is prepared


@pytest.mark.parametrize(
    ("mode", "form"),
    [("L", "JPEG"), ("L", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"), ("RGB", "WEBP")],
)
def test_anything_else_becomes_an_rgb_jpeg(mode: str, form: str) -> None:
    converted = as_rgb(prepare_image(_file(_picture(mode), form)))
    assert _opened(converted.data) == ("JPEG", "RGB", (64, 48))
    assert (converted.mime, converted.width, converted.height) == ("image/jpeg", 64, 48)
    assert "converted" in converted.changes


def test_a_colour_that_means_transparent_counts_as_transparency() -> None:
    data = _file(_picture("RGB"), "PNG", transparency=(0, 255, 0))
    assert _opened(as_rgb(prepare_image(data)).data)[:2] == ("JPEG", "RGB")


def test_a_comment_does_not_survive_being_encoded_again() -> None:
    data = _file(_picture("RGB"), "JPEG", comment=SECRET)
    assert SECRET in data
    assert SECRET not in prepare_image(data, 32).data
    with Image.open(io.BytesIO(data)) as image:
        assert SECRET not in prepare_decoded(image).data
        assert image.info["comment"] == SECRET  # the caller's image is left alone


def test_an_opened_image_is_turned_upright_and_shrunk() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    data = _file(_picture("RGB"), "JPEG", exif=tags.tobytes())
    with Image.open(io.BytesIO(data)) as image:
        prepared = prepare_decoded(image, 32)
    assert (prepared.width, prepared.height) == (24, 32)
    assert _opened(prepared.data) == ("JPEG", "RGB", (24, 32))
    assert b"Exif" not in prepared.data
