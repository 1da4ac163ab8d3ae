"""Whether the terminal can show pixels. It must be asked before the app starts, which then reads its replies.

With `pip install 'geospot-vlm[images]'` and a terminal that speaks kitty's or the sixel protocol photos are
pictures; in all others they are half cells of our own, which need nothing.
"""

import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

SETTING: Final = "GEOSPOT_IMAGES"
"""Environment variable: `cells` never asks the terminal."""
_WIDGETS: Final = "textual_image.widget"


def ask_terminal() -> None:
    """Asks the terminal, by importing textual-image where it is installed: up to 0.3 s without a reply.

    To be called before the app runs. While it runs it would be the app that gets the replies.
    """
    if os.environ.get(SETTING) == "cells" or os.environ.get("NO_COLOR"):
        return
    if sys.__stdout__ is None or not sys.__stdout__.isatty():
        return
    if not find_spec("textual_image") or not _passes_pixels():
        return
    try:
        import_module(_WIDGETS)
    except Exception:  # noqa: BLE001 — whatever a terminal replies, photos are no reason not to start
        return


def pixel_widget() -> Any:
    """The widget that shows pictures as pixels; None where the terminal has no way to, or wasn't asked."""
    if _WIDGETS not in sys.modules:
        return None
    from textual_image import renderable, widget

    is_cells = renderable.Image in (renderable.HalfcellImage, renderable.UnicodeImage)
    return None if is_cells else widget.Image


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
