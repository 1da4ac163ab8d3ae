"""Filling the launch form: a field at a time, by typing over it, by turning through its choices."""

from functools import partial
from pathlib import Path
from typing import ClassVar, Final

from textual.binding import Binding, BindingType

from geospot.runs.launching import Command
from geospot.textsafe import printable
from geospot.tui.screens.launch_checks import Around, free_path
from geospot.tui.screens.launch_form import FOLDER_FIELD, FormScreen
from geospot.tui.screens.launch_list import BEGINS
from geospot.tui.widgets.table import Table

_CARRIED: Final = ("service", "api_key_env", "model_name", "hf_repo", "split", "columns")
"""What stays when one turns from one kind of training to the other."""


class FillingScreen(FormScreen):
    """The form with the keys that fill it; what it is to be started with comes in the subclass."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "down", "to_fields", "Fields", show=False, tooltip="From the buttons to the fields"
        ),
        Binding("left", "app.focus_previous", "Left", show=False, tooltip="The button to the left"),
        Binding("right", "app.focus_next", "Right", show=False, tooltip="The button to the right"),
    ]

    def on_table_selected(self, event: Table.Selected) -> None:
        """A click does what enter does."""
        event.stop()
        self.action_edit()

    def action_edit(self) -> None:
        """Fills a field, or unfolds a section."""
        row = self.fields.row
        if row is None:
            return
        if row.what == "more":
            self._unfolded = self.unfolded ^ {row.name}
            self.show()
        elif row.what == "field":
            self._edit(row.name)

    def take_text(self, text: str) -> bool:
        """Types it; over a field that isn't opened, it replaces what stands there."""
        if self.editor.is_open:
            self.editor.take_text(text)
            return True
        if self.focused is not self.fields or text[0] not in BEGINS:
            return False
        about = self.form.by_name.get(self.fields.field or "") if self.kind in self.pages else None
        if about is not None and not about.choices:
            self._edit(about.name)
            self.editor.take_text(text)
        return True

    def _edit(self, name: str) -> None:
        form, about = self.form, self.form.by_name.get(name)
        if about is None:
            self.say_status(f"{name} is no setting of this command; delete leaves it out")
            return
        if about.is_switch:
            self._turn(name, 1)
            return
        self._as_before = form.said.get(name)
        said = form.said.get(name, "")
        self.editor.open(
            name,
            form.shown(name) if about.choices else said if _is_typable(said) else "",
            about.choices,
            self.fields.value_region,
            self.fields.size,
            None if about.choices else partial(self.offers.of, form, about),
            # What is usual; or what can't be typed in one line, and stays unless something else is typed.
            "" if said and _is_typable(said) else form.shown(name),
        )

    def typed(self, name: str, text: str) -> None:
        """What is typed holds at once."""
        self.form.say(name, text)
        self.changed(is_settled=False)

    def left_editor(self, name: str, text: str | None, go_on: bool) -> None:
        """What was taken holds; else it is as it was before."""
        is_kept = text is None or (not text and not _is_typable(self._as_before))
        self.form.say(name, (self._as_before if is_kept else text) or "")
        self.trouble = ""
        self.set_focus(self.fields)
        self.changed(is_settled=True)
        if go_on:
            self.fields.action_next_field()

    def action_take_back(self) -> None:
        """The default holds again."""
        if self.fields.field is not None:
            self.form.take_back(self.fields.field)
            self.trouble = ""
            self.changed(is_settled=True)

    def action_turn(self, by: int) -> None:
        """The next choice, of a field that has some."""
        if self.fields.field is not None:
            self._turn(self.fields.field, by)

    def _turn(self, name: str, by: int) -> None:
        about = self.form.by_name.get(name)
        if about is None or not about.choices:
            return
        now = self.form.shown(name)
        at = about.choices.index(now) + by if now in about.choices else 0
        self.form.say(name, about.choices[at % len(about.choices)])
        self.trouble = ""
        self.changed(is_settled=True)

    # Keys

    def action_kind(self, kind: Command) -> None:
        """Another kind; each keeps what is filled in."""
        if kind == self.kind:
            return
        if kind in self.pages:
            self.turn_to(kind)
            return
        carried = {} if "eval" in (kind, self.kind) else self._carried()
        self.run_worker(partial(self._open_page, kind, carried), group="page", exclusive=True)

    def _carried(self) -> dict[str, str]:
        return {name: self.form.said[name] for name in _CARRIED if name in self.form.said}

    def action_to_fields(self) -> None:
        """To the fields."""
        self.fields.focus()

    def action_unfold(self) -> None:
        """Shows every setting, or folds away the unusual ones."""
        every = self._sections
        self._unfolded = frozenset() if self.unfolded >= every else every
        self.show()

    def action_free_path(self) -> None:
        """Says a directory in which nothing is."""
        self.run_worker(self._free_path, group="page")

    async def _free_path(self) -> None:
        form, name = self.form, FOLDER_FIELD[self.kind]
        path = Path(form.shown(name) or self.kind)
        form.say(name, str(await self.geospot.reader.do(free_path, path)))
        self.changed(name, is_settled=True)

    def action_look(self) -> None:
        """Looks at the service and the disk again."""
        self.asked, self.around = None, Around()
        self.look_around(is_settled=True)


def _is_typable(text: str | None) -> bool:
    """Whether a line can hold it: no line ends, nothing that moves a cursor."""
    return text is None or printable(text) == text
