"""Coasts and borders of the world's countries, as they lie in the package.

They are Natural Earth's countries at 1:110 million, which are in the public domain; `python -m
geospot.tui.atlas.pack` made the file, and docs/map.md says from what. Corners are hundredths of a degree,
each as its difference from the one before in 16 bits: a step across the globe wraps around, as 16 bits do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PATH: Final = Path(__file__).with_name("outlines.npz")
UNITS: Final = 100
"""Stored units in a degree."""


@dataclass(frozen=True)
class Outlines:
    """R closed rings with P corners in all, degrees; a country has one ring or several, holes among them.

    `start_R` is where each ring begins among the corners; the last corner of a ring is its first again.
    """

    longitude_P: FloatArray
    latitude_P: FloatArray
    start_R: IntArray
    country_R: NDArray[np.str_]
    """ISO 3166-1 alpha-2, or `--` for what has no code of its own."""

    @cached_property
    def ring_P(self) -> IntArray:
        """Which ring a corner belongs to."""
        return np.repeat(
            np.arange(len(self.start_R)), np.diff(self.start_R, append=len(self.latitude_P))
        )

    @cached_property
    def edge_E(self) -> IntArray:
        """Corners from which an edge goes on to the next corner of the same ring."""
        return np.flatnonzero(self.ring_P[1:] == self.ring_P[:-1])

    @cached_property
    def drawn_E(self) -> IntArray:
        """The edges of `edge_E` that are coast or border, and not where the sheet was cut."""
        here, there = self.edge_E, self.edge_E + 1
        at_cut = np.minimum(abs(self.longitude_P[here]), abs(self.longitude_P[there])) >= 179.98
        at_pole = np.maximum(self.latitude_P[here], self.latitude_P[there]) <= -89.9
        return self.edge_E[~(at_cut | at_pole)]

    @cached_property
    def codes(self) -> list[str]:
        """Every country that is drawn, sorted; without the one that has no code."""
        return sorted(set(self.country_R.tolist()) - {"--"})

    @cached_property
    def rings(self) -> Mapping[str, Sequence[slice]]:
        """The corners of each country's rings, the largest ring first."""
        ends_R = np.append(self.start_R[1:], len(self.latitude_P))
        slices = [slice(int(a), int(b)) for a, b in zip(self.start_R, ends_R, strict=True)]
        return {
            code: sorted(
                (slices[ring] for ring in np.flatnonzero(self.country_R == code)),
                key=lambda ring: -self._area(ring),
            )
            for code in self.codes
        }

    @cached_property
    def areas(self) -> Mapping[str, float]:
        """Roughly how large each country's largest ring is, for telling large ones from small ones."""
        return {code: self._area(rings[0]) for code, rings in self.rings.items()}

    @cached_property
    def boxes(self) -> Mapping[str, tuple[float, float, float, float]]:
        """South, west, north, east of each country, in degrees: of its largest ring and others like it.

        An overseas part, or a far island, would make a view of a country a view of half the world.
        """
        found: dict[str, tuple[float, float, float, float]] = {}
        for code, rings in self.rings.items():
            main = [ring for ring in rings if self._area(ring) > 0.3 * self.areas[code]]
            latitude = np.concatenate([self.latitude_P[ring] for ring in main])
            longitude = np.concatenate([self.longitude_P[ring] for ring in main])
            found[code] = (
                float(latitude.min()), float(longitude.min()),
                float(latitude.max()), float(longitude.max()),
            )  # fmt: skip
        return found

    def _area(self, ring: slice) -> float:
        y = self.latitude_P[ring]
        x = self.longitude_P[ring] * np.cos(np.radians(y.mean()))
        return abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2))


def packed(rings: list[tuple[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Rings (alpha-2, corners of longitude and latitude) as the arrays of the file."""
    corners_P_L = np.concatenate([np.rint(ring * UNITS).astype(np.int16) for _, ring in rings])
    steps_P_L = np.diff(corners_P_L, axis=0, prepend=np.zeros((1, 2), np.int16))
    return {
        "steps": steps_P_L.astype("<i2"),
        "sizes": np.array([len(ring) for _, ring in rings], "<i2"),
        "codes": np.array([code.encode("ascii") for code, _ in rings], "S2"),
    }


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> Outlines:
    """Inverse of `packed`."""
    corners_P_L = np.cumsum(arrays["steps"].astype(np.int16), axis=0, dtype=np.int16) / UNITS
    sizes_R = arrays["sizes"].astype(np.int64)
    return Outlines(
        corners_P_L[:, 0],
        corners_P_L[:, 1],
        np.cumsum(sizes_R) - sizes_R,
        arrays["codes"].astype(np.str_),
    )


@cache
def outlines() -> Outlines:
    """The world's, read once (some milliseconds)."""
    with np.load(PATH) as arrays:
        return unpacked({name: arrays[name] for name in arrays.files})
