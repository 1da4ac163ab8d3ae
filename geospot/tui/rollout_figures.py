"""Figures of rollouts as they are written: rewards, distances, positions, probabilities, amounts of text."""

import math

from rich.cells import cell_len, set_cell_size

from geospot.runs.rollouts import RolloutRecord
from geospot.textsafe import printable


def cut(text: str, width: int) -> str:
    """The text printable on one line of at most `width` cells; where something is cut off stands a mark."""
    shown = printable(text, limit=4 * width)
    if cell_len(shown) <= width:
        return shown
    return set_cell_size(shown, max(width - 1, 0)).rstrip() + "…"


def outcome_name(turn: RolloutRecord) -> str:
    """The outcome in words."""
    return str(turn.outcome).replace("_", " ")


def number(value: float | None) -> str:
    """A reward or one of its parts; – where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def signed(value: float | None) -> str:
    """An advantage with its sign; – where the group was left out."""
    return "–" if value is None or math.isnan(value) else f"{value:+.3f}"


def kilometres(value: float) -> str:
    """A distance; – where none is known."""
    if math.isnan(value):
        return "– km"
    return f"{value:,.0f} km" if value >= 100 else f"{value:.1f} km"


def position(latitude: float, longitude: float) -> str:
    """Degrees, with a place for the sign."""
    return f"{latitude:.4f}, {longitude:.4f}"


def share(value: float) -> str:
    """A probability in percent."""
    return f"{value:.0%}" if value >= 0.1 else f"{value:.1%}" if value >= 0.001 else f"{value:.0e}"


def size(characters: int) -> str:
    """An amount of text."""
    if characters < 10_000:
        return f"{characters:,} characters"
    return f"{characters / 1e6:.1f} MB" if characters >= 1e6 else f"{characters / 1e3:.0f} kB"


def signed_bar(value: float | None, most: float, half: int) -> str:
    """A bar of 2 × `half` + 1 cells: to the right of its middle where above 0, to the left where below."""
    if value is None or math.isnan(value) or half < 1:
        return " " * half + "·" + " " * half
    eighths = min(round(abs(value) / most * half * 2), half * 2)
    whole, part = divmod(eighths, 2)
    if value < 0:
        return ("▐" if part else "").rjust(half - whole) + "█" * whole + "│" + " " * half
    return " " * half + "│" + ("█" * whole + ("▌" if part else "")).ljust(half)
