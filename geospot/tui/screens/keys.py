"""Every key of the screen below, with what it does."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from rich.table import Table as Grid
from rich.text import Text
from textual.app import App, ComposeResult
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
        inks = inks_of(cast(App[Any], self.app))
        listed = _listed(self._groups, f"#{inks.accent:06x}", f"#{inks.muted:06x}")
        self.query_one("#keys-list", Static).update(listed)

    def action_scroll(self, lines: int) -> None:
        """Moves the list."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def _listed(groups: Sequence[KeyGroup], accent: str, muted: str) -> Grid:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(Text("Keys", "bold"), "", Text("esc or ? closes · ↑ ↓ scroll", muted))
    for group in sorted(groups, key=lambda group: group.title != SCREEN_TITLE):
        grid.add_row("")
        grid.add_row(Text(group.title, "bold"))
        for key in group.keys:
            grid.add_row(
                Text(f"  {key.shown}", f"bold {accent}"), Text(key.label), Text(key.tooltip, muted)
            )
    return grid
