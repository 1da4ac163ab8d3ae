"""Classes of values that the map tells apart: by colour, by the pattern of a line, and by a letter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from geospot.tui.canvas import blend
from geospot.tui.inks import Inks

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Classes:
    """C classes, split at C − 1 ascending edges; a value on an edge belongs to the class above.

    `patterns` are dots of a line that are drawn and left out, repeated along it; `letters` mark a place
    where there is no colour. `is_change`: values go both ways, below zero is better.
    """

    edges: Sequence[float]
    names: Sequence[str]
    patterns: Sequence[str]
    letters: str
    is_change: bool = False

    def of(self, value_N: FloatArray) -> IntArray:
        """The class of each value; NaN is in the last one."""
        return np.searchsorted(np.asarray(self.edges, np.float64), value_N, side="right")

    def inks(self, inks: Inks) -> list[int]:
        """A colour for each class, in the app's theme."""
        if self.is_change:
            slight = np.array([0.55])
            better, worse = (
                int(blend(inks.muted, end, slight)[0]) for end in (inks.good, inks.bad)
            )
            return [inks.good, better, inks.muted, worse, inks.bad]
        middles = [self.edges[0] / 2, *np.sqrt(np.multiply(self.edges[1:], self.edges[:-1]))]
        return [int(ink) for ink in inks.error_km(np.array([*middles, 2 * self.edges[-1]]))]

    def drawn(self, class_D: IntArray, along_D: IntArray) -> NDArray[np.bool_]:
        """Which dots of lines their pattern has, by the dot's class and number along the line."""
        longest = max(map(len, self.patterns))
        table = np.zeros((len(self.patterns), longest), bool)
        for row, pattern in enumerate(self.patterns):
            table[row, : len(pattern)] = [dot == "#" for dot in pattern]
        period = np.array([len(pattern) for pattern in self.patterns])
        return table[class_D, along_D % period[class_D]]


ERRORS: Final = Classes(
    edges=(25.0, 200.0, 750.0, 2500.0),
    names=("<25", "<200", "<750", "<2500", "≥2500"),
    patterns=("#", "#", "####..", "##..", "#.."),
    letters="abcde",
)
"""Distances in km, by the radii that accuracies are counted with. The longest lines are the faintest:
there are few dots left where many of them cross."""

CHANGES: Final = Classes(
    edges=(-750.0, -25.0, 25.0, 750.0),
    names=("≤−750", "nearer", "±25", "farther", "≥+750"),
    patterns=("####..", "##..", "#.....", "#..", "#"),
    letters="▲△=▽▼",  # as in the list of photos; A and B are the results
    is_change=True,
)
"""Changes of a distance in km, from one answer to another about the same photo."""
