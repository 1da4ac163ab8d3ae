"""The answers to one image in full; of two evaluations side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from geospot.textsafe import printable
from geospot.tui.reading import Reader
from geospot.tui.record_text import answers_text

Read = Callable[[], Sequence[Mapping[str, Any]]]
"""Reads records of an image. Blocks."""


class AnswersDialog(ModalScreen[None]):
    """Shows texts as they came, made harmless.

    Args:
        title: which image.
        sides: what each column is called, and what reads its records.
    """

    DEFAULT_CSS = """
    AnswersDialog { align: center middle; background: $background 60%; }
    AnswersDialog > Vertical {
        width: 94%; height: 90%; padding: 0 1; background: $panel; border-left: thick $primary;
    }
    AnswersDialog #answers-title { height: 1; text-style: bold; }
    AnswersDialog #answers-keys { height: 1; color: $text-muted; }
    AnswersDialog VerticalScroll { width: 1fr; padding: 0 1; background: $background; margin-right: 1; }
    AnswersDialog VerticalScroll:focus { background: $surface; }
    AnswersDialog .answers-text { height: auto; width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "leave", "Back", tooltip="To the list"),
        Binding("tab,left,right", "app.focus_next", "Other side", tooltip="Scroll the other text"),
        Binding("y", "copy", "Copy", tooltip="The texts, to the clipboard of the terminal"),
    ]

    def __init__(self, title: str, sides: Sequence[tuple[str, Read]], reader: Reader) -> None:
        super().__init__()
        self._title, self._sides, self._reader = title, sides, reader
        self._texts: list[Text] = [Text() for _ in sides]

    def compose(self) -> ComposeResult:
        """A column each."""
        with Vertical():
            yield Static(Text(printable(self._title), no_wrap=True), id="answers-title")
            with Horizontal():
                for place in range(len(self._sides)):
                    with VerticalScroll():
                        yield Static("reading…", id=f"answers-{place}", classes="answers-text")
            other = "tab other side · " if len(self._sides) > 1 else ""
            keys = f"up down scrolls · {other}y copies · escape goes back"
            yield Static(keys, id="answers-keys", markup=False)

    def on_mount(self) -> None:
        """Reads."""
        self.query(VerticalScroll).first().focus()
        self.run_worker(self._fill(), exclusive=True)

    async def _fill(self) -> None:
        for place, (name, read) in enumerate(self._sides):
            records = await self._reader.do(read)
            text = Text()
            if name:
                text.append(printable(name) + "\n", "bold underline")
            text.append_text(answers_text(records))
            self._texts[place] = text
            for shown in self.query(f"#answers-{place}").results(Static):  # none once it is left
                shown.update(text)

    def action_copy(self) -> None:
        """Copies what is shown."""
        cast(App[None], self.app).copy_to_clipboard("\n\n".join(text.plain for text in self._texts))
        self.notify("Copied.")

    def action_leave(self) -> None:
        """Back."""
        self.dismiss(None)
