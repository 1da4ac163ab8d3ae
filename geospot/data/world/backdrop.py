"""Sky, hills, ground and road."""

import math
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from geospot.data.world.canvas import CAMERA_M, FOCAL, VERGE_M, Canvas, tuple_mul
from geospot.data.world.draws import Dice
from geospot.data.world.scene import Colour, Scene

FloatArray = npt.NDArray[np.float32]

_PAINTS: dict[str, Colour] = {"white": (238, 238, 232), "yellow": (246, 190, 34)}
_SNOW: Colour = (240, 244, 250)


def sky_and_ground(scene: Scene, size: int) -> Image.Image:
    """The picture before anything stands in it: sky with the sun's glow, and bare ground."""
    rows_S = (np.arange(size, dtype=np.float32) + 0.5) / size
    top, low = _rgb(scene.sky_top), _rgb(scene.sky_low)
    height_S = np.clip(1.0 - rows_S / scene.horizon, 0.0, 1.0)[:, None] ** 0.8
    sky = low + (top - low) * height_S
    picture = np.repeat(sky[:, None, :], size, axis=1).astype(np.float32)
    if not scene.overcast and abs(scene.sun.bearing) < 75.0:
        _glow(picture, scene, size)
    first = math.ceil(scene.horizon * size)
    ahead_G = FOCAL * CAMERA_M / np.maximum(rows_S[first:] - scene.horizon, 1e-3)
    haze_G = (1.0 - np.exp(-ahead_G / scene.haze_m))[:, None]
    earth = _rgb(scene.earth)
    dim = scene.brightness * (0.86 if scene.overcast else 1.0)
    picture[first:] = (earth * dim * (1.0 - haze_G) + low * haze_G)[:, None, :]
    return Image.fromarray(np.clip(picture, 0.0, 255.0).astype(np.uint8))


def _glow(picture: FloatArray, scene: Scene, size: int) -> None:
    """Adds the sun and the light around it where it stands in view."""
    x = 0.5 + FOCAL * math.tan(math.radians(scene.sun.bearing))
    y = scene.horizon - FOCAL * math.tan(math.radians(min(scene.sun.height, 70.0)))
    rows_S_S, columns_S_S = _grid(size)
    away_S_S = np.sqrt((columns_S_S - np.float32(x)) ** 2 + (rows_S_S - np.float32(y)) ** 2)
    halo_S_S = 0.75 * np.exp(-away_S_S / np.float32(0.13)) + (away_S_S < 0.04)
    warm = min(max((18.0 - scene.sun.height) / 18.0, 0.0), 1.0)
    light = _rgb((255.0, 250.0 - 34.0 * warm, 226.0 - 96.0 * warm))
    picture += (light - picture) * np.minimum(halo_S_S, 1.0)[:, :, None]


def _rgb(colour: Colour) -> FloatArray:
    return np.array(colour, dtype=np.float32)


@cache
def _grid(size: int) -> tuple[FloatArray, FloatArray]:
    line: FloatArray = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return line[:, None], line[None, :]


def clouds(canvas: Canvas, dice: Dice) -> None:
    """Heaps of fair-weather cloud, or the streaks of an overcast day."""
    scene, size = canvas.scene, canvas.size
    for _ in range(4 if scene.overcast else round(3.4 * scene.clouds)):
        x, y = dice.uniform(0.0, 1.0) * size, dice.uniform(0.05, 0.75) * scene.horizon * size
        width = dice.uniform(0.05, 0.12) * size * (1.2 - y / size)
        if scene.overcast:
            grey = tuple_mul(scene.sky_top, dice.uniform(0.93, 1.05))
            canvas.ellipse((x, y), (3.0 * width, 0.28 * width), canvas.tone(grey, light=1.12))
            continue
        shade, white = canvas.tone((214, 220, 230)), canvas.tone((250, 250, 252))
        puffs = [(dice.normal(0.8), dice.uniform(0.4, 0.75)) for _ in range(4)]
        for colour, lift in ((shade, 0.0), (white, 0.13)):
            for shift, radius in puffs:
                centre = (x + shift * width, y - lift * width - 0.2 * radius * width)
                canvas.ellipse(centre, (radius * width, 0.55 * radius * width), colour)


