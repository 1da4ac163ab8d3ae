"""What opens over a field to fill it: a line to type in, and below it what can be chosen."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.geometry import Region, Size
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from geospot.textsafe import printable

_MOST: Final = 200
_HEIGHT: Final = 8
_LIST_WIDTH: Final = 44

Completion = Callable[[str], Awaitable[Sequence[str]]]
"""What could stand in the place of what is typed; asked on every change."""

Changed = Callable[[str, str], None]
"""Field, and what is typed in it."""

Closed = Callable[[str, str | None, bool], None]
"""Field, what was taken (None where it is to be as it was before), and whether to go on to the next."""


class FieldEditor(Container):
    """Hidden until `open`. It tells of every change, and how it was closed: at once, and not by a message.

    Enter takes what is typed, or what is chosen in the list; tab takes it and goes on; escape leaves the
    field as it was.

    Args:
        changed: told when something else is typed.
        closed: told when the field is left.
    """

    DEFAULT_CSS = """
    FieldEditor { layer: edit; position: absolute; width: 40; height: auto; display: none; }
    FieldEditor > Input { height: 1; width: 100%; border: none; padding: 0; background: $panel; }
    FieldEditor > Input:focus { border: none; background: $panel; background-tint: $foreground 0%; }
    FieldEditor > Input > .input--selection { text-style: underline; }
    FieldEditor > OptionList {
        width: 44; height: auto; max-height: 8; border: none; padding: 0; background: $surface;
        scrollbar-size-vertical: 1; display: none; overlay: screen;
    }
    FieldEditor > OptionList:focus { border: none; }
    FieldEditor > OptionList.-some { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", tooltip="Leave the field as it was"),
        Binding("tab", "take(True)", "Take, next", tooltip="Take it and go to the next field"),
        Binding("shift+tab", "take(False)", "Take", show=False, tooltip="Take what is chosen"),
    ]

    def __init__(self, changed: Changed, closed: Closed) -> None:
        super().__init__(id="launch-editor")
        self.field = ""
        self._tell_changed, self._tell_closed = changed, closed
        self._told = ""
        self._shown: list[str] = []
        self._is_choice = False
        self._complete: Completion | None = None
        self._asked = 0
        self._lines = 0
        self._most = _HEIGHT
        self._is_above = False

    def compose(self) -> ComposeResult:
        """The line and the list."""
        yield _Line(self)
        yield OptionList()

    @property
    def is_open(self) -> bool:
        """Whether a field is being filled."""
        return bool(self.display)

    def open(
        self,
        name: str,
        text: str,
        choices: Sequence[str],
        where: Region,
        room: Size,
        complete: Completion | None = None,
        placeholder: str = "",
    ) -> None:
        """Opens over a field.

        Args:
            name: the field.
            text: what stands in it.
            choices: all that it can be; empty where one can type.
            where: where its value stands, within the parent.
            room: size of the parent.
            complete: what to offer below what is typed.
            placeholder: what is shown where nothing is typed: the default.
        """
        self.field, self._is_choice, self._complete = name, bool(choices), complete
        line = self.query_one(_Line)
        line.placeholder = printable(placeholder)
        line.display = not choices
        self._told = line.value = text
        line.select_all()  # typing replaces it, arrows keep it
        self._lines = len(choices)
        self.place(where, room)
        self.display = True
        self._offer(choices, text)
        if choices:
            self.screen.set_focus(self.query_one(OptionList))
        else:
            self.screen.set_focus(line)
            self._ask(text, everything=True)

    def take_text(self, text: str) -> None:
        """Types it over what is selected; in a list, each character goes to the next choice that begins so.

        What is pasted is told once: to check the form for each character would take seconds for a long path.
        """
        if self._is_choice:
            for character in text:
                self._jump(character)
            return
        line = self.query_one(_Line)
        line.replace(text, *sorted(line.selection))
        self._tell()

    def place(self, where: Region, room: Size) -> None:
        """The line over the field's value; the list below it where there is room, else above.

        Args:
            where: where the value stands, within the parent.
            room: size of the parent.
        """
        below, wanted = room.height - where.y - 1, min(self._lines or _HEIGHT, _HEIGHT)
        self._is_above = below < min(wanted, 4) and where.y > below
        self._most = max(min(_HEIGHT, where.y - 1 if self._is_above else below), 1)
        options = self.query_one(OptionList)
        options.styles.max_height = self._most
        options.styles.width = min(max(where.width, _LIST_WIDTH), room.width - where.x)
        self.styles.width, self.styles.offset = where.width, (where.x, where.y)
        self._settle()

    def close(self, text: str | None, *, go_on: bool = False) -> None:
        """Hides it and tells."""
        if not self.is_open:
            return
        self.display = False
        self._asked += 1
        self._tell_closed(self.field, text, go_on)

    def take(self, *, go_on: bool = False) -> None:
        """Takes what is chosen in the list if something is, else what is typed."""
        options = self.query_one(OptionList)
        chosen = options.highlighted
        if chosen is not None and chosen < len(self._shown):
            self.close(self._shown[chosen], go_on=go_on)
        elif self._is_choice:
            self.close(None, go_on=go_on)
        else:
            self.close(self.query_one(_Line).value, go_on=go_on)

    def move(self, by: int) -> None:
        """Another line of the list; above the first one is what is typed."""
        options = self.query_one(OptionList)
        if not self._shown:
            return
        at = -1 if options.highlighted is None else options.highlighted
        at = min(max(at + by, -1), len(self._shown) - 1)
        options.highlighted = None if at < 0 else at

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tells what is typed now; the event may come late, and be about the field before."""
        event.stop()
        if self.is_open and not self._is_choice:
            self._tell()

    def _tell(self) -> None:
        """Tells, and looks for what could be meant."""
        text = self.query_one(_Line).value
        if text != self._told:
            self._told = text
            options = self.query_one(OptionList)
            options.highlighted = None  # it was an answer to what stood there before
            self._tell_changed(self.field, text)
            self._ask(text, everything=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Takes a line of the list, by enter or a click."""
        event.stop()
        if event.option_index < len(self._shown):
            self.close(self._shown[event.option_index])

    def action_take(self, go_on: bool) -> None:
        """Takes what is typed or chosen."""
        self.take(go_on=go_on)

    def action_leave(self) -> None:
        """Leaves the field as it was."""
        self.close(None)

    def _jump(self, letter: str) -> None:
        options = self.query_one(OptionList)
        first = 0 if options.highlighted is None else options.highlighted + 1
        for number in (*range(first, len(self._shown)), *range(first)):
            if self._shown[number].startswith(letter):
                options.highlighted = number
                return

    def on_descendant_blur(self) -> None:
        """A click elsewhere takes what is typed."""
        self.call_after_refresh(self._left)

    def _left(self) -> None:
        if not self.is_attached:
            return
        focused = self.screen.focused
        if focused is None or self not in focused.ancestors:
            self.take_typed()

    def take_typed(self) -> None:
        """Closes it, where it is open; what is typed is taken."""
        self.close(None if self._is_choice else self.query_one(_Line).value)

    def _ask(self, text: str, *, everything: bool) -> None:
        if self._complete is None:
            self._offer((), "")
            return
        self._asked += 1
        self.run_worker(
            partial(self._answer, self._asked, text, everything=everything),
            group="complete",
            exclusive=True,
        )

    async def _answer(self, asked: int, text: str, *, everything: bool) -> None:
        if self._complete is None:
            return
        found = await self._complete("" if everything else text)
        if everything and not found:
            found = await self._complete(text)
        if asked == self._asked and self.is_open:
            self._offer(found, "")

    def _offer(self, texts: Sequence[str], highlighted: str) -> None:
        options = self.query_one(OptionList)
        self._shown = list(texts[:_MOST])
        options.clear_options()
        options.add_options(
            [
                Option(Text(printable(text), no_wrap=True, overflow="ellipsis"))
                for text in self._shown
            ]
        )
        options.set_class(bool(self._shown), "-some")
        options.highlighted = (
            self._shown.index(highlighted)
            if self._is_choice and highlighted in self._shown
            else None
        )
        self._settle()

    def _settle(self) -> None:
        """Puts the list where it belongs at its length."""
        above = -min(len(self._shown), self._most) - (0 if self._is_choice else 1)
        self.query_one(OptionList).styles.offset = (0, above if self._is_above else 0)


class _Line(Input):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take", tooltip="Take what is typed or chosen"),
        Binding("down", "move(1)", "List", show=False, tooltip="Into the list below"),
        Binding("up", "move(-1)", "List", show=False, tooltip="Back up to what is typed"),
    ]

    def __init__(self, editor: FieldEditor) -> None:
        super().__init__(compact=True, select_on_focus=False)
        self._editor = editor

    def action_take(self) -> None:
        self._editor.take()

    def action_move(self, by: int) -> None:
        self._editor.move(by)
