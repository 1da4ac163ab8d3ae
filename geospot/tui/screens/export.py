"""Where the leaderboard is to be written: as CSV or as Markdown, by the ending of the name."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from geospot.durable import put_file
from geospot.errors import UsageError
from geospot.textsafe import printable
from geospot.tui.reading import Reader
from geospot_leaderboard.collect import Broken
from geospot_leaderboard.export import to_csv, to_markdown
from geospot_leaderboard.ranking import Group

_DEFAULT: Final = "leaderboard.csv"
_FORMATS: Final = {".csv": "CSV", ".md": "Markdown", ".markdown": "Markdown"}


class ExportDialog(ModalScreen[Path | None]):
    """Asks for a path and writes there; asks once more where a file would be replaced. Gives the path."""

    DEFAULT_CSS = """
    ExportDialog { align: center middle; background: $background 60%; }
    ExportDialog > Vertical {
        width: 76; max-width: 95%; height: auto; padding: 1 2; background: $panel;
        border-left: thick $primary;
    }
    ExportDialog Static { width: 100%; height: auto; }
    ExportDialog Input { border: none; height: 1; padding: 0 1; margin: 1 0; background: $surface; }
    ExportDialog Input:focus { border: none; }
    ExportDialog #export-keys { color: $text-muted; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", tooltip="Write nothing"),
        Binding("tab", "format", "CSV or Markdown", tooltip="The other format"),
    ]

    def __init__(self, groups: Sequence[Group], broken: Sequence[Broken], reader: Reader) -> None:
        super().__init__()
        self._groups, self._broken, self._reader = groups, broken, reader
        self._may_replace = ""
        """The path for which the person was asked and may say yes."""

    def compose(self) -> ComposeResult:
        """The question, the path, what is wrong with it."""
        with Vertical():
            yield Static(Text("Export the leaderboard", "bold"), id="export-title")
            yield Input(_DEFAULT, id="export-path")
            yield Static("", id="export-reason", markup=False)
            yield Static(
                "enter writes · tab CSV or Markdown · escape leaves", id="export-keys", markup=False
            )

    def on_mount(self) -> None:
        """The path is there to be changed."""
        self.query_one(Input).focus()
        self._say(f"CSV, into {Path.cwd()}")

    def action_leave(self) -> None:
        """Writes nothing."""
        self.dismiss(None)

    def action_format(self) -> None:
        """The other ending."""
        line = self.query_one(Input)
        path = Path(line.value.strip() or _DEFAULT)
        line.value = str(path.with_suffix(".md" if path.suffix == ".csv" else ".csv"))
        line.cursor_position = len(line.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Says what will be written."""
        event.stop()
        self._may_replace = ""
        path = _path(event.value)
        kind = _FORMATS.get(path.suffix.casefold())
        where = path.absolute().parent
        self._say(f"{kind}, into {where}" if kind else "The name has to end in .csv or .md.")

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Writes, or says what stands against it."""
        event.stop()
        path = _path(event.value)
        kind = _FORMATS.get(path.suffix.casefold())
        if kind is None:
            self._say("The name has to end in .csv or .md.")
            return
        is_there = await self._reader.do(os.path.exists, path)
        if is_there and self._may_replace != event.value:
            self._may_replace = event.value
            self._say(f"{path} is there already. Enter once more replaces it.")
            return
        self._say(f"writing {path}…")
        try:
            await self._reader.do(self._write, path, kind)
        except (UsageError, OSError) as error:
            self._say(str(error))
            return
        if self.is_current:  # it may have been left meanwhile
            self.dismiss(path.absolute())

    def _write(self, path: Path, kind: str) -> None:
        """The same text as `geospot leaderboard export` writes, whole or not at all."""
        text = to_csv(self._groups) if kind == "CSV" else to_markdown(self._groups, self._broken)
        if os.path.isdir(path):  # noqa: PTH112 - never raises
            raise UsageError(f"{path} is a folder.", "Give the name of a file.")
        put_file(path, text.encode("utf-8"))

    def _say(self, sentence: str) -> None:
        self.query_one("#export-reason", Static).update(Text(printable(sentence)))


def _path(typed: str) -> Path:
    return Path(os.path.expanduser(typed.strip()))  # noqa: PTH111 - never raises
