"""The launch form as it is shown: fields, what is wrong with them, and what they come to."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from rich.text import Text
from textual import events
from textual.app import ComposeResult
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
from geospot.tui.screens.launch_estimate import DryRun
from geospot.tui.screens.launch_list import FieldTable, rows_of
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


class FormScreen(LooksScreen):
    """One form a kind, of which one is shown; filling and starting it come in subclasses."""

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

    def __init__(self, kind: str = "sft", settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(kind)
        self._given = dict(settings or {})
        self._unfolded: frozenset[str] | None = None  # until the person says: all, if they fit
        self.dry_run = DryRun()
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
                yield FieldEditor(self.typed, self.left_editor)
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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing can be done with the form before it is there, but to leave it."""
        del parameters
        return self.kind in self.pages or action in ("back", "leave_for")

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
        self.turn_to(kind, form, trouble)
        self.refresh_bindings()

    def turn_to(self, kind: Command, form: Form | None = None, trouble: str = "") -> None:
        """Shows a kind's form, or another in its place; what is being typed belongs to the one before."""
        if self.is_there:
            self.editor.take_typed()
        if form is not None:
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
        self.around, self.trouble = Around(), trouble
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

    def words(self) -> Sequence[str]:
        """The command's arguments; none while something is wrong."""
        if self.checked.config is None:
            return ()
        try:
            return self.form.command()
        except UsageError:
            return ()

    def command(self) -> str:
        """The command as it can be pasted into a shell; empty while something is wrong."""
        return shell_line(self.words())

    def typed(self, name: str, text: str) -> None:
        """Told of every change of what is typed in a field."""
        raise NotImplementedError

    def left_editor(self, name: str, text: str | None, go_on: bool) -> None:
        """Told what was taken for a field, None where nothing was, and whether to go on to the next."""
        raise NotImplementedError

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
        if config is None:
            return (), "when nothing is wrong any more"
        if self.kind != "eval" and isinstance(config, LearnConfig):
            model = self.form.base_model
            return forecast(with_recipe(config, self.kind, model), model, self.around.earlier), ""
        lines, why_none = self.dry_run.said(self.words())
        return lines, why_none or "u counts photos and tokens, which reads the data set's index"

    def disk_seen(self) -> None:
        """Counts what an evaluation of data on this machine would take; what is remote waits for u."""
        self.refresh_bindings()  # u is offered where nothing is counted by itself
        if self.around.has_data and not self.wrong:
            self.estimate()

    def estimate(self) -> None:
        """Asks the evaluation's own --dry-run about the form as it is, unless it has been asked."""
        words = self.words()
        if self.kind == "eval" and words and not self.dry_run.is_about(words):
            self.dry_run.begin(words)
            self.show_panel()
            self.run_worker(partial(self._ask, words), group="dry", exclusive=True)

    async def _ask(self, words: Sequence[str]) -> None:
        await self.dry_run.ask(words, self.form)
        self.show_panel()

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """The panel is about the field with the cursor."""
        event.stop()
        if not self.editor.is_open:
            self.show_panel()

    def on_resize(self, event: events.Resize) -> None:
        """The panel stands beside the fields where there is room, else below."""
        self.set_class(event.size.width >= _WIDE, "-wide")
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        self.show()
        if self.is_there and self.editor.is_open:
            self.editor.place(self.fields.value_region, self.fields.size)
