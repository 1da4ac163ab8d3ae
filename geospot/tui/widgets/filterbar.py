"""One line in which a filter is typed: keys are completed, and what can't be read is said beside it.

A screen puts it above or below its list, opens it with a key, and hears of each change:

    yield FilterBar({"kind": ("sft", "rl"), "reward": ()}, history=self.geospot.filter_history("runs"))

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        self.filtered_by(event.query)
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static

from geospot.errors import UsageError
from geospot.query import Query, parse_query
from geospot.textsafe import printable

Keys = Mapping[str, Sequence[str]]
"""Names of the fields that can be asked for, and the usual values of each, where it has some."""

_KEPT: Final = 100
_SIGNS: Final = (":", "=", ">", "<")


class FilterBar(Horizontal):
    """The line. It is hidden while it is empty and nobody types in it.

    Enter keeps the filter and goes back to what had the focus; escape empties it first, then goes back.
    Up and down bring earlier filters; tab or right takes the completion that is shown.
    """

    DEFAULT_CSS = """
    FilterBar { height: 1; background: $surface; display: none; }
    FilterBar.-shown { display: block; }
    FilterBar > #filter-label { width: auto; padding: 0 1; color: $text-muted; }
    FilterBar > Input { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    FilterBar > Input:focus { border: none; background: $surface; background-tint: $foreground 0%; }
    FilterBar > #filter-reason { width: auto; height: 1; max-width: 60%; padding: 0 1; color: $text-warning; }
    """

    class Changed(Message):
        """Another filter holds; `query` is what was last readable."""

        def __init__(self, bar: "FilterBar", query: Query, text: str) -> None:
            super().__init__()
            self.bar, self.query, self.text = bar, query, text

        @property
        def control(self) -> "FilterBar":
            """The line it was typed in."""
            return self.bar

    def __init__(
        self,
        keys: Keys,
        *,
        value: str = "",
        history: list[str] | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:
        """A line for these keys.

        Args:
            value: the filter at the start; it is told like a typed one.
            history: earlier filters, oldest first; new ones are added to it.
        """
        super().__init__(id=id)
        self.keys = keys
        self.query_now = Query()
        self.is_readable = True
        """Whether what is typed is a filter; the reason why not stands beside it."""
        self._value = value
        self._history = [] if history is None else history
        self._before: Widget | None = None

    def compose(self) -> ComposeResult:
        """Label, line, reason."""
        yield Static("Filter", id="filter-label", markup=False)
        yield _Line(self._value, self.keys, self._history)
        yield Static("", id="filter-reason", markup=False)

    @property
    def text(self) -> str:
        """What is typed."""
        return self._line.value if self.is_mounted else self._value

    @property
    def _line(self) -> "_Line":
        return self.query_one(_Line)

    def open(self) -> None:
        """Shows the line and types into it; `close` goes back to what has the focus now."""
        focused = self.screen.focused
        if focused is not self._line:
            self._before = focused
        self.add_class("-shown")
        self.screen.set_focus(self._line)  # at once: what is typed next is for it

    def set_text(self, text: str) -> None:
        """Replaces the filter, as if it had been typed."""
        self._line.value = text
        self._show()

    def close(self) -> None:
        """Keeps what is typed, and goes back."""
        if self.text.strip() and self.text not in self._history[-1:]:
            self._history.append(self.text)
            del self._history[:-_KEPT]
        if self._before is not None and self._before.is_attached:
            self.screen.set_focus(self._before)
        else:
            self.screen.focus_next()
        self._show()

    def clear(self) -> None:
        """Empties the line; without a filter everything is shown."""
        self.set_text("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Reads what is typed."""
        event.stop()
        self._read(event.value)

    def on_descendant_blur(self, _event: events.DescendantBlur) -> None:
        """An empty line leaves."""
        self._show()

    def _show(self) -> None:
        self.set_class(bool(self.text) or self._line.has_focus, "-shown")

    def _read(self, text: str) -> None:
        reason = ""
        try:
            self.query_now = parse_query(text, self.keys)
        except UsageError as error:
            reason = str(error)
        else:
            self.post_message(self.Changed(self, self.query_now, text))
        self.is_readable = not reason
        shown = Text(printable(reason), no_wrap=True, overflow="ellipsis")
        self.query_one("#filter-reason", Static).update(shown)
        self._show()


class _Line(Input):
    """The input: with earlier filters, and completion by tab."""

    BINDING_GROUP_TITLE = "In the filter"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Clear, back", tooltip="Empty the filter; once more to go back"),
        Binding("enter", "keep", "Keep", tooltip="Keep the filter and go back to the list"),
        Binding("up", "earlier(-1)", "Earlier", show=False),
        Binding("down", "earlier(1)", "Later", show=False),
        Binding("tab", "complete", "Complete", show=False),
    ]

    def __init__(self, value: str, keys: Keys, history: list[str]) -> None:
        super().__init__(
            value,
            placeholder="key:text  key>number  has:key  -not  word",
            suggester=_KeySuggester(keys),
            select_on_focus=False,
        )
        self._history = history
        self._place: int | None = None

    @property
    def bar(self) -> FilterBar:
        """The line's bar."""
        assert isinstance(self.parent, FilterBar)  # noqa: S101 — made by it only
        return self.parent

    def on_focus(self) -> None:
        """Begins at the end of the history."""
        self._place = None

    def action_leave(self) -> None:
        """Empties the line; an empty one is left."""
        if self.value:
            self.value = ""
        else:
            self.bar.close()

    def action_keep(self) -> None:
        """Keeps the filter, and goes back; one that can't be read is still to be mended."""
        if self.bar.is_readable:
            self.bar.close()

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether a key is typed here; Textual doesn't know the character of `slash`."""
        return key == "slash" or super().check_consume_key(key, character)

    def action_earlier(self, by: int) -> None:
        """Another filter of the history; past the newest comes an empty line."""
        if not self._history:
            return
        place = len(self._history) if self._place is None else self._place
        self._place = min(max(place + by, 0), len(self._history))
        self.value = (*self._history, "")[self._place]
        self.cursor_position = len(self.value)

    def action_complete(self) -> None:
        """Takes the completion; without one, tab goes on to the next place."""
        completed = complete(self.value, self.bar.keys)
        if completed is None:
            self.screen.focus_next()
        else:
            self.value = completed
            self.cursor_position = len(completed)


class _KeySuggester(Suggester):
    def __init__(self, keys: Keys) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._keys = keys

    async def get_suggestion(self, value: str) -> str | None:
        return complete(value, self._keys)


def complete(text: str, keys: Keys) -> str | None:
    """The text with its last word completed to a key or a key's usual value; None where nothing fits."""
    word = text[text.rfind(" ") + 1 :].removeprefix("-")
    if not word or text.count('"') % 2:
        return None
    key, sign, value = word, "", ""
    for mark in _SIGNS:
        if mark in word:
            key, sign, value = word.partition(mark)
            break
    if not sign:
        names = ("has", *keys)
        found = _first(word, names)
        if found is None:
            return None
        whole = found + (":" if found == "has" or keys.get(found) else "")
        return None if whole == word else text[: len(text) - len(word)] + whole
    found = _first(value, keys if key == "has" else keys.get(key, ()))
    if found is None or found == value:
        return None
    shown = f'"{found}"' if " " in found else found
    return text[: len(text) - len(value)] + shown


def _first(beginning: str, words: "Sequence[str] | Keys") -> str | None:
    folded = beginning.casefold()
    return next((word for word in words if word.casefold().startswith(folded)), None)
