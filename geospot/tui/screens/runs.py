"""All runs, newest first, live."""

from textual.app import ComposeResult
from textual.widgets import Static

from geospot.tui.screen import GeoScreen


class RunsScreen(GeoScreen):
    """Every run under the app's folders."""

    def compose_body(self) -> ComposeResult:
        """The table."""
        yield Static("")

    def on_mount(self) -> None:
        """Names the screen."""
        self.say_title("runs")
        self.say_status(", ".join(map(str, self.geospot.folders)))
