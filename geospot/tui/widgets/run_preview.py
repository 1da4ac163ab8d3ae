"""What the list says of the run under the cursor, where there is room: state, checkpoints, log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.text import Text
from textual.widget import Widget

from geospot.errors import GeospotError
from geospot.numbertext import duration
from geospot.runs.catalogue import RunSummary
from geospot.runs.checkpoints import RunCheckpoint, read_checkpoints
from geospot.runs.watch import LOGS, evaluations
from geospot.textsafe import printable
from geospot.tui.inks import Inks
from geospot.tui.run_rows import standing_cell

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

    def __init__(self, inks: Callable[[], Inks], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._inks = inks
        self._summary: RunSummary | None = None
        self._peek: Peek | None = None

    def show(self, summary: RunSummary | None, files: Peek | None) -> None:
        """Shows a run; what isn't read yet is None."""
        if (summary, files) != (self._summary, self._peek):
            self._summary, self._peek = summary, files
            self.refresh()

    def render(self) -> Text:
        """The lines; the log gets those that are left."""
        run, inks = self._summary, self._inks()
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
        text.append("\n")
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
        room = self.size.height - 3
        for line in files.log[-room:] if room > 0 else ():
            text.append("\n" + printable(line, limit=400), muted)
        return text


def _about(run: RunSummary) -> Sequence[str]:
    parts = [str(run.folder), run.model]
    if run.pid:
        parts.append(f"process {run.pid} on {run.host}")
    if run.elapsed_s is not None:
        parts.append(f"ran {duration(run.elapsed_s)}")
    return [part for part in parts if part]


def _checkpoints(rows: Sequence[RunCheckpoint]) -> str:
    if not rows:
        return "none yet"
    names = [printable(row.name) for row in rows[-_MOST_CHECKPOINTS:]]
    more = len(rows) - len(names)
    return ("… " if more else "") + " ".join(names)
