"""Asks for a folder."""

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from geospot.textsafe import printable
from geospot.tui.reading import Reader


class AskFolder(ModalScreen[Path | None]):
    """A line for a folder's path; answers with the folder, or None where the person went back."""

    DEFAULT_CSS = """
    AskFolder { align: center middle; background: $background 60%; }
    AskFolder > Vertical {
        width: 72; max-width: 90%; height: auto; padding: 1 2;
        background: $panel; border-left: thick $primary;
    }
    AskFolder Static { width: 100%; height: auto; }
    AskFolder Input { height: 1; border: none; padding: 0 1; margin: 1 0; background: $surface; }
    AskFolder Input:focus { border: none; }
    AskFolder #folder-reason { color: $text-muted; }
    AskFolder #folder-reason.-wrong { color: $text-warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="Ask for nothing"),
    ]

    def __init__(self, question: str, reader: Reader) -> None:
        super().__init__()
        self._question, self._reader = question, reader

    def compose(self) -> ComposeResult:
        """The question, the line, and what is wrong with what it says."""
        with Vertical():
            yield Static(Text(printable(self._question), "bold"))
            yield Input(placeholder="a path, ~ for your home")
            yield Static("enter watches it · esc goes back", id="folder-reason", markup=False)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answers, where there is such a folder."""
        event.stop()
        text = event.value.strip()
        folder = await self._reader.do(_folder, text) if text else None
        if not self.is_current:
            return  # it was left meanwhile
        if folder is not None:
            self.dismiss(folder)
            return
        reason = "There is no such folder." if text else "Type the path of a folder."
        self.query_one("#folder-reason", Static).update(reason)
        self.query_one("#folder-reason").add_class("-wrong")

    def action_back(self) -> None:
        """Answers with nothing."""
        self.dismiss(None)


def _folder(text: str) -> Path | None:
    try:
        folder = Path(text).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # no such user, a name too long, a NUL
        return None
