"""Pictures as pixels, by textual-image where it is installed and the terminal speaks one of its protocols.

With `pip install 'geospot-vlm[images]'` and a terminal that speaks kitty's or the sixel protocol photos are
pictures; in all others they are half cells of our own, which need nothing.
"""

import io
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any, Final

from geospot.tui.terminal import Pixels

SETTING: Final = "GEOSPOT_IMAGES"
"""Environment variable: with `cells` the terminal isn't asked for pixels."""
_STDOUT: Final = "__stdout__"
_USUAL_CELL: Final = (10, 20)
"""Width and height in pixels, where the terminal doesn't say: those of a VT340."""


def may_show_pixels() -> bool:
    """Whether the terminal is to be asked for pixels."""
    if os.environ.get(SETTING) == "cells" or os.environ.get("NO_COLOR"):
        return False
    return find_spec("textual_image") is not None and _passes_pixels()


def pixel_widget(pixels: Pixels | None, cell: tuple[int, int]) -> Any:
    """The class of widgets that show pictures as pixels; None where the terminal has no way to.

    textual-image asks the terminal itself while it is imported, and waits 0.1 s for each answer: over a slow
    line the app would take what comes later for keys. So it is told that there is no terminal, and what we
    know of it.

    Args:
        pixels: the terminal's protocol.
        cell: width and height of a cell in pixels, zeros where they aren't known.
    """
    if pixels is None:
        return None
    width, height = cell if all(cell) else _USUAL_CELL
    known = {"TEXTUAL_CELL_WIDTH": str(width), "TEXTUAL_CELL_HEIGHT": str(height)}
    told = {name: value for name, value in known.items() if name not in os.environ}
    terminal = sys.__stdout__
    os.environ.update(told)
    setattr(sys, _STDOUT, io.StringIO())
    try:
        from textual_image import widget
    except Exception:  # noqa: BLE001 — a library that fails is no reason not to start
        return None
    finally:
        setattr(sys, _STDOUT, terminal)
        for name in told:
            del os.environ[name]
    return widget.SixelImage if pixels == "sixel" else widget.TGPImage


def _passes_pixels() -> bool:
    """Whether pixels get through to the terminal: tmux passes them on where its client has sixels."""
    if not os.environ.get("TMUX"):
        return True
    try:
        told = subprocess.run(
            ["tmux", "display-message", "-p", "#{client_termfeatures}"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=1,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return "sixel" in told.stdout.strip().split(",")
