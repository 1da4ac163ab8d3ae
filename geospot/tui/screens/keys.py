"""Every key of the screen below, with what it does."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from geospot.tui.inks import inks_of
from geospot.tui.keys import SCREEN_TITLE, KeyGroup


class KeysScreen(ModalScreen[None]):
    """The list of keys, generated from the bindings. It scrolls where it doesn't fit."""

    DEFAULT_CSS = """
    KeysScreen { align: center middle; background: $background 60%; }
    KeysScreen > VerticalScroll {
        width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 1 2;
        background: $panel; scrollbar-size-vertical: 1;
    }
    KeysScreen Static { width: 100%; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Close"),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
        Binding("pagedown,space", "scroll(10)", "Page down", show=False),
        Binding("pageup", "scroll(-10)", "Page up", show=False),
    ]

    def __init__(self, groups: Sequence[KeyGroup]) -> None:
        super().__init__()
        self._groups = groups

    def compose(self) -> ComposeResult:
        """The list."""
        with VerticalScroll(can_focus=False):
            yield Static(id="keys-list")

    def on_mount(self) -> None:
        """Writes it in the colours of the theme."""
        inks = inks_of(self.app)
        listed = _listed(self._groups, f"#{inks.accent:06x}", f"#{inks.muted:06x}")
        self.query_one("#keys-list", Static).update(listed)

    def on_click(self) -> None:
        """A click anywhere closes it."""
        self.dismiss()

    def action_scroll(self, lines: int) -> None:
        """Moves the list."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def _listed(groups: Sequence[KeyGroup], accent: str, muted: str) -> Text:
    text = Text("Keys", "bold")
    text.append("   esc or ? closes · ↑ ↓ scroll", muted)
    keys = [key for group in groups for key in group.keys]
    shown_width = max((cell_len(key.shown) for key in keys), default=0)
    label_width = max((cell_len(key.label) for key in keys), default=0)
    for group in sorted(groups, key=lambda group: group.title != SCREEN_TITLE):
        text.append(f"\n\n{group.title}", "bold")
        for key in group.keys:
            text.append(f"\n  {_padded(key.shown, shown_width)}  ", f"bold {accent}")
            text.append(_padded(key.label, label_width))
            text.append(f"  {key.tooltip}", muted)
    return text


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
