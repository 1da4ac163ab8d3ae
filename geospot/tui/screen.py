"""What all screens have in common: a title, a body, a line that says what is waited for, and the keys."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.await_remove import AwaitRemove
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input, Static
from textual.worker import WorkerCancelled, WorkerFailed

from geospot.textsafe import printable
from geospot.tui.widgets.keyline import KeyLine

if TYPE_CHECKING:
    from geospot.tui.app import GeospotApp


_ORDER: Final = "order"
"""Group of the workers that put a list in order."""
LEAST_WIDTH: Final = 80
LEAST_HEIGHT: Final = 23
"""Of a terminal with 24 lines tmux takes one for itself."""


def type_into(screen: Screen[Any], text: str) -> bool:
    """Types text into the line that has the focus; whether one has it."""
    line = screen.focused
    if not isinstance(line, Input):
        return False
    line.replace(text, *sorted(line.selection))
    return True


class GeoScreen(Screen[None]):
    """A screen with its title above and its status below. Subclasses give `compose_body`."""

    DEFAULT_CSS = """
    GeoScreen > #room-too-small { display: none; width: 100%; height: 1fr; content-align: center middle; }
    GeoScreen.-too-small > * { display: none; }
    GeoScreen.-too-small > #room-too-small { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="To the screen before"),
        Binding("tab", "app.focus_next", "Next part", show=False, tooltip="Of the screen"),
        Binding(
            "shift+tab", "app.focus_previous", "Part before", show=False, tooltip="Of the screen"
        ),
    ]

    _ordered_s = 0.0
    """When an order of the list was wanted last."""

    @property
    def first_keys(self) -> Sequence[str]:
        """Actions that come first at the foot, in this order, before those of what has the focus."""
        return ()

    def is_offered(self, action: str) -> bool:
        """Whether an action is offered at the foot and in the lists of keys: it can be done now.

        A key that isn't offered still works: the sentence that it gives says why it can't be done.
        """
        del action
        return True

    def take_text(self, text: str) -> bool:
        """Types a key's character, or the line that is pasted, where one can type; whether it was."""
        return type_into(self, text)

    def compose(self) -> ComposeResult:
        """Title, body, status, keys."""
        yield Static(id="room-title", markup=False)
        yield from self.compose_body()
        yield Static(id="room-status", markup=False)
        yield KeyLine()
        yield Static(id="room-too-small", markup=False)

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
        self._write("#room-title", text)

    def say_status(self, *parts: str) -> None:
        """Says what the screen shows or waits for."""
        text = " · ".join(printable(part) for part in parts if part)
        self._write("#room-status", Text(text, no_wrap=True, overflow="ellipsis"))

    def _write(self, place: str, text: Text) -> None:
        """Writes where there is such a place: work that ends when the app is closing may come late.

        Their sizes never change, so nothing is laid out anew.
        """
        for static in self.query(place).results(Static):
            static.update(text, layout=False)

    @property
    def is_leaving(self) -> bool:
        """Whether its parts are being removed, one after the other: what comes now is shown nowhere."""
        return not self.display

    def remove(self) -> AwaitRemove:
        """Ends its work before its parts are removed, and not after it: they would be missed."""
        self.workers.cancel_node(self)  # pyright: ignore[reportUnknownMemberType]
        return super().remove()

    def attempt(self, work: Awaitable[object]) -> None:
        """Does something that takes a while, beside the screen; a `GeospotError` is shown as a sentence."""
        self.run_worker(self.geospot.attempted(work), group="attempts")

    def order_anew(self, work: Callable[[], Awaitable[None]]) -> None:
        """Sorts or filters the list beside the screen; an order that was wanted before is given up."""
        self._ordered_s = time.monotonic()
        self.run_worker(work, exclusive=True, group=_ORDER)

    async def in_order(self, within_s: float) -> bool:
        """Waits for the order that was wanted last, unless that was longer ago; whether it had to."""
        if time.monotonic() - self._ordered_s > within_s:
            return False
        going = [
            worker
            for worker in self.workers
            if worker.node is self and worker.group == _ORDER and not worker.is_finished
        ]
        for worker in going:
            with suppress(WorkerCancelled, WorkerFailed):
                await asyncio.shield(worker.wait())  # who waits no longer leaves it at work
        return bool(going)

    def on_resize(self, event: events.Resize) -> None:
        """A terminal that is too small is told so: nothing would stand where it belongs."""
        width, height = event.size
        self.set_class(width < LEAST_WIDTH or height < LEAST_HEIGHT, "-too-small")
        self._write(
            "#room-too-small",
            Text(
                f"This terminal has {width} columns and {height} rows.\n"
                f"geospot needs {LEAST_WIDTH} by {LEAST_HEIGHT}: make it larger, or the letters "
                "smaller.\nq quits"
            ),
        )

    def action_back(self) -> None:
        """To the screen before; the first one stays."""
        if len(self.geospot.screen_stack) > 2:
            self.geospot.pop_screen()
