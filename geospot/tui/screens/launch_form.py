"""The launch form itself: fields that are filled, checked as one types, and shown with what they come to."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.timer import Timer
from textual.widgets import Button, Static

from geospot.config.learning import LearnConfig
from geospot.config.recipes import with_recipe
from geospot.config.text import shell_line
from geospot.errors import UsageError
from geospot.runs.forecast import Line, forecast
from geospot.runs.launching import Command
from geospot.textsafe import printable
from geospot.tui.form import Form
from geospot.tui.screens.launch_checks import Around, checkpoint_model, free_path
from geospot.tui.screens.launch_choices import Offers
from geospot.tui.screens.launch_editor import FieldEditor
from geospot.tui.screens.launch_list import BEGINS, FieldTable, rows_of
from geospot.tui.screens.launch_looks import LooksScreen, Page
from geospot.tui.screens.launch_panel import Beside, panel
from geospot.tui.widgets.table import Table

KINDS: Final[Mapping[Command, str]] = {"sft": "SFT", "rl": "RL", "eval": "Evaluation"}
_KEYS: Final[Mapping[Command, str]] = {"sft": "s", "rl": "r", "eval": "e"}
FOLDER_FIELD: Final[Mapping[Command, str]] = {"sft": "log_path", "rl": "log_path", "eval": "out"}
"""The setting that says where a run or result goes."""

_WIDE: Final = 116
"""Columns from which the panel stands beside the fields instead of below them."""
_PAUSE_S: Final = 0.3
"""So long nobody types before the disk is looked at."""
_PARTS: Final = "#launch-bar Button, #launch-whole, #launch-fields, #launch-editor, #launch-panel"
_PARTS_COUNT: Final = 9
_NEWS_S: Final = 5.0
_CARRIED: Final = ("service", "api_key_env", "model_name", "hf_repo", "split", "columns")
"""What stays when one turns from one kind of training to the other."""


class FormScreen(LooksScreen):
    """One form a kind, of which one is shown; what it is to be started with comes in the subclass."""

    DEFAULT_CSS = """
    FormScreen { layers: base edit; }
    FormScreen #launch-bar { height: 1; background: $surface; }
    FormScreen #launch-bar Button { width: auto; min-width: 6; margin-right: 1; background: $surface; }
    FormScreen #launch-bar Button.-on { background: $primary 40%; text-style: bold; }
    FormScreen #launch-bar Button:focus { background: $primary; color: $background; text-style: bold; }
    FormScreen #launch-bar #launch-go.-ready { color: $success; text-style: bold; }
    FormScreen #launch-space { width: 1fr; height: 1; }
    FormScreen #launch-whole {
        height: auto; max-height: 6; padding: 0 1; color: $text-error; display: none;
    }
    FormScreen #launch-body { height: 1fr; layout: vertical; }
    FormScreen #launch-area { width: 1fr; height: 1fr; layers: base edit; }
    FormScreen #launch-side {
        width: 100%; height: 9; padding: 0 1; background: $surface; scrollbar-size-vertical: 1;
    }
    FormScreen #launch-panel { width: 100%; height: auto; }
    FormScreen.-wide #launch-body { layout: horizontal; }
    FormScreen.-wide #launch-side { width: 36%; min-width: 42; max-width: 64; height: 100%; padding: 1 2; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "down", "to_fields", "Fields", show=False, tooltip="From the buttons to the fields"
        ),
        Binding("left", "app.focus_previous", "Left", show=False, tooltip="The button to the left"),
        Binding("right", "app.focus_next", "Right", show=False, tooltip="The button to the right"),
    ]

    KEYS_IN_ORDER: ClassVar[bool] = True

    def __init__(self, kind: str = "sft", settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(kind)
        self._given = dict(settings or {})
        self._unfolded: frozenset[str] | None = None  # until the person says: all, if they fit
        self.dry_run = ""
        self.trouble = ""
        self._pause: Timer | None = None
        self._news: tuple[float, Sequence[str]] = (0.0, ())

    def compose_body(self) -> ComposeResult:
        """Kinds and buttons, complaints, fields, panel."""
        with Horizontal(id="launch-bar"):
            for kind, title in KINDS.items():
                yield Button(f"○ {title} ({_KEYS[kind]})", id=f"launch-{kind}", compact=True)
            yield Static(id="launch-space")
            yield Button("Presets (p)", id="launch-presets", compact=True)
            yield Button("Start (ctrl+s)", id="launch-go", compact=True)
        yield Static(id="launch-whole", markup=False)
        with Container(id="launch-body"):
            with Container(id="launch-area"):
                yield FieldTable()
                yield FieldEditor(self._typed, self._left_editor)
            with VerticalScroll(id="launch-side", can_focus=False):
                yield Static(id="launch-panel", markup=False)

    def on_mount(self) -> None:
        """Shows the form and begins to look around."""
        self.offers = Offers(self.geospot.reader, self.geospot.folders)
        self.say_title("New run")
        self.query_one(FieldTable).focus()
        self.run_worker(self._begin, group="begin")

    async def _begin(self) -> None:
        await self._open_page(self.kind, self._given)
        await self.offers.refresh()

    @property
    def fields(self) -> FieldTable:
        """The table of fields."""
        return self.query_one(FieldTable)

    @property
    def editor(self) -> FieldEditor:
        """What opens over a field."""
        return self.query_one(FieldEditor)

    @property
    def is_there(self) -> bool:
        """Whether all parts are there; what comes late, while the app closes, is shown nowhere."""
        return self.is_attached and len(self.query(_PARTS)) == _PARTS_COUNT

    @property
    def unfolded(self) -> frozenset[str]:
        """Sections whose unusual settings are shown: all of them on a screen that has room."""
        if self._unfolded is not None:
            return self._unfolded
        every = self._sections
        room = self.fields.size.height - 1
        return every if len(rows_of(self.form, every, {})) <= room else frozenset()

    @property
    def _sections(self) -> frozenset[str]:
        return frozenset(field.section for field in self.form.fields)

    # The form

    async def _open_page(self, kind: Command, settings: Mapping[str, Any]) -> None:
        """Makes or fills a kind's form; a folder that is free is said where none is."""
        form, trouble = Form(kind), ""
        try:
            form.fill(settings)
        except UsageError as error:
            trouble = str(error)
        start = form.said.get("load_checkpoint_path")
        form.checkpoint_model = await self.geospot.reader.do(checkpoint_model, start)
        form.leave_out_what_is_usual()
        await self.say_folder(form, kind)
        self.pages[kind] = Page(form, dict(form.said))
        self.kind = kind
        self.fresh(trouble)

    async def say_folder(self, form: Form, name: str) -> None:
        """Says a free folder where the app looks for runs or results, unless one is said."""
        place = FOLDER_FIELD[form.kind]
        if place not in form.said:
            folders = self.geospot.results if form.kind == "eval" else self.geospot.folders
            free = await self.geospot.reader.do(free_path, folders[0] / name)
            form.said[place] = str(free)

    def fresh(self, trouble: str = "") -> None:
        """After another form is shown: nothing that was known is about it."""
        if not self.is_there:
            return
        self.around, self.dry_run, self.trouble = Around(), "", trouble
        for kind, title in KINDS.items():
            button = self.query_one(f"#launch-{kind}", Button)
            button.set_class(kind == self.kind, "-on")
            button.label = f"{'●' if kind == self.kind else '○'} {title} ({_KEYS[kind]})"
        self.say_title("New run", KINDS[self.kind])
        self.changed(is_settled=True)

    def changed(self, name: str | None = None, *, is_settled: bool) -> None:
        """Checks and shows everything anew, and soon looks at what the form names.

        Args:
            name: the field that the cursor goes to.
            is_settled: nobody is typing, so that the service can be looked at.
        """
        self.checked, self._news = self.form.check(), (0.0, ())
        self.show(name)
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE_S, partial(self.look_around, is_settled))

    def show(self, name: str | None = None) -> None:
        """Draws the form as it is."""
        if self.kind not in self.pages or not self.is_there:
            return
        form, wrong = self.form, self.wrong
        notes = self.around.notes_of(form)
        lines = rows_of(form, self.unfolded, wrong)
        self.fields.show_form(form, lines, wrong, notes, name)
        self._show_whole()
        self.show_panel()
        self.query_one("#launch-go").set_class(not self.reasons(wrong), "-ready")
        self.say_how_it_stands(wrong)

    def reasons(self, wrong: Mapping[str, str]) -> list[str]:
        """Everything that keeps it from being started."""
        reasons = [self.checked.whole] if self.checked.whole else []
        return reasons + [f"{name}: {reason}" for name, reason in wrong.items()]

    def _show_whole(self) -> None:
        """Says above the fields what is about all of them."""
        lines = [self.trouble] if self.trouble else []
        if self.checked.whole:
            lines.append(self.checked.whole)
        whole = self.query_one("#launch-whole", Static)
        whole.display = bool(lines)
        text = "\n".join(printable(line) for line in "\n".join(lines).split("\n"))
        whole.update(Text(f"✗ {text}"))

    def show_panel(self) -> None:
        """Draws what stands beside the fields."""
        if self.kind in self.pages and self.is_there:
            is_narrow = not self.has_class("-wide")
            content = panel(self.beside(), self.geospot.inks, is_narrow=is_narrow)
            self.query_one("#launch-panel", Static).update(content)

    def _other_reasons(self, name: str | None) -> Sequence[str]:
        """What keeps it from starting and isn't said beside the fields already."""
        said = {name, *self.wrong_of_service()}
        return [f"{one}: {why}" for one, why in self.wrong.items() if one not in said]

    def beside(self) -> Beside:
        """What is known beside the field with the cursor."""
        form, name = self.form, self.fields.field
        lines, why = self._estimate()
        return Beside(
            form=form,
            name=name,
            wrong=self.wrong.get(name or ""),
            note=self.around.notes_of(form).get(name or ""),
            whom=self.whom().name,
            look=self.look if self.whom() == self.asked else None,
            reasons=self._other_reasons(name),
            lines=lines,
            why_none=why,
            command=self.command(),
        )

    def command(self) -> str:
        if self.checked.config is None:
            return ""
        try:
            return shell_line(self.form.command())
        except UsageError:
            return ""

    def say_news(self, *parts: str) -> None:
        """Says what has just been done, for some seconds or until something changes."""
        self._news = (time.monotonic() + _NEWS_S, parts)
        self.say_status(*parts)

    def say_how_it_stands(self, wrong: Mapping[str, str]) -> None:
        until_s, news = self._news
        if time.monotonic() < until_s:
            self.say_status(*news)
            return
        reasons = self.reasons(wrong)
        if reasons:
            count = (
                f"{len(reasons)} things keep it from starting" if len(reasons) > 1 else "not yet"
            )
            self.say_status(count, reasons[0])
        elif self.look is None or self.whom() != self.asked:
            self.say_status(f"looking at {self.whom().name} …")
        else:
            self.say_status("ready", "ctrl+s starts it; it goes on when the app is closed")

    def _estimate(self) -> tuple[Sequence[Line], str]:
        config = self.checked.config
        if self.kind == "eval":
            return (
                (),
                self.dry_run or "u counts photos and tokens, as --dry-run does; nothing is asked",
            )
        if not isinstance(config, LearnConfig):
            return (), "when nothing is wrong any more"
        model = self.form.base_model
        return forecast(with_recipe(config, self.kind, model), model, self.around.earlier), ""

    # Editing

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """The panel is about the field with the cursor."""
        event.stop()
        if not self.editor.is_open:
            self.show_panel()

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

    def take_character(self, character: str) -> bool:
        """Types it; over a field that isn't opened, it replaces what stands there."""
        if self.editor.is_open:
            self.editor.take_character(character)
            return True
        if self.focused is not self.fields or character not in BEGINS:
            return False
        about = self.form.by_name.get(self.fields.field or "") if self.kind in self.pages else None
        if about is not None and not about.choices:
            self._edit(about.name)
            self.editor.take_character(character)
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

    def _typed(self, name: str, text: str) -> None:
        """What is typed holds at once."""
        self.form.say(name, text)
        self.changed(is_settled=False)

    def _left_editor(self, name: str, text: str | None, go_on: bool) -> None:
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
            self.kind = kind
            self.fresh()
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

    def on_resize(self, event: events.Resize) -> None:
        """The panel stands beside the fields where there is room, else below."""
        self.set_class(event.size.width >= _WIDE, "-wide")
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        self.show()
        if self.is_there and self.editor.is_open:
            self.editor.place(self.fields.value_region, self.fields.size)


def _is_typable(text: str | None) -> bool:
    """Whether a line can hold it: no line ends, nothing that moves a cursor."""
    return text is None or printable(text) == text
