"""From pressing Start until there is something to open: what the new process prints, how long it takes."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from geospot.evaluation.results import SAMPLES
from geospot.numbertext import duration
from geospot.runs.launching import Launched
from geospot.textsafe import printable

if TYPE_CHECKING:
    from geospot.tui.app import GeospotApp

Outcome = Literal["live", "ended", "left"]

_EVERY_S: Final = 0.25
_TAIL_BYTES: Final = 8192
_LINES: Final = 8


class Starting(ModalScreen[tuple[Outcome, str]]):
    """Waits, visibly, until the run can be opened, and answers with how it went and why.

    Escape leaves it alone: the process goes on.
    """

    DEFAULT_CSS = """
    Starting { align: center middle; background: $background 60%; }
    Starting > Vertical {
        width: 92; max-width: 94%; height: auto; max-height: 90%; padding: 1 2;
        background: $panel; border-left: thick $primary;
    }
    Starting Static { width: 100%; height: auto; }
    Starting #starting-output { margin: 1 0; min-height: 3; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", tooltip="Don't wait; the process goes on"),
    ]

    def __init__(self, launched: Launched, waits_for: str) -> None:
        """Waits for a process.

        Args:
            waits_for: what it does before its directory tells.
        """
        super().__init__()
        self._launched, self._waits_for = launched, waits_for
        self._began_s = time.monotonic()

    def compose(self) -> ComposeResult:
        """What is waited for, what it has printed, what can be done."""
        with Vertical():
            yield Static(id="starting-what", markup=False)
            yield Static(id="starting-output", markup=False)
            yield Static(
                Text("esc  don't wait; the process goes on, and its output is kept", "dim"),
                id="starting-keys",
            )

    def on_mount(self) -> None:
        """Looks a few times a second."""
        self._say()
        self.run_worker(self._watch, exclusive=True)

    def action_leave(self) -> None:
        """Stops waiting."""
        self.dismiss(("left", f"{self._launched.output}"))

    async def _watch(self) -> None:
        reader = cast("GeospotApp", self.app).reader
        # An evaluation that goes on has answers already; it takes seconds before it adds some.
        size = await reader.do(_size, self._launched.folder / SAMPLES)
        while True:
            outcome, text, lines = await reader.do(_look, self._launched, size)
            if outcome is not None:
                self.dismiss((outcome, text))
                return
            self._say()
            shown = "\n".join(lines[-_LINES:]) or "it has printed nothing yet"
            self.query_one("#starting-output", Static).update(Text(shown))
            await asyncio.sleep(_EVERY_S)

    def _say(self) -> None:
        text = Text()
        text.append(f"geospot {self._launched.kind}", "bold")
        text.append(f"  {duration(time.monotonic() - self._began_s)}  starting: {self._waits_for}")
        self.query_one("#starting-what", Static).update(text)


def _look(launched: Launched, size: int) -> tuple[Outcome | None, str, list[str]]:
    """How far it is: the outcome once there is one, why it ended, and its newest lines. Blocks.

    Args:
        size: bytes of an evaluation's answers before it was started.
    """
    lines = tail_of(launched)
    if (trouble := launched.trouble()) is not None:
        return "ended", trouble, lines
    has_ended = launched.process.poll() is not None
    is_open = launched.is_live()
    if launched.kind == "eval" and not has_ended:
        is_open = is_open and _size(launched.folder / SAMPLES) != size
    if is_open:
        return "live", "", lines
    return ("ended", _ended(lines), lines) if has_ended else (None, "", lines)


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def tail_of(launched: Launched) -> list[str]:
    """The newest lines of its output, printable. Blocks."""
    try:
        with launched.output.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(launched.start, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [printable(line, limit=300) for line in text.splitlines() if line.strip()]


def _ended(lines: list[str]) -> str:
    return "\n".join(lines[-5:]) or "It ended and said nothing."
