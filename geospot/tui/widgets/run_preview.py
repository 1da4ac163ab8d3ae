"""What the list says of the run under the cursor, where there is room: state, checkpoints, log."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from rich.text import Text
from textual.timer import Timer
from textual.widget import Widget

from geospot.errors import GeospotError
from geospot.numbertext import compact, duration
from geospot.runs.catalogue import RunSummary
from geospot.runs.checkpoints import RunCheckpoint, read_checkpoints
from geospot.runs.layout import LOGS
from geospot.runs.watch import evaluations
from geospot.textsafe import printable
from geospot.tui.run_rows import dollars, standing_cell

if TYPE_CHECKING:
    from geospot.tui.app import GeospotApp

_AFTER_S: Final = 0.15
"""How long the cursor stays on a run before its files are read."""
_AGAIN_S: Final = 1.0
_END: Final = 1 << 14
_MOST_LOG: Final = 12
_MOST_CHECKPOINTS: Final = 6


@dataclass(frozen=True, slots=True)
class Peek:
    """A few of a run's files, read for the preview."""

    folder: Path
    checkpoints: Sequence[RunCheckpoint] = ()
    evaluations: Sequence[Path] = ()
    log: Sequence[str] = ()
    """The newest lines, oldest first."""


def peek(folder: Path) -> Peek:
    """Reads them; blocks. What can't be read is left out."""
    try:
        checkpoints = tuple(read_checkpoints(folder))
    except GeospotError:
        checkpoints = ()
    return Peek(folder, checkpoints, evaluations(folder), _log(folder))


def _log(folder: Path) -> Sequence[str]:
    try:
        with (folder / LOGS).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _END))
            data = file.read(_END)
    except OSError:
        return ()
    lines = data.decode("utf-8", "replace").splitlines()
    return tuple(lines[1:] if size > _END else lines)[-_MOST_LOG:]


class RunPreview(Widget):
    """Some lines about one run."""

    DEFAULT_CSS = """
    RunPreview {
        height: 9; padding: 0 1; background: $surface;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._folder: Path | None = None
        self._summary: RunSummary | None = None
        self._peek: Peek | None = None
        self._waiting: Timer | None = None

    def on_mount(self) -> None:
        """Files are looked at again and again."""
        self.set_interval(_AGAIN_S, self._peek_soon)

    def show(self, folder: Path | None, summary: RunSummary | None) -> None:
        """Shows a run; a summary that isn't read yet is None. Its files are read when it stays."""
        if (folder, summary) != (self._folder, self._summary):
            self._folder, self._summary = folder, summary
            self.refresh()
        if self._peek is None or self._peek.folder != folder:
            self._peek_soon()

    def _peek_soon(self) -> None:
        if self.display and self.screen.is_current and self._waiting is None:
            self._waiting = self.set_timer(_AFTER_S, self._begin_peek)

    def _begin_peek(self) -> None:
        self._waiting = None
        if self._folder is not None:
            self.run_worker(self._look_into(self._folder), exclusive=True)

    async def _look_into(self, folder: Path) -> None:
        found = await self._app.reader.do(peek, folder)
        if found != self._peek:
            self._peek = found
            self.refresh()

    @property
    def _app(self) -> "GeospotApp":
        return cast("GeospotApp", self.app)

    def render(self) -> Text:
        """The lines; the log gets those that are left."""
        run, inks = self._summary, self._app.inks
        text = Text(no_wrap=True, overflow="ellipsis")
        if run is None:
            return text
        muted = f"#{inks.muted:06x}"
        standing = standing_cell(run.standing, inks)
        text.append(printable(run.name), "bold")
        text.append("  ")
        text.append(standing.text, standing.style)
        for part in (run.phase, run.reason):
            if part:
                text.append(f"  {printable(part)}")
        text.append(f"\n{printable(str(run.folder))}\n", muted)
        text.append(" · ".join(printable(part) for part in _about(run)), muted)
        files = self._peek
        if files is None or files.folder != run.folder:
            return text
        text.append("\nCheckpoints  ", muted)
        text.append(_checkpoints(files.checkpoints))
        if files.evaluations:
            text.append("   Evaluations  ", muted)
            newest = printable(files.evaluations[-1].name)
            text.append(f"{len(files.evaluations)}, newest {newest}")
        room = self.size.height - 4
        for line in files.log[-room:] if room > 0 else ():
            text.append("\n" + printable(line, limit=400), muted)
        return text


def _about(run: RunSummary) -> Sequence[str]:
    """Also what the table has no room for."""
    return [
        part
        for part in (
            run.model,
            "" if run.elapsed_s is None else f"ran {duration(run.elapsed_s)}",
            "" if run.tokens is None else f"{compact(run.tokens)} tokens",
            dollars(run.cost_usd),
            f"process {run.pid} on {run.host}" if run.pid else "",
        )
        if part
    ]


def _checkpoints(rows: Sequence[RunCheckpoint]) -> str:
    if not rows:
        return "none yet"
    names = [printable(row.name) for row in rows[-_MOST_CHECKPOINTS:]]
    more = len(rows) - len(names)
    return ("… " if more else "") + " ".join(names)
