"""One line in which a place to look at is typed: a continent, or a country by name or code."""

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Static

from geospot.places import country_code, country_name
from geospot.places.outlines import outlines
from geospot.tui.atlas.projection import REGIONS, Box

if TYPE_CHECKING:
    from geospot.tui.app import GeospotApp


def find_place(text: str) -> tuple[str, Box] | None:
    """A region or country that is on the map, by what it is called; None where there is none such.

    The first country that isn't written in English costs a second, so ask in a thread.
    """
    wanted = text.strip().casefold()
    for name, box in REGIONS.items():
        if name.casefold() == wanted:
            return name, box
    code = country_code(wanted) if wanted else None
    box = outlines().boxes.get(code) if code else None
    return (country_name(code) or code, box) if code and box else None


@cache
def place_names() -> Sequence[str]:
    """Every continent and country that is on the map, in English. Slow the first time."""
    return [*REGIONS, *(country_name(code) or code for code in outlines().codes)]


class PlaceBar(Horizontal):
    """The line; it is hidden until it is opened."""

    DEFAULT_CSS = """
    PlaceBar { height: 1; background: $surface; display: none; }
    PlaceBar.-shown { display: block; }
    PlaceBar > .placebar-label { width: auto; padding: 0 1; color: $text-muted; }
    PlaceBar > Input { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    PlaceBar > Input:focus { border: none; background: $surface; background-tint: $foreground 0%; }
    PlaceBar > #placebar-reason { width: auto; padding: 0 1; color: $text-warning; }
    """

    class Found(Message):
        """A place was typed that is on the map."""

        def __init__(self, name: str, box: Box) -> None:
            super().__init__()
            self.name, self.box = name, box

    def __init__(self) -> None:
        super().__init__()
        self._before: Widget | None = None

    def compose(self) -> ComposeResult:
        """Label, line, reason."""
        yield Static("Go to", classes="placebar-label", markup=False)
        yield _Line(placeholder="Europe, Brazil, JP…", suggester=None)
        yield Static("", id="placebar-reason", markup=False)

    def open(self) -> None:
        """Shows the empty line and types into it; `close` goes back to what has the focus now."""
        line = self.query_one(Input)
        if self.screen.focused is not line:
            self._before = self.screen.focused
        line.value = ""
        self.query_one("#placebar-reason", Static).update("")
        self.add_class("-shown")
        self.screen.set_focus(line)  # at once: what is typed next is for it
        self.run_worker(partial(self._suggest, line), exclusive=True)

    async def _suggest(self, line: Input) -> None:
        names = await self._app.reader.do(place_names)
        line.suggester = SuggestFromList(names, case_sensitive=False)

    @property
    def _app(self) -> "GeospotApp":
        return cast("GeospotApp", self.app)

    def close(self) -> None:
        """Hides the line, and goes back."""
        self.remove_class("-shown")
        if self._before is not None and self._before.is_attached:
            self._before.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Tells where to look, or says that there is no such place."""
        event.stop()
        self.run_worker(partial(self._find, event.value), exclusive=True)

    async def _find(self, text: str) -> None:
        found = await self._app.reader.do(find_place, text)
        if found is None:
            reason = "is no continent or country on the map" if text.strip() else ""
            self.query_one("#placebar-reason", Static).update(reason)
            return
        self.close()
        self.post_message(self.Found(*found))

    def on_descendant_blur(self, _event: events.DescendantBlur) -> None:
        """The line leaves with the focus."""
        self.remove_class("-shown")


class _Line(Input):
    """The input: escape leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", tooltip="Back to the map"),
        Binding("enter", "submit", "Go", tooltip="Look at this place"),
        Binding("tab", "cursor_right", "Complete", show=False, tooltip="Take the completion"),
    ]

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether a key is typed here; Textual doesn't know the character of `slash`."""
        return key == "slash" or super().check_consume_key(key, character)

    def action_leave(self) -> None:
        """Back to the map."""
        assert isinstance(self.parent, PlaceBar)  # noqa: S101 — made by it only
        self.parent.close()
