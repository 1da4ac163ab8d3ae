"""The question before anything that can't be taken back, or that costs."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from geospot.textsafe import printable


class Confirm(ModalScreen[bool]):
    """Asks, and answers True only where the person said yes. `No` has the focus at the start.

    Args:
        question: what is asked, as a sentence.
        what: what will happen, and what will not.
        yes: the word on the button that does it.
        no: the word on the button that doesn't.
    """

    DEFAULT_CSS = """
    Confirm { align: center middle; background: $background 60%; }
    Confirm > Vertical {
        width: 64; max-width: 90%; height: auto; max-height: 90%; padding: 1 2;
        background: $panel; border-left: thick $warning;
    }
    Confirm Static { width: 100%; height: auto; }
    Confirm #confirm-what { margin: 1 0; color: $text-muted; }
    Confirm Horizontal { height: 1; width: 100%; }
    Confirm Button.-textual-compact {
        width: auto; min-width: 8; margin-right: 2; padding: 0 1;
        background: $surface; color: $foreground; text-style: none;
    }
    Confirm Button.-textual-compact:focus {
        background: $primary; color: $background; text-style: bold underline;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", tooltip="Do it"),
        Binding("n,escape", "answer(False)", "No", tooltip="Leave everything as it is"),
        Binding("left,right,up,down", "app.focus_next", "Other", show=False),
    ]

    def __init__(self, question: str, what: str = "", *, yes: str = "Yes", no: str = "No") -> None:
        super().__init__()
        self._question, self._what, self._yes, self._no = question, what, yes, no

    def compose(self) -> ComposeResult:
        """The question, what it means, and two buttons with their keys."""
        with Vertical():
            yield Static(Text(printable(self._question), "bold"), id="confirm-question")
            yield Static(Text(printable(self._what)), id="confirm-what")
            with Horizontal():
                yield Button(Text(f"{printable(self._no)} (n)"), id="confirm-no", compact=True)
                yield Button(Text(f"{printable(self._yes)} (y)"), id="confirm-yes", compact=True)

    def on_mount(self) -> None:
        """The safe answer has the focus."""
        self.query_one("#confirm-what").display = bool(self._what)
        self.query_one("#confirm-no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answers."""
        event.stop()
        self.action_answer(event.button.id == "confirm-yes")

    def action_answer(self, answer: bool) -> None:
        """Closes the question."""
        self.dismiss(answer)


def ask(
    app: App[Any],
    question: str,
    what: str,
    then: Callable[[], Awaitable[object] | object],
    *,
    yes: str = "Yes",
    no: str = "No",
) -> None:
    """Asks, and does `then` on the event loop where the person said yes."""

    async def answered(answer: bool | None) -> None:
        if answer:
            done = then()  # now, and not behind keys that are typed already
            if isawaitable(done):
                await done

    app.push_screen(Confirm(question, what, yes=yes, no=no), answered)
