"""Photos as pixels: what a terminal is sent that says it speaks kitty's or the sixel protocol."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geospot.tui.widgets.graphics import may_show_pixels
from tests.support.programs import DARK, DEVICE, Program

pytest.importorskip("textual_image")

RUN = Path(__file__).parents[1] / "recordings" / "runs" / "rl"
CELL = (8, 16)
SIXELS = b"\x1b[?62;4;22c"
KITTY = b"\x1b_Gi=31;OK\x1b\\"
_SIXEL_IMAGE = re.compile(rb"\x1bP[\d;]*q(.*?)\x1b\\", re.DOTALL)
_SIXEL = re.compile(rb"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])")
_KITTY_PART = re.compile(rb"\x1b_G([^;\x1b]*);([^\x1b]*)\x1b\\")
_PLACED = re.compile(rb"\x1b_G([^;\x1b]*U=1[^;\x1b]*)\x1b\\")
_PLACEHOLDER = chr(0x10EEEE).encode()


def rollouts_in(answers: bytes, sign: re.Pattern[bytes], **more: Any) -> Program:
    """What the app has sent to such a terminal, once a recorded run's rollouts were on screen."""
    program = Program("tui", str(RUN), answers=answers, cell=CELL, **more)
    program.until(lambda shown: b"GeoScore" in shown)
    program.type("r")
    program.until(lambda shown: b"answers in" in shown and sign.search(shown))
    program.type("\x11")
    assert program.ends() == 0
    return program


def sixels(data: bytes) -> "Image.Image":
    """The picture that sixels draw (DEC STD 070)."""
    raster = re.match(rb'"\d+;\d+;(\d+);(\d+)', data)
    assert raster is not None
    width, height = int(raster[1]), int(raster[2])
    picture = np.zeros((height + 6, width, 3), np.uint8)
    palette: dict[int, tuple[int, ...]] = {}
    colour, x, y = 0, 0, 0
    for token in _SIXEL.finditer(data, raster.end()):
        register, red, green, blue, count, repeated, once, move = token.groups()
        if register is not None:
            colour = int(register)
            if red is not None:
                palette[colour] = tuple(int(part) * 255 // 100 for part in (red, green, blue))
        elif move is not None:
            x, y = 0, y + 6 * (move == b"-")
        else:
            bits, times = (repeated or once)[0] - 0x3F, int(count or 1)
            rows = [y + bit for bit in range(6) if bits >> bit & 1]
            picture[rows, x : x + times] = palette[colour]
            x += times
    return Image.fromarray(picture[:height])


def is_a_thumbnail(picture: "Image.Image") -> bool:
    """Whether it looks like one of the run's photos: dithered and scaled, so not to the pixel."""
    shown = np.asarray(picture.convert("RGB").resize((16, 16), Image.Resampling.BOX), np.float64)
    apart: list[float] = []
    for path in (RUN / "thumbnails").iterdir():
        with Image.open(path) as photo:
            small = photo.convert("RGB").resize((16, 16), Image.Resampling.BOX)
        apart.append(float(np.abs(np.asarray(small, np.float64) - shown).mean()))
    first, second = sorted(apart)[:2]
    return first < 8 and first < 0.7 * second


def test_a_terminal_with_sixels_is_sent_the_photo_in_sixels() -> None:
    program = rollouts_in(DARK + KITTY + SIXELS, _SIXEL_IMAGE)
    image = _SIXEL_IMAGE.search(program.shown)
    assert image is not None
    picture = sixels(image[1])
    assert picture.width % CELL[0] == 0 or picture.height % CELL[1] == 0
    assert picture.width > 10 * CELL[0]
    assert is_a_thumbnail(picture)
    assert _PLACEHOLDER not in program.shown


def test_a_terminal_with_kittys_protocol_is_sent_the_photo_in_it() -> None:
    program = rollouts_in(DARK + KITTY + DEVICE, _PLACED)
    asked, *parts = _KITTY_PART.findall(program.shown)
    assert b"a=q" in asked[0]
    name = re.search(rb"i=(\d+)", parts[0][0])
    assert name is not None
    data = b"".join(data for about, data in parts if b"i=" + name[1] in about and b"f=100" in about)
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert is_a_thumbnail(picture)
    placed = _PLACED.search(program.shown)
    assert placed is not None
    cells = dict(part.split(b"=") for part in placed[1].split(b","))
    columns, rows = int(cells[b"c"]), int(cells[b"r"])
    assert abs(picture.width - columns * CELL[0]) <= CELL[0]
    assert abs(picture.height - rows * CELL[1]) <= CELL[1]
    assert program.shown.count(_PLACEHOLDER) >= columns * rows
    assert _SIXEL_IMAGE.search(program.shown) is None


@pytest.mark.parametrize(
    ("answers", "environment"),
    [
        (DARK + DEVICE, {}),
        (DARK + KITTY + SIXELS, {"GEOSPOT_IMAGES": "cells"}),
    ],
)
def test_all_others_are_sent_cells(answers: bytes, environment: dict[str, str]) -> None:
    program = rollouts_in(answers, re.compile("▀".encode()), **environment)  # the photo is there
    assert _SIXEL_IMAGE.search(program.shown) is None
    assert _PLACEHOLDER not in program.shown


def test_without_colours_nobody_asks_for_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEOSPOT_IMAGES", "NO_COLOR", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    assert may_show_pixels()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not may_show_pixels()


def test_an_answer_over_a_slow_line_is_waited_for() -> None:
    """The app would take what comes later for keys: kitty's answer has digits, which open screens."""
    slow = {"slow_s": 0.35, "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}
    program = rollouts_in(DARK + KITTY + DEVICE, _PLACED, patient="_WITHIN_REMOTE_S", **slow)
    assert program.shown.count(b"\x1b[c") == 1
