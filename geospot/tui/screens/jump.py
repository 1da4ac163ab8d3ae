"""Jump mode: a letter on every place that can have the focus, and the letter goes there."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

_LETTERS: Final = "asdfghjklqwertyuiopzxcvbnm"


class JumpScreen(ModalScreen[Widget | None]):
    """Letters over the screen below; answers with the place whose letter was pressed, or None."""

    DEFAULT_CSS = """
    JumpScreen { background: $background 30%; }
    JumpScreen > Static {
        position: absolute; width: 3; height: 1;
        background: $accent; color: $background; text-style: bold;
    }
    JumpScreen > #jump-how { width: auto; padding: 0 1; background: $panel; color: $text; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="Stay where the focus is"),
    ]

    def __init__(self, places: Sequence[Widget]) -> None:
        super().__init__()
        self._places: Mapping[str, Widget] = dict(zip(_LETTERS, places, strict=False))

    def compose(self) -> ComposeResult:
        """A letter each, at its top left corner."""
        for letter, place in self._places.items():
            mark = Static(f" {letter} ", markup=False)
            mark.styles.offset = place.region.offset
            yield mark
        yield Static("A letter goes to its place · esc goes back", id="jump-how", markup=False)

    def on_mount(self) -> None:
        """Says how, at the foot."""
        self.query_one("#jump-how").styles.offset = (0, self.size.height - 1)

    def on_key(self, event: events.Key) -> None:
        """A letter answers; any other key goes back."""
        event.stop()
        self.dismiss(self._places.get(event.character or ""))

    def action_back(self) -> None:
        """Answers with nothing."""
        self.dismiss(None)


def places_of(widgets: Sequence[Widget], screen: Region) -> Sequence[Widget]:
    """Those of the widgets that are in sight, row by row."""
    seen = [widget for widget in widgets if widget.region.overlaps(screen) and widget.region.area]
    return sorted(seen, key=lambda widget: (widget.region.y, widget.region.x))
