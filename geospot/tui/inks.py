"""Colours of what is drawn on a canvas, and the two themes that they come from.

No colour is the only carrier of a meaning: series differ by their letter and the pattern of their line,
heat maps by shade characters where there is no colour, marks by a character.
"""

from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from textual.app import App
from textual.color import Color
from textual.theme import Theme
from textual.widget import Widget

from geospot.tui.canvas import IntArray, blend, rgb

DARK: Final = Theme(
    name="geospot-dark",
    primary="#6aa8e0",
    secondary="#8fbf8f",
    accent="#e0b060",
    warning="#e0b060",
    error="#e07070",
    success="#7fbf7f",
    foreground="#d8dce2",
    background="#14171c",
    surface="#1b1f26",
    panel="#252a33",
    dark=True,
    variables={
        "block-cursor-text-style": "bold",
        "scrollbar": "#3b4452",
        "scrollbar-hover": "#566377",
        "scrollbar-background": "#1b1f26",
        "scrollbar-background-hover": "#1b1f26",
        "scrollbar-background-active": "#1b1f26",
        "scrollbar-corner-color": "#1b1f26",
    },
)
LIGHT: Final = Theme(
    name="geospot-light",
    primary="#1f5f9e",
    secondary="#2f6f3f",
    accent="#8a5a00",
    warning="#8a5a00",
    error="#a82020",
    success="#256b2f",
    foreground="#1c2026",
    background="#fbfaf7",
    surface="#f1efe9",
    panel="#e4e1d8",
    dark=False,
    variables={
        "block-cursor-text-style": "bold",
        "scrollbar": "#bfb9ab",
        "scrollbar-hover": "#948e80",
        "scrollbar-background": "#f1efe9",
        "scrollbar-background-hover": "#f1efe9",
        "scrollbar-background-active": "#f1efe9",
        "scrollbar-corner-color": "#f1efe9",
    },
)
THEMES: Final = (DARK, LIGHT)

_SERIES_DARK: Final = (
    0x6AA8E0,
    0xE0B060,
    0x7FBF7F,
    0xD88AC0,
    0xE08A60,
    0x70C8C8,
    0xB0A0E8,
    0xC8C870,
)
_SERIES_LIGHT: Final = (
    0x1F5F9E,
    0x9A5B00,
    0x256B2F,
    0x8E2F74,
    0xB03A10,
    0x0A6B6B,
    0x5A43B0,
    0x6B6B00,
)
# From dark violet over red to pale yellow, as perceived brightness rises evenly (matplotlib's "inferno",
# sampled at nine points); reversed on a light background, so that "nothing" is always the background.
_HEAT: Final = (
    0x000004, 0x1B0C41, 0x4A0C6B, 0x781C6D, 0xA52C60, 0xCF4446, 0xED6925, 0xFB9B06, 0xF7D13D,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inks:
    """Colours as 0xRRGGBB for the theme that is on."""

    dark: bool
    foreground: int
    muted: int
    """Axes, grids and everything that isn't data."""
    faint: int
    background: int
    surface: int
    accent: int
    good: int
    warning: int
    bad: int
    series: tuple[int, ...]
    has_colour: bool = True
    """False where the terminal shows none (NO_COLOR): shades have to be characters then."""

    def heat(self, share_N: "NDArray[np.floating]") -> IntArray:
        """Colours of a heat map: 0 is the background, 1 the strongest."""
        stops = (self.background, *(_HEAT[1:] if self.dark else reversed(_HEAT[:-1])))
        place = np.clip(np.asarray(share_N, np.float64), 0, 1) * (len(stops) - 1)
        low = np.minimum(place.astype(np.int64), len(stops) - 2)
        table = [
            blend(stops[i], stops[i + 1], np.linspace(0, 1, 33)) for i in range(len(stops) - 1)
        ]
        return np.array(table)[low, np.rint((place - low) * 32).astype(np.int64)]

    def error_km(self, distance_km_N: "NDArray[np.floating]") -> IntArray:
        """Colours of distances: good up to 25 km, over warning at 750 km, to bad from 5,000 km on, and
        bad where a distance isn't known.
        """
        known_km_N = np.nan_to_num(np.asarray(distance_km_N, np.float64), nan=np.inf)
        share = np.log(np.clip(known_km_N, 25, 5000) / 25) / np.log(200)
        near = blend(self.good, self.warning, share / 0.64)
        far = blend(self.warning, self.bad, (share - 0.64) / 0.36)
        return np.where(share < 0.64, near, far)


def inks_of(app: App[Any]) -> Inks:
    """The colours of the app's theme."""
    theme = app.current_theme
    variables = app.theme_variables

    def ink(name: str, default: str) -> int:
        colour = Color.parse(variables.get(name) or default)
        return rgb(*colour.rgb)

    foreground, background = ink("foreground", "#d8dce2"), ink("background", "#14171c")
    muted, faint = (int(c) for c in blend(background, foreground, np.array([0.55, 0.22])))
    return Inks(
        dark=theme.dark,
        foreground=foreground,
        muted=muted,
        faint=faint,
        background=background,
        surface=ink("surface", "#1b1f26"),
        accent=ink("accent", "#e0b060"),
        good=ink("success", "#7fbf7f"),
        warning=ink("warning", "#e0b060"),
        bad=ink("error", "#e07070"),
        series=_SERIES_DARK if theme.dark else _SERIES_LIGHT,
        has_colour=not app.no_color,
    )


def inks_for(widget: Widget) -> Inks:
    """The colours for a widget."""
    return inks_of(cast("App[Any]", widget.app))
