"""What the launch form asks for in front of itself: a preset, and the path of a TOML file."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final

from rich.console import RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from geospot.config.presets import PRESETS, Preset
from geospot.textsafe import printable
from geospot.tui.reading import Reader
from geospot.tui.screens.launch_checks import paths_like

_NAMES: Final = {"sft": "SFT", "rl": "RL", "eval": "Evaluation"}
_CSS: Final = """
NAME { align: center middle; background: $background 60%; }
NAME > Vertical {
    width: 76; max-width: 94%; height: auto; max-height: 90%; padding: 1 2;
    background: $panel; border-left: thick $primary;
}
NAME Static { width: 100%; height: auto; }
NAME OptionList {
    height: auto; max-height: 14; border: none; padding: 0; background: $panel; margin-top: 1;
    scrollbar-size-vertical: 1;
}
NAME OptionList:focus { border: none; }
NAME Input { height: 1; border: none; padding: 0; background: $surface; margin-top: 1; }
NAME .keys { margin-top: 1; color: $text-muted; }
NAME Input:focus { border: none; background: $surface; background-tint: $foreground 0%; }
"""


class PickPreset(ModalScreen[Preset | None]):
    """The presets by name; below them what the one with the cursor does."""

    DEFAULT_CSS = _CSS.replace("NAME", "PickPreset") + (
        "PickPreset #preset-meaning { margin-top: 1; min-height: 3; color: $text-muted; }"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", tooltip="Leave the form as it is"),
    ]

    def compose(self) -> ComposeResult:
        """The list, and the meaning."""
        with Vertical():
            yield Static(Text("Begin with", "bold"))
            yield OptionList(*(Option(_titled(preset)) for preset in PRESETS))
            yield Static(id="preset-meaning", markup=False)
            yield _keys("enter begins with it · esc goes back")

    def on_mount(self) -> None:
        """The first preset has the cursor."""
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Says what it does."""
        self.query_one("#preset-meaning", Static).update(Text(PRESETS[event.option_index].meaning))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Takes it."""
        self.dismiss(PRESETS[event.option_index])

    def action_leave(self) -> None:
        """Takes none."""
        self.dismiss(None)


class Details(ModalScreen[None]):
    """All that is known beside a field, where the screen has no room for it."""

    DEFAULT_CSS = (
        _CSS.replace("NAME", "Details")
        + "Details VerticalScroll { height: auto; max-height: 70vh; }"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,i,enter", "app.pop_screen", "Back", tooltip="Back to the form"),
    ]

    def __init__(self, content: RenderableType) -> None:
        super().__init__()
        self._content = content

    def compose(self) -> ComposeResult:
        """The content, which scrolls."""
        with Vertical():
            with VerticalScroll():
                yield Static(self._content, markup=False)
            yield _keys("up down scrolls · esc goes back")


class AskPath(ModalScreen[str | None]):
    """Asks for a file's path, which is completed. Enter takes it, tab completes, escape leaves.

    Args:
        title: what it is for.
        value: what stands there at the start.
        ending: files with another ending aren't offered.
    """

    DEFAULT_CSS = _CSS.replace("NAME", "AskPath")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", tooltip="Leave the form as it is"),
        Binding("tab", "complete", "Complete", tooltip="Complete the path", priority=True),
        Binding("down", "move(1)", "Next", show=False, tooltip="The next path", priority=True),
        Binding("up", "move(-1)", "Before", show=False, tooltip="The path before", priority=True),
    ]

    def __init__(self, reader: Reader, title: str, value: str, *, ending: str = ".toml") -> None:
        super().__init__()
        self._reader, self._title, self._value, self._ending = reader, title, value, ending
        self._paths: Sequence[str] = ()

    def compose(self) -> ComposeResult:
        """The line, and paths that begin so."""
        with Vertical():
            yield Static(Text(self._title, "bold"))
            yield Input(self._value, select_on_focus=False, compact=True)
            yield OptionList()
            yield _keys("enter takes it · tab completes · up down another · esc goes back")

    def on_mount(self) -> None:
        """Types into the line."""
        line = self.query_one(Input)
        line.focus()
        line.cursor_position = len(line.value)
        self._look()

    def on_input_changed(self, _event: Input.Changed) -> None:
        """Looks for paths that begin so; until they are found, none is meant."""
        self._paths = ()
        self._look()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Takes the path of the list's cursor, or the line; a folder is gone into."""
        chosen = self.query_one(OptionList).highlighted
        path = event.value if chosen is None or chosen >= len(self._paths) else self._paths[chosen]
        if path.endswith("/"):
            self._type(path)
        elif path.strip():
            self.dismiss(path)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Takes a path that is clicked; a folder is gone into."""
        if event.option_index >= len(self._paths):
            return
        path = self._paths[event.option_index]
        if path.endswith("/"):
            self._type(path)
            self.query_one(Input).focus()
        else:
            self.dismiss(path)

    def action_leave(self) -> None:
        """Takes none."""
        self.dismiss(None)

    def action_move(self, by: int) -> None:
        """Another path of the list; above the first one is what is typed."""
        options = self.query_one(OptionList)
        at = -1 if options.highlighted is None else options.highlighted
        at = min(max(at + by, -1), len(self._paths) - 1)
        options.highlighted = None if at < 0 else at

    def action_complete(self) -> None:
        """Completes to the path of the list's cursor, or the first."""
        if self._paths:
            self._type(self._paths[self.query_one(OptionList).highlighted or 0])

    def _type(self, path: str) -> None:
        line = self.query_one(Input)
        line.value = path
        line.cursor_position = len(path)

    def _look(self) -> None:
        self.run_worker(
            partial(self._offer, self.query_one(Input).value), group="paths", exclusive=True
        )

    async def _offer(self, text: str) -> None:
        self._paths = await self._reader.do(paths_like, text, ending=self._ending)
        for options in self.query(OptionList):  # none where the line was left meanwhile
            options.clear_options()
            options.add_options(
                [Option(Text(printable(path), no_wrap=True)) for path in self._paths]
            )
            options.highlighted = None


def _keys(line: str) -> Static:
    return Static(Text(line, no_wrap=True, overflow="ellipsis"), classes="keys")


def _titled(preset: Preset) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(_NAMES[preset.kind].ljust(12), "dim")
    text.append(preset.title)
    return text
