"""Photos in cells: drawn, missing, broken, absurd."""

import asyncio
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from textual.app import ComposeResult
from textual.screen import Screen

from geospot.errors import ImageError
from geospot.tui.app import GeospotApp
from geospot.tui.inks import inks_of
from geospot.tui.widgets import graphics
from geospot.tui.widgets.photo import MOST_BYTES, Photo, draw_photo, fitted, read_photo
from tests.support.screens import until


def _picture(path: Path, size: tuple[int, int] = (64, 48), colour: str = "red") -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def _png_that_claims(path: Path, width: int, height: int) -> Path:
    """A file of a few bytes that says it is a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return path


def test_a_picture_is_read_and_keeps_its_proportions(tmp_path: Path) -> None:
    pixels = read_photo(_picture(tmp_path / "a.png", (60, 30)))
    assert pixels.shape == (30, 60, 3)
    assert fitted(pixels, 20, 40).shape == (10, 20, 3)
    assert fitted(pixels, 200, 40).shape == (40, 80, 3)
    assert read_photo(_picture(tmp_path / "b.png", (1500, 300))).shape == (102, 512, 3)


def test_a_bomb_is_not_decoded(tmp_path: Path) -> None:
    path = _png_that_claims(tmp_path / "bomb.png", 30_000, 30_000)
    with pytest.raises(ImageError, match="pixels"):
        read_photo(path)
    with pytest.raises(ImageError, match="pixels"):
        read_photo(_png_that_claims(tmp_path / "large.png", 3000, 3000))


@pytest.mark.parametrize(
    "data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"x" * 50, b"\xff\xd8\xff"]
)
def test_a_broken_file_says_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match="broken"):
        read_photo(path)


def test_a_torn_jpeg_says_so(tmp_path: Path) -> None:
    whole = _picture(tmp_path / "whole.jpg", (200, 200)).read_bytes()
    path = tmp_path / "torn.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="broken"):
        read_photo(path)


def test_gone_and_too_long_say_so(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="gone"):
        read_photo(tmp_path / "none.jpg")
    path = tmp_path / "long.jpg"
    path.write_bytes(b"\0" * (MOST_BYTES + 1))
    with pytest.raises(ImageError, match="bytes"):
        read_photo(path)


def test_half_cells_have_two_colours_and_no_colour_has_shades(tmp_path: Path) -> None:
    upper = np.zeros((2, 2, 3), np.uint8)
    upper[0], upper[1] = (255, 0, 0), (0, 0, 255)

    async def draw() -> None:
        app = GeospotApp((tmp_path,))
        async with app.run_test():
            inks = inks_of(app)
            segment = next(iter(draw_photo(upper, 2, 1, inks).strips()[0]))
            assert segment.text == "▀▀"
            assert segment.style is not None
            assert segment.style.color is not None
            assert segment.style.color.triplet is not None
            assert segment.style.color.triplet.hex == "#ff0000"
            assert segment.style.bgcolor is not None
            assert segment.style.bgcolor.triplet is not None
            assert segment.style.bgcolor.triplet.hex == "#0000ff"
            grey = np.repeat(np.linspace(0, 255, 16, dtype=np.uint8)[None, :, None], 4, 0).repeat(
                3, 2
            )
            plain = draw_photo(grey, 16, 2, replace(inks, has_colour=False))
            assert plain.strips()[0].text[0] == " "
            assert plain.strips()[0].text[-1] == "█"
            assert all(s.style is None or s.style.color is None for s in plain.strips()[0])

    asyncio.run(draw())


class _Alone(Screen[None]):
    def compose(self) -> ComposeResult:
        yield Photo()


def test_the_widget_shows_the_newest_wish(tmp_path: Path) -> None:
    red, blue = _picture(tmp_path / "r.png"), _picture(tmp_path / "b.png", colour="blue")
    broken = tmp_path / "x.png"
    broken.write_bytes(b"no")

    async def watch() -> None:
        app = GeospotApp((tmp_path,))
        async with app.run_test() as pilot:
            screen = _Alone()
            await app.push_screen(screen)
            photo = screen.query_one(Photo)
            photo.show(red)
            photo.show(blue)
            await until(pilot, lambda: photo.has_class("-picture"))
            row = _row(photo)
            assert "▀" in row
            assert "#0000" in _colours(photo)
            photo.show(broken)
            await until(pilot, lambda: not photo.has_class("-picture"))
            assert "broken" in photo.reason
            photo.say("never was \x1b[2J")
            assert photo.reason.startswith("never was")
            red.unlink()
            photo.show(red)
            await until(pilot, lambda: "gone" in photo.reason)

    asyncio.run(watch())


def _row(photo: Photo) -> str:
    cells = photo.query("_Cells").first()
    return cells.render_line(cells.size.height // 2).text


def _colours(photo: Photo) -> str:
    cells = photo.query("_Cells").first()
    return " ".join(str(segment.style) for segment in cells.render_line(cells.size.height // 2))


@pytest.mark.parametrize("kind", ["SixelImage", "TGPImage"])
def test_a_terminal_that_shows_pixels_gets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    kitty = pytest.importorskip("textual_image.renderable.tgp")
    sent: list[object] = []

    def send(**message: object) -> None:
        sent.append(message)

    monkeypatch.setattr(kitty, "_send_tgp_message", send)
    widget = graphics.pixel_widget("sixel" if kind == "SixelImage" else "kitty", (8, 16))
    red = _picture(tmp_path / "r.png")

    async def watch() -> None:
        app = GeospotApp((tmp_path,), pixel_widget=widget)
        async with app.run_test() as pilot:
            screen = _Alone()
            await app.push_screen(screen)
            photo = screen.query_one(Photo)
            photo.show(red)
            await until(pilot, lambda: photo.has_class("-picture"))
            await pilot.pause()
            pixels = photo.query_one(".photo-pixels")
            assert type(pixels).__name__ in (kind, "Image")
            assert pixels.size.width > 4
            assert pixels.size.height > 4
            assert not photo.query("_Cells").first().display
            photo.say("none")
            await pilot.pause()
            assert not pixels.display

    asyncio.run(watch())
    assert bool(sent) is (kind == "TGPImage")


def test_the_library_is_told_of_the_terminal_and_asks_nothing() -> None:
    """Its answers would come while the app reads keys."""
    pytest.importorskip("textual_image")
    program = (
        "import sys\n"
        "from geospot.tui.widgets.graphics import pixel_widget\n"
        "print(pixel_widget(None, (7, 13)), 'textual_image' in sys.modules)\n"
        "print(pixel_widget('kitty', (7, 13)).__name__, sys.__stdout__ is sys.stdout)\n"
        "from textual_image._terminal import get_cell_size\n"
        "print(*get_cell_size(), 'TEXTUAL_CELL_WIDTH' in __import__('os').environ)\n"
    )
    said = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=240
    )
    assert said.stdout.split() == ["None", "False", "TGPImage", "True", "7", "13", "False"]


def test_tmux_passes_pixels_on_only_where_its_client_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for tmux says what its client can."""
    tmux = tmp_path / "tmux"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")  # noqa: S108
    passes = graphics._passes_pixels  # pyright: ignore[reportPrivateUsage]
    assert not passes()  # none is there
    for features, passed in (("256,sixel,title", True), ("256,title", False), ("", False)):
        tmux.write_text(f"#!/bin/sh\necho {features}\n")
        tmux.chmod(0o755)
        assert passes() is passed
    monkeypatch.delenv("TMUX")
    assert passes()
