"""The newest lines of a log: it follows the end unless one has scrolled; warnings and errors stand out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from geospot.textsafe import printable
from geospot.tui.inks import Inks, inks_for

_OURS: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)T(?P<time>\d\d:\d\d:\d\d)Z (?P<level>INFO|WARNING|ERROR) (?P<text>.*)"
)
_WORDS: Final = re.compile(
    r"\b(?P<error>ERROR|CRITICAL|Traceback|\w+Error:)|\b(?P<warning>WARN(ING)?)\b"
)
_WHEN: Final = 20
_LEVEL: Final = 8
"""Cells of the time and of the level, where there are such."""
_MOST_ROWS: Final = 12
"""Rows that one line may take; what is cut off is said."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log: when (as it stands there), how grave (`info`, `warning`, `error`), what."""

    when: str
    level: str
    text: str


def read_line(line: str) -> LogLine:
    """Takes a line apart; one of another program is all text, and its words say how grave it is."""
    found = _OURS.fullmatch(line)
    if found is not None:
        when = f"{found['date']} {found['time']}"
        return LogLine(when, found["level"].lower(), printable(found["text"]))
    words = _WORDS.search(line)
    level = "info" if words is None else ("error" if words["error"] else "warning")
    return LogLine("", level, printable(line))


class LogPane(ScrollView, can_focus=True):
    """Lines of a log, wrapped; `show` gives them, oldest first."""

    DEFAULT_CSS = """
    LogPane { height: 1fr; background: $background; scrollbar-size-vertical: 1; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown,space", "page_down", "Page down", show=False),
        Binding("home,g", "scroll_home", "Oldest", show=False),
        Binding("end,G", "follow", "Newest", tooltip="To the end, and on with it"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.lines: Sequence[LogLine] = ()
        self.follows = True
        self._rows: list[tuple[LogLine, str, bool]] = []
        self._width = 0

    def show(self, lines: Sequence[LogLine]) -> None:
        """Shows these lines; one who has scrolled stays where he is."""
        self.lines = lines
        self._wrap()

    def on_resize(self) -> None:
        """Wraps anew."""
        if self.scrollable_content_region.width != self._width:
            self._wrap()

    def _wrap(self) -> None:
        """Brings lines to rows of the width: a row's line, its part of the text, whether it is the first."""
        self._width = self.scrollable_content_region.width
        room = max(self._width - self._lead, 8)
        self._rows = [
            (line, part, place == 0)
            for line in self.lines
            for place, part in enumerate(_wrapped(line.text, room))
        ]
        self.virtual_size = Size(self._width, len(self._rows))
        if self.follows:
            self.scroll_end(animate=False, immediate=True)
        self.refresh()

    @property
    def _lead(self) -> int:
        """Cells before the text: time and level."""
        return _LEVEL + (_WHEN if any(line.when for line in self.lines) else 0)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whether the end is in sight says whether it is followed."""
        super().watch_scroll_y(old_value, new_value)
        self.follows = new_value >= self.max_scroll_y

    def action_follow(self) -> None:
        """Goes to the end."""
        self.follows = True
        self.scroll_end(animate=False)

    def render_line(self, y: int) -> Strip:
        """A row of a line."""
        row = self.scroll_offset.y + y
        base = self.rich_style
        if row >= len(self._rows):
            return Strip.blank(self._width, base)
        line, part, is_first = self._rows[row]
        inks = inks_for(self)
        level, when = _style(line.level, inks), line.when if is_first else ""
        word = line.level.upper() if is_first and line.level != "info" else ""
        segments = [
            Segment(f"{when:<{_WHEN}}"[: self._lead - _LEVEL], base + _style("info", inks)),
            Segment(f"{word:<{_LEVEL}}", base + level),
            Segment(part, base + (level if line.level != "info" else Style.null())),
        ]
        used = sum(cell_len(segment.text) for segment in segments)
        segments.append(Segment(" " * max(self._width - used, 0), base))
        return Strip(segments).crop(0, self._width)


def _wrapped(text: str, width: int) -> list[str]:
    parts = chop_cells(text, width) or [""]
    if len(parts) <= _MOST_ROWS:
        return parts
    rest = sum(map(len, parts[_MOST_ROWS - 1 :]))
    return [*parts[: _MOST_ROWS - 1], f"… {rest:,} more characters"[:width]]


def _style(level: str, inks: Inks) -> Style:
    if level == "info":
        return Style(color=f"#{inks.muted:06x}")
    ink = inks.bad if level == "error" else inks.warning
    return Style(color=f"#{ink:06x}", bold=True)