def hills(canvas: Canvas, dice: Dice) -> None:
    """Two ranges on the horizon: mountains where the land is rugged, a wooded line where it is not."""
    scene = canvas.scene
    for layer, distance in ((0, 330.0), (1, 190.0)):
        height = (0.030, 0.016)[layer] + (0.24, 0.12)[layer] * scene.ruggedness**1.3
        heights = _ridge(dice, height, jagged=scene.ruggedness)
        rough = scene.ruggedness > 0.25
        colour = scene.rock if rough else scene.leaf if scene.grass_share > 0.25 else scene.soil
        if layer == 1 and scene.grass_share > 0.3:
            colour = scene.leaf
        if scene.snow and not rough:
            colour = tuple_mul(_SNOW, 0.88)
        capped = rough and (scene.snow_line or scene.snow)
        if capped:
            _range(canvas, heights, canvas.tone(_SNOW, 0.35 * distance))
            level = 0.5 * height
            heights = [min(h, level + 0.1 * height * (i % 3)) for i, h in enumerate(heights)]
        _range(canvas, heights, canvas.tone(colour, distance))


def _ridge(dice: Dice, height: float, *, jagged: float) -> list[float]:
    phases = [dice.uniform(0.0, 2.0 * math.pi) for _ in range(4)]
    heights: list[float] = []
    for step in range(33):
        u = step / 32 * 2.0 * math.pi
        swell = math.sin(u + phases[0]) + 0.7 * math.sin(2.3 * u + phases[1])
        spikes = 0.6 * math.sin(5.1 * u + phases[2]) + 0.5 * math.sin(9.7 * u + phases[3])
        heights.append(max(height * (0.55 + 0.22 * swell + 0.24 * jagged * spikes), 0.004))
    return heights


def _range(canvas: Canvas, heights: list[float], colour: tuple[int, int, int]) -> None:
    base = canvas.scene.horizon * canvas.size
    last = len(heights) - 1
    line = [(i / last * canvas.size, base - h * canvas.size) for i, h in enumerate(heights)]
    canvas.polygon([(0.0, base + 1), *line, (float(canvas.size), base + 1)], colour)


def patches(canvas: Canvas, dice: Dice) -> None:
    """Tufts of grass and spots of bare earth beside the road."""
    scene = canvas.scene
    for _ in range(26):
        x, ahead = dice.uniform(-14.0, 14.0), dice.uniform(3.4, 30.0)
        grassy = dice.chance(scene.grass_share)
        colour = tuple_mul(scene.grass if grassy else scene.soil, dice.uniform(0.88, 1.08))
        metre = canvas.metre(ahead)
        width = dice.uniform(0.5, 1.8) * metre
        canvas.ellipse(canvas.at(x, ahead), (width, 0.16 * width), canvas.tone(colour, ahead))


def road(canvas: Canvas) -> None:
    """The carriageway with a bare shoulder, its edge lines and a broken line in the middle."""
    rules, middle, scene = canvas.scene.customs, canvas.middle_m, canvas.scene
    canvas.strip(middle, 2 * VERGE_M + 2.2, 2.6, 420.0, tuple_mul(scene.soil, 0.95))
    surface = scene.asphalt if not scene.snow else tuple_mul(scene.asphalt, 1.12)
    near, far = canvas.tone(surface, 4.0), canvas.tone(surface, 60.0)
    for start, end, colour in ((2.6, 25.0, near), (24.5, 420.0, far)):
        corners = [(-VERGE_M, start), (VERGE_M, start), (VERGE_M, end), (-VERGE_M, end)]
        canvas.polygon([canvas.at(middle + x, ahead) for x, ahead in corners], colour)
    for side in (-1, 1):
        canvas.strip(middle + side * (VERGE_M - 0.35), 0.26, 2.6, 120.0, _PAINTS[rules.edge_line])
    for dash in range(9):
        start = 3.6 + 6.0 * dash
        canvas.strip(middle, 0.30, start, start + 3.4, _PAINTS[rules.centre_line])
