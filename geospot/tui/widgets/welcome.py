"""What stands in place of the list while there are no runs: the three things one can do, and the demo."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from geospot.textsafe import printable

_THINGS = (
    (
        "demo",
        "D",
        "See it work",
        "A tiny model learns here, in some minutes: no key, no GPU, no download.",
    ),
    (
        "train",
        "n",
        "Train",
        "Supervised or by reward, on OSV-5M or photos of your own, from a form.",
    ),
    (
        "evaluate",
        "E",
        "Evaluate",
        "Score a model, yours or a hosted one, with intervals that hold.",
    ),
    ("watch", "o", "Watch", "Runs in another folder, a colleague's for instance, as they go on."),
)


class Welcome(VerticalScroll, can_focus=False):
    """The first start. Arrows and enter choose, or each thing's own key."""

    DEFAULT_CSS = """
    Welcome { align: center middle; height: 1fr; }
    Welcome > * { width: 76; height: auto; }
    Welcome OptionList {
        border: none; padding: 0; margin: 1 0; background: $background; height: auto;
    }
    Welcome OptionList:focus { border: none; background-tint: $foreground 0%; }
    Welcome #welcome-where { color: $text-muted; }
    Welcome #welcome-keys { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", tooltip="Do what the cursor is on"),
    ]

    class Chosen(Message):
        """One of the things was chosen: `demo`, `train`, `evaluate` or `watch`."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def compose(self) -> ComposeResult:
        """What geospot is, where it looked, and what one can do."""
        yield Static(
            Text.assemble(
                ("geospot", "bold"),
                " trains vision-language models to say where a photo was taken,\n"
                "and measures honestly how good they are.",
            )
        )
        yield Static("", id="welcome-where", markup=False)
        yield OptionList(
            *(Option(_thing(key, title, what), id=id_) for id_, key, title, what in _THINGS)
        )
        yield Static(
            "↑ ↓ and enter, or the letter in front · ? shows every key · q quits",
            id="welcome-keys", markup=False,
        )  # fmt: skip

    def say_where(self, folders: Sequence[Path]) -> None:
        """Says where runs were looked for."""
        where = ", ".join(printable(str(folder)) for folder in folders)
        self.query_one("#welcome-where", Static).update(
            Text(f"\nThere are no runs yet in {where}. One appears here as soon as it starts.")
        )

    def focus_things(self) -> None:
        """The things one can do get the keys."""
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Tells what was chosen."""
        event.stop()
        self.post_message(self.Chosen(event.option_id or ""))

    def action_choose(self) -> None:
        """Chooses what the cursor is on."""
        self.query_one(OptionList).action_select()


def _thing(key: str, title: str, what: str) -> Text:
    return Text.assemble((f" {key} ", "bold reverse"), (f"  {title}", "bold"), f"\n     {what}")
