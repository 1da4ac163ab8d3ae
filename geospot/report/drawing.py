"""Matplotlib's figures as SVG that stands in a page: its own text, its own colours, no script, no address.

Lines and words that are grey or black on paper take the page's colour instead, so that a page that is dark
has light ones. Nothing that a data set or a model says may be drawn: only numbers, and our own words.
"""

import io
import re
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

# Half of matplotlib's interface has no types; none of it has any here.
_MATPLOTLIB: Final[Any] = import_module("matplotlib")
_FIGURE: Final[Any] = import_module("matplotlib.figure").Figure

INK: Final = "#010203"
"""Stands for the page's own colour until the figure is in the page."""
ERROR_INKS: Final = ("#1b9e4b", "#7aa61f", "#d9a400", "#e06a1b", "#c2263a")
"""Of distances below 25, 200, 750 and 2,500 km, and of all others; alike in lightness on white and black."""
SERIES_INKS: Final = ("#2f7ed8", "#e06a1b", "#1b9e4b", "#8a63d2", "#c2263a", "#8a7a2c", "#1c9aa8")
LINES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
"""Series are told apart by these as well, where there is no colour."""

_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "geospot",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.5,
}
_PROLOGUE: Final = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA: Final = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_SIZE: Final = re.compile(r'(<svg[^>]*?) width="[^"]*"|(<svg[^>]*?) height="[^"]*"')
_NAME: Final = re.compile(r'(\bid="|xlink:href="#|url\(#)')


@contextmanager
def drawn(width: float, height: float) -> Generator[Any]:
    """An empty figure (inches) in the page's style; drawn on within the block."""
    with _MATPLOTLIB.rc_context(_STYLE):
        yield _FIGURE(figsize=(width, height), layout="constrained")


def as_svg(figure: Any, name: str, described: str) -> str:
    """The figure as an `<svg>` element.

    Args:
        name: letters and digits; the element's inner names begin with it, so that figures share none.
        described: what it shows, for who doesn't see it; our own words.
    """
    text = io.StringIO()
    with _MATPLOTLIB.rc_context(_STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = _METADATA.sub("", _PROLOGUE.sub("", text.getvalue(), count=1))
    for _ in range(2):
        svg = _SIZE.sub(r"\1\2", svg, count=1)
    svg = _NAME.sub(rf"\g<1>{name}-", svg)
    svg = svg.replace(INK, "currentColor")
    return svg.replace("<svg", f'<svg role="img" aria-label="{described}"', 1).strip()
