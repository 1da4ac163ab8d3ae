"""From degrees to dots and back: which part of the globe a map shows.

The projection is equirectangular, with its middle meridian in the middle of the view, so that the date line
is nowhere special and a region is never sheared. East to west it is squeezed by the mean of the latitudes'
cosine over what is seen: a country that is zoomed to has its own shape, and the world isn't drawn wider than
its middle latitudes are, unless there is room. Parallels and meridians stay straight, so both ways are one
line of arithmetic, and a rectangle of cells is filled to its corners, which round projections leave empty.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geospot.geo import EARTH_RADIUS_KM

FloatArray = NDArray[np.float64]
Box = tuple[float, float, float, float]
"""South, west, north, east in degrees; east may be below west where the date line lies between."""

KM_PER_DEGREE: Final = math.pi * EARTH_RADIUS_KM / 180

REGIONS: Final[dict[str, Box]] = {
    "world": (-58.0, -180.0, 84.0, 180.0),
    "Europe": (34.0, -25.0, 72.0, 45.0),
    "Africa": (-36.0, -20.0, 38.0, 53.0),
    "Asia": (-11.0, 26.0, 75.0, 150.0),
    "North America": (7.0, -168.0, 75.0, -52.0),
    "South America": (-56.0, -83.0, 13.0, -34.0),
    "Oceania": (-48.0, 110.0, 10.0, -170.0),
}
"""Of the world what is inhabited: the rest is reached by moving."""

_FLATTEST: Final = 0.02
_NARROWEST: Final = 0.3
_FINEST: Final = 0.0005
"""Degrees a dot, some 50 m: nothing that is drawn is more exact."""


@dataclass(frozen=True, slots=True)
class View:
    """A rectangle of `width` × `height` dots around a place; `degrees` of latitude are one dot."""

    latitude: float
    longitude: float
    degrees: float
    width: int
    height: int

    @classmethod
    def of(cls, box: Box, width: int, height: int, room: float = 0.0) -> "View":
        """The closest view that shows a box whole, with a share of `room` around it."""
        south, west, north, east = box
        across = (east - west) % 360 or (360.0 if east != west else 0.0)
        wide, high = max(width - 1, 1), max(height - 1, 1)
        latitude = (south + north) / 2
        degrees = max((north - south) / high, _FINEST) * (1 + room)
        for _ in range(8):  # the squeeze depends on what is seen, and that on the squeeze
            view = cls(latitude, 0.0, degrees, width, height).settled()
            needed = max(north - south, across * view._mean_cosine * high / wide) / high
            degrees = max(needed * (1 + room), _FINEST)
        return cls(latitude, _around(west + across / 2), degrees, width, height).settled()

    @property
    def squeeze(self) -> float:
        """How much shorter a degree of longitude is drawn than one of latitude.

        Where the whole globe is seen, it takes all the width that there is, up to that of plate carrée; and
        on a map that is high and narrow it is squeezed until it fits.
        """
        filling = min(self.width * self.degrees / 360, 1.0)
        is_whole = self.degrees * self.height >= 180 - 1e-6
        return max(filling, _NARROWEST if is_whole else self._mean_cosine)

    @property
    def _mean_cosine(self) -> float:
        half = self.degrees * self.height / 2
        north = math.radians(min(self.latitude + half, 90.0))
        south = math.radians(max(self.latitude - half, -90.0))
        if north - south < 1e-6:
            return max(math.cos((north + south) / 2), _FLATTEST)
        return max((math.sin(north) - math.sin(south)) / (north - south), _FLATTEST)

    @property
    def world_dots(self) -> float:
        """How many dots the globe is wide."""
        return 360 * self.squeeze / self.degrees

    @property
    def box(self) -> Box:
        """What is seen: south, west, north, east; all longitudes where the globe is narrower."""
        high = self.degrees * self.height / 2
        wide = min(self.degrees * self.width / 2 / self.squeeze, 180.0)
        return (
            max(self.latitude - high, -90.0), self.longitude - wide,
            min(self.latitude + high, 90.0), self.longitude + wide,
        )  # fmt: skip

    @property
    def km_per_dot(self) -> float:
        """Kilometres that a dot is wide, at the latitude of the middle."""
        across = self.degrees / self.squeeze
        return KM_PER_DEGREE * across * max(math.cos(math.radians(self.latitude)), 0.01)

    def x(self, longitude: Any) -> FloatArray:
        """Dots from the left; a longitude stands where it is nearest to the middle."""
        return self.width / 2 + self._east(longitude) * (self.squeeze / self.degrees)

    def y(self, latitude: Any) -> FloatArray:
        """Dots from the top."""
        return self.height / 2 - (np.asarray(latitude, np.float64) - self.latitude) / self.degrees

    def cells(self, latitude_N: FloatArray, longitude_N: FloatArray) -> NDArray[np.int32]:
        """The cell of each place, counted row by row; of places out of sight the number of cells."""
        columns, rows = self.width // 2, self.height // 4
        across = self._east(longitude_N) * (self.squeeze / self.degrees / 2) + self.width / 4
        down = (self.latitude - latitude_N) * (1 / self.degrees / 4) + self.height / 8
        inside = (across >= 0) & (across < columns) & (down >= 0) & (down < rows)
        column, row = across.astype(np.int32), down.astype(np.int32)
        return np.where(inside, row * columns + column, columns * rows)

    def _east(self, longitude: Any) -> FloatArray:
        """Degrees east of the middle, −180 to 180; longitudes may be on either side of the date line."""
        east = np.asarray(longitude, np.float64) - self.longitude
        return east - 360 * np.rint(east / 360)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Latitude and longitude of a dot; inverse of `x` and `y`, kept on the globe."""
        latitude = self.latitude + (self.height / 2 - y) * self.degrees
        east = (x - self.width / 2) * self.degrees / self.squeeze
        longitude = _around(self.longitude + min(max(east, -180.0), 180.0))
        return min(max(latitude, -90.0), 90.0), longitude

    def zoomed(self, factor: float, x: float | None = None, y: float | None = None) -> "View":
        """Closer by `factor` (farther below 1); the place at dot (x, y) stays where it is."""
        x = self.width / 2 if x is None else x
        y = self.height / 2 if y is None else y
        near = replace(self, degrees=self.degrees / factor).settled()
        return near.holding(*self.place(x, y), x, y)

    def holding(self, latitude: float, longitude: float, x: float, y: float) -> "View":
        """Moved so that a place stands at dot (x, y), as far as the poles allow."""
        north, _ = self.place(x, y)
        moved = replace(self, latitude=self.latitude + latitude - north).settled()
        # How far a dot is east depends on the latitude of the middle, so that comes first.
        east = (x - moved.width / 2) * moved.degrees / moved.squeeze
        return replace(moved, longitude=_around(longitude - east))

    def moved(self, right: float, down: float) -> "View":
        """Moved by so many dots."""
        return replace(
            self,
            latitude=self.latitude - down * self.degrees,
            longitude=_around(self.longitude + right * self.degrees / self.squeeze),
        ).settled()

    def centred(self, latitude: float, longitude: float) -> "View":
        """The same scale around another place."""
        return replace(self, latitude=latitude, longitude=longitude).settled()

    def resized(self, width: int, height: int) -> "View":
        """The same part of the globe on another number of dots."""
        if (width, height) == (self.width, self.height) or not (self.width and self.height):
            return replace(self, width=width, height=height)
        grown = min(width / self.width, height / self.height)
        degrees = self.degrees / max(grown, 1e-6)
        return replace(self, width=width, height=height, degrees=degrees).settled()

    def settled(self) -> "View":
        """Not farther than the whole globe, not closer than anything is known, not beyond a pole."""
        coarsest = 180 / max(self.height, 1)
        degrees = min(max(self.degrees, _FINEST), max(coarsest, _FINEST))
        highest = max(90 - degrees * self.height / 2, 0.0)
        latitude = min(max(self.latitude, -highest), highest)
        return replace(self, latitude=latitude, degrees=degrees)


def box_around(latitude_N: FloatArray, longitude_N: FloatArray) -> Box:
    """The smallest box that has all points; across the date line where that is shorter.

    Points that aren't finite are passed over; without any it is the world's.
    """
    finite = np.isfinite(latitude_N) & np.isfinite(longitude_N)
    if not finite.any():
        return REGIONS["world"]
    latitude, longitude = latitude_N[finite], np.sort(longitude_N[finite] % 360)
    gaps = np.append(longitude[1:], longitude[0] + 360) - longitude
    widest = int(np.argmax(gaps))
    west = longitude[(widest + 1) % len(longitude)]
    return (
        float(latitude.min()), _around(float(west)),
        float(latitude.max()), _around(float(longitude[widest])),
    )  # fmt: skip


def _around(longitude: float) -> float:
    return (longitude + 180) % 360 - 180
