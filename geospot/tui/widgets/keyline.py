"""The line at the foot: as many keys as there is room for, the most important first."""

from collections.abc import Sequence
from typing import Any, Final, cast

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import App
from textual.signal import Signal
from textual.widget import Widget

from geospot.tui.inks import inks_of
from geospot.tui.keys import KeyHelp, key_groups

_GAP: Final = 2
_PINNED: Final = ("back", "toggle_keys", "quit")
"""Actions that always stand at the right: the way back, where all keys are, and the way out."""


class KeyLine(Widget):
    """Keys of the screen, generated from its bindings; a click on one is a press of it."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; background: $panel; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[int, int, KeyHelp]] = []

    def on_mount(self) -> None:
        """Follows the focus and the bindings."""
        signal = cast("Signal[object]", self.screen.bindings_updated_signal)  # pyright: ignore[reportUnknownMemberType]
        signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, _screen: object) -> None:
        self.refresh()

    def render(self) -> Text:
        """The keys that fit."""
        every = [key for group in key_groups(self.screen) for key in group.keys]
        keys = [key for key in every if key.is_common and key.is_enabled]
        pinned = [key for key in keys if key.action in _PINNED]
        pinned.sort(key=lambda key: _PINNED.index(key.action))
        others = [key for key in keys if key.action not in _PINNED]
        others.sort(key=self._rank)
        right = _width(pinned)
        free = self.size.width - 2 - right
        shown: list[KeyHelp] = []
        for key in others:
            is_said = any(key.label == other.label for other in shown)  # another key does the same
            if not is_said and _width([*shown, key]) + _GAP <= free:
                shown.append(key)
        text, self._places = Text(" ", no_wrap=True), []
        for key in shown:
            self._append(text, key)
        text.append(" " * max(self.size.width - 1 - right - text.cell_len, 0))
        for key in pinned:
            self._append(text, key)
        return text

    def _rank(self, key: KeyHelp) -> int:
        """The screen's first keys in their order, then all others as they come."""
        first: Sequence[str] = getattr(self.screen, "first_keys", ())
        return first.index(key.action) if key.action in first else len(first)

    def _append(self, text: Text, key: KeyHelp) -> None:
        start = text.cell_len
        inks = inks_of(cast("App[Any]", self.app))
        text.append(key.short, f"bold #{inks.accent:06x}")
        text.append(f" {key.label}", f"#{inks.foreground:06x}")
        self._places.append((start, text.cell_len, key))
        text.append(" " * _GAP)

    def on_click(self, event: events.Click) -> None:
        """Presses the key."""
        for start, end, key in self._places:
            if start <= event.x < end:
                cast("App[Any]", self.app).simulate_key(key.key)


def _width(keys: Sequence[KeyHelp]) -> int:
    return sum(cell_len(key.short) + cell_len(key.label) + 1 + _GAP for key in keys)
