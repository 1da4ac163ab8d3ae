"""A scene as a picture, and a picture as the bytes of a JPEG."""

from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image

from geospot.data.world import backdrop, objects
from geospot.data.world.canvas import Canvas
from geospot.data.world.draws import Dice
from geospot.data.world.scene import Scene

IMAGE_SIZE: Final = 96
"""Width and height in pixels: what `geospot/tiny-vlm` reads."""
GRAIN: Final = 4.0
"""Deviation of the sensor noise, of 255."""


def paint(scene: Scene, key: str, size: int = IMAGE_SIZE, *, grain: float = GRAIN) -> Image.Image:
    """The scene as an RGB picture of `size` × `size`, drawn at twice that for smooth edges."""
    dice = Dice(f"{key}/paint")
    canvas = Canvas(backdrop.sky_and_ground(scene, 2 * size), scene)
    backdrop.clouds(canvas, dice)
    backdrop.hills(canvas, dice)
    backdrop.patches(canvas, dice)
    backdrop.road(canvas)
    near = [thing for thing in scene.things if thing.ahead_m < 18.0]
    for thing in scene.things[: len(scene.things) - len(near)]:
        objects.stand(canvas, thing)
    for vehicle in scene.cars:
        objects.car(canvas, vehicle)
    objects.signs(canvas, dice)
    for thing in near:
        objects.stand(canvas, thing)
    small = canvas.image.reduce(2)
    grainy = np.asarray(small, dtype=np.float32) + grain * dice.noise((size, size, 3))
    return Image.fromarray(np.clip(grainy + 0.5, 0.0, 255.0).astype(np.uint8))


def encode(picture: Image.Image) -> bytes:
    """The bytes of a JPEG without metadata."""
    buffer = BytesIO()
    picture.save(buffer, format="JPEG", quality=92, subsampling=0)
    return buffer.getvalue()
