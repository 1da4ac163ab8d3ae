"""A picture with a camera in it: metres on the road become pixels."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from geospot.data.world.scene import Colour, Scene

FOCAL = 0.74
"""Focal length in picture widths: the lens sees 68°."""
CAMERA_M = 2.4
"""Height of the camera above the road."""
LANE_M = 3.1
VERGE_M = 3.4
"""From the middle of the road to its edge."""

Pixel = tuple[float, float]


class Canvas:
    """Draws in metres: `x` to the right of the camera, `ahead` along the road, `up` from the ground."""

    def __init__(self, image: Image.Image, scene: Scene) -> None:
        self.image = image
        self.scene = scene
        self.size = image.width
        self.draw = ImageDraw.Draw(image)
        self.middle_m = LANE_M / 2 if scene.customs.drive_left else -LANE_M / 2
        """Where the middle of the road runs: right of the camera where people drive on the left."""
        sun = scene.sun
        reach = min(1.0 / math.tan(math.radians(sun.height)), 4.0)
        bearing = math.radians(sun.bearing)
        self.shadow = (-math.sin(bearing) * reach, -math.cos(bearing) * reach)
        """How far (right, ahead) the shadow of one metre of height falls."""
        self._dim = scene.brightness * (0.86 if scene.overcast else 1.0)

    def at(self, x: float, ahead: float, up: float = 0.0) -> Pixel:
        """The pixel of a point."""
        scale = FOCAL * self.size / ahead
        return self.size / 2 + x * scale, self.scene.horizon * self.size + (CAMERA_M - up) * scale

    def metre(self, ahead: float) -> float:
        """Pixels of a metre at this distance."""
        return FOCAL * self.size / ahead

    def tone(self, colour: Colour, ahead: float = 0.0, light: float = 1.0) -> tuple[int, int, int]:
        """The colour in this light, seen through so many metres of air."""
        share = 1.0 - math.exp(-ahead / self.scene.haze_m)
        kept = light * self._dim * (1.0 - share)
        far = self.scene.sky_low
        return (
            _level(colour[0] * kept + far[0] * share),
            _level(colour[1] * kept + far[1] * share),
            _level(colour[2] * kept + far[2] * share),
        )

    def polygon(self, points: Sequence[Pixel], colour: tuple[int, int, int]) -> None:
        """A filled polygon of pixels."""
        self.draw.polygon(points, fill=colour)

    def ellipse(self, centre: Pixel, radius: Pixel, colour: tuple[int, int, int]) -> None:
        """A filled ellipse of pixels."""
        (x, y), (rx, ry) = centre, radius
        self.draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=colour)

    def strip(self, x: float, width: float, near: float, far: float, colour: Colour) -> None:
        """A rectangle lying on the road."""
        half = width / 2
        corners = [(x - half, near), (x + half, near), (x + half, far), (x - half, far)]
        self.polygon([self.at(*corner) for corner in corners], self.tone(colour, near))

    def post(
        self, x: float, ahead: float, low: float, high: float, width: float, colour: Colour
    ) -> None:
        """An upright rectangle facing the camera, at least a pixel wide."""
        half = max(width / 2, 0.6 / self.metre(ahead))
        corners = [(x - half, low), (x + half, low), (x + half, high), (x - half, high)]
        self.polygon([self.at(a, ahead, up) for a, up in corners], self.tone(colour, ahead))

    def cast_shadow(self, x: float, ahead: float, height: float, width: float) -> None:
        """The shadow of something upright; none when the sky is overcast."""
        if self.scene.overcast:
            return
        right, along = self.shadow
        tip_x, tip = x + right * height, max(ahead + along * height, 3.2)
        half = width / 2
        colour = self.tone(tuple_mul(self.scene.earth, 0.62), min(ahead, tip))
        base = [self.at(x - half, ahead), self.at(x + half, ahead)]
        if abs(tip_x - x) > abs(tip - ahead):
            base = [self.at(x, max(ahead - half, 3.2)), self.at(x, ahead + half)]
        end_x, end_y = self.at(tip_x, tip)
        reach = half * self.metre(tip)
        self.polygon([*reversed(base), (end_x - reach, end_y), (end_x + reach, end_y)], colour)
        if width > 1.0:
            self.ellipse((end_x, end_y), (1.2 * reach, max(0.35 * reach, 1.0)), colour)


def tuple_mul(colour: Colour, factor: float) -> Colour:
    """The colour, darker or lighter."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _level(value: float) -> int:
    return 0 if value < 0.0 else 255 if value > 255.0 else round(value)
