"""What all screens have in common: a title, a body, a line that says what is waited for, and the keys."""

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static

from geospot.textsafe import printable

if TYPE_CHECKING:
    from geospot.tui.app import GeospotApp


class GeoScreen(Screen[None]):
    """A screen with its title above and its status below. Subclasses give `compose_body`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="To the screen before"),
    ]

    def compose(self) -> ComposeResult:
        """Title, body, status, keys."""
        yield Static(id="room-title", markup=False)
        yield from self.compose_body()
        yield Static(id="room-status", markup=False)
        yield Footer(show_command_palette=False)

    def compose_body(self) -> ComposeResult:
        """What the screen is about."""
        raise NotImplementedError

    @property
    def geospot(self) -> "GeospotApp":
        """The app."""
        return cast("GeospotApp", self.app)

    def say_title(self, *parts: str) -> None:
        """Names the screen; parts are joined as a path, and made printable."""
        text = Text(no_wrap=True, overflow="ellipsis")
        for place, part in enumerate(("geospot", *parts)):
            text.append(" › " if place else "")
            text.append(printable(part), "bold" if place == len(parts) else "")
        self.query_one("#room-title", Static).update(text)

    def say_status(self, *parts: str) -> None:
        """Says what the screen shows or waits for."""
        text = " · ".join(printable(part) for part in parts if part)
        self.query_one("#room-status", Static).update(Text(text, no_wrap=True, overflow="ellipsis"))

    def action_back(self) -> None:
        """To the screen before; the first one stays."""
        if len(self.app.screen_stack) > 2:
            self.app.pop_screen()
