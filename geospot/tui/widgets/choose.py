"""A question with several answers: a list from which one is chosen."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from geospot.textsafe import printable


class Choose(ModalScreen[int | None]):
    """Asks for one of several; answers its number, or None where the person went back.

    Args:
        question: what is asked.
        answers: a line each, in their order.
        first: the number of the answer that the cursor is on at the start.
    """

    DEFAULT_CSS = """
    Choose { align: center middle; background: $background 60%; }
    Choose > Vertical {
        width: 72; max-width: 90%; height: auto; max-height: 90%; padding: 1 2;
        background: $panel; border-left: thick $primary;
    }
    Choose Static { width: 100%; height: auto; }
    Choose OptionList {
        height: auto; max-height: 16; margin-top: 1; border: none; padding: 0; background: $panel;
    }
    Choose OptionList:focus { border: none; background-tint: $foreground 0%; }
    Choose #choose-keys { margin-top: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="Choose nothing"),
        Binding("j", "down", "Down", show=False),
        Binding("k", "up", "Up", show=False),
    ]

    def __init__(self, question: str, answers: Sequence[str], *, first: int = 0) -> None:
        super().__init__()
        self._question, self._answers, self._first = question, answers, first

    def compose(self) -> ComposeResult:
        """The question and its answers."""
        with Vertical():
            yield Static(Text(printable(self._question), "bold"))
            yield OptionList(*(Text(printable(answer)) for answer in self._answers))
            yield Static("enter chooses · esc goes back", id="choose-keys", markup=False)

    def on_mount(self) -> None:
        """The cursor is on the answer that is probably meant."""
        answers = self.query_one(OptionList)
        answers.highlighted = self._first
        answers.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answers."""
        event.stop()
        self.dismiss(event.option_index)

    def action_back(self) -> None:
        """Answers with nothing."""
        self.dismiss(None)

    def action_down(self) -> None:
        """To the next answer."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """To the answer before."""
        self.query_one(OptionList).action_cursor_up()
