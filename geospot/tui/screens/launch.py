"""The screen in which a training or an evaluation is made ready and started."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from textual.binding import Binding, BindingType
from textual.widgets import Button

from geospot.config.load import read_toml
from geospot.config.presets import Preset
from geospot.config.save import save_toml
from geospot.errors import GeospotError
from geospot.runs.launching import MODELS, Command, Launched, launch
from geospot.textsafe import printable
from geospot.tui.form import Form, fitting_kind
from geospot.tui.screens.launch_checks import path_of
from geospot.tui.screens.launch_dialogs import AskPath, Details, PickPreset
from geospot.tui.screens.launch_filling import FillingScreen
from geospot.tui.screens.launch_form import FOLDER_FIELD
from geospot.tui.screens.launch_panel import panel
from geospot.tui.screens.launch_start import Outcome, Starting
from geospot.tui.widgets.confirm import ask

_TOML_BYTES: Final = 1_000_000


class LaunchScreen(FillingScreen):
    """The form with its presets, files, estimate and start."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", tooltip="Check everything, then start", priority=True),
        Binding("u", "dry_run", "Estimate", tooltip="Count an evaluation's photos and tokens"),
        Binding("p", "presets", "Presets", tooltip="Begin with settings that work"),
        Binding("o", "load", "Open TOML", tooltip="Fill the form from a file"),
        Binding("w", "save", "Write TOML", tooltip="Keep what is filled in as a file for --config"),
        Binding("y", "copy", "Copy command", tooltip="Copy the command that does the same"),
        Binding("m", "unfold", "More", tooltip="Show or fold away all unusual settings"),
        Binding(
            "i", "details", "Details", tooltip="All that is known beside this field", show=False
        ),
        Binding("n", "free_path", "Free path", tooltip="A directory that is free", show=False),
        Binding(
            "t", "look", "Look again", tooltip="Look at the service and the disk again", show=False
        ),
        Binding("s", "kind('sft')", "SFT", tooltip="Supervised fine-tuning", show=False),
        Binding("r", "kind('rl')", "RL", tooltip="Reinforcement learning with GRPO", show=False),
        Binding("e", "kind('eval')", "Evaluation", tooltip="Score a model", show=False),
        Binding(
            "1", "leave_for('show_runs')", "Runs", tooltip="All runs, newest first", show=False
        ),
        Binding("q", "leave_for('quit')", "Quit", tooltip="Close the app; runs go on", show=False),
        Binding("escape", "back", "Back", tooltip="To the screen before"),
    ]

    def __init__(self, kind: str = "sft", settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(kind, settings)
        self._is_starting = False

    def action_copy(self) -> None:
        """Copies the command."""
        command = self.command()
        if command:
            self.geospot.copy_to_clipboard(command)
            self.say_news("the command is copied", "it does what Start does")
        else:
            self.say_how_it_stands(self.wrong)

    def action_details(self) -> None:
        """Shows the panel in full."""
        if self.kind in self.pages:
            self.geospot.push_screen(
                Details(panel(self.beside(), self.geospot.inks, is_narrow=False))
            )

    def action_presets(self) -> None:
        """Offers the presets."""
        self.geospot.push_screen(PickPreset(), self._use_preset)

    def _use_preset(self, preset: Preset | None) -> None:
        if preset is not None:
            self.run_worker(partial(self._fill_preset, preset), group="page", exclusive=True)

    async def _fill_preset(self, preset: Preset) -> None:
        form = Form(preset.kind, preset.settings)
        trouble = ""
        if preset.starts_from is not None:
            trouble = await self._begin_from(form, preset)
        await self.say_folder(form, preset.folder)
        self.turn_to(preset.kind, form, trouble)
        if preset.fill:
            self.show(preset.fill[0])
            self.say_news(f"{preset.title}: give {', '.join(preset.fill)}")

    async def _begin_from(self, form: Form, preset: Preset) -> str:
        """Names the newest run that the preset can go on from; what is to be done where there is none."""
        await self.offers.refresh()
        is_eval = preset.kind == "eval"
        for one in self.offers.begun:
            is_tiny = one.model.startswith("geospot/tiny")
            where_fits = is_tiny == (form.shown("backend" if is_eval else "service") == "local")
            if is_eval and one.is_sampled and where_fits:
                form.say("model", one.text)
                return ""
            if not is_eval and one.is_trainable and one.kind == preset.starts_from and where_fits:
                form.say("load_checkpoint_path", one.text)
                return ""
        kind = "SFT run" if preset.starts_from == "sft" else "run"
        return f"There is no {kind} here to go on from yet: train one first, or name one."

    def action_dry_run(self) -> None:
        """Counts what an evaluation would take, wherever its data is; nothing is asked of a model."""
        if self.checked.config is None:
            self.say_how_it_stands(self.wrong)
        else:
            self.estimate()

    def is_offered(self, action: str) -> bool:
        """A training's estimate is there by itself."""
        return action != "dry_run" or (self.kind == "eval" and not self.around.has_data)

    # TOML

    def action_load(self) -> None:
        """Asks for a TOML file, and fills the form from it."""
        self.geospot.push_screen(
            AskPath(self.geospot.reader, "Fill the form from a TOML file", ""), self._loaded_from
        )

    def _loaded_from(self, path: str | None) -> None:
        if path is not None:
            self.run_worker(partial(self._load, path_of(path)), group="page", exclusive=True)

    async def _load(self, path: Path) -> None:
        try:
            settings = await self.geospot.reader.do(read_toml, path, limit_bytes=_TOML_BYTES)
            form = Form(fitting_kind(settings, self.kind), settings)
        except GeospotError as error:
            self.trouble = str(error)
            self.show()
            return
        if form.kind == "eval":
            await self.say_folder(form, form.kind)  # the command would name it when it has begun
        self.turn_to(form.kind, form)
        if form.unknown:
            self.show(next(iter(form.unknown)))

    def action_save(self) -> None:
        """Asks where to, and writes what is filled in as TOML."""
        if self.checked.config is None:
            self.say_how_it_stands(self.wrong)
            return
        usual = f"{Path(self.form.shown(FOLDER_FIELD[self.kind])).name or self.kind}.toml"
        self.geospot.push_screen(
            AskPath(self.geospot.reader, "Write what is filled in as TOML", usual), self._save_to
        )

    def _save_to(self, path: str | None) -> None:
        if path is not None:
            self.run_worker(partial(self._save, path_of(path)), group="save", exclusive=True)

    async def _save(self, path: Path) -> None:
        if await self.geospot.reader.do(os.path.exists, path):
            what = f"{path} is there already, and is replaced by what is filled in here."
            write = partial(self._write_toml, path)
            ask(self.geospot, "Replace the file?", what, write, yes="Replace")
        else:
            await self._write_toml(path)

    async def _write_toml(self, path: Path) -> None:
        heading = f"geospot {self.kind} --config {printable(str(path))}"
        try:
            settings = self.form.settings()
            await self.geospot.reader.do(save_toml, path, settings, heading)
        except GeospotError as error:
            self.trouble = str(error)
            self.show()
            return
        self.trouble = ""
        self.show()
        self.say_news(f"written to {path}", heading)

    # Start

    def action_start(self) -> None:
        """Checks everything once more, then starts."""
        if self.editor.is_open:
            self.editor.take()
        if not self._is_starting and self.kind in self.pages:
            self.run_worker(self._start, group="start", exclusive=True)

    async def _start(self) -> None:
        self._is_starting = True
        try:
            self.trouble = ""
            self.changed(is_settled=False)
            if self.checked.config is not None:
                self.say_status(f"checking the disk and {self.whom().name} …")
                await self.see_disk()
                await self.see_service()
            wrong = self.wrong
            if self.reasons(wrong):
                self.show(next(iter(wrong), None))
                self.geospot.bell()
                return
            launched = await self._launch()
        except GeospotError as error:
            self.trouble = str(error)
            self.show()
            return
        finally:
            self._is_starting = False
        is_local = self.whom().name == "local"
        self.say_status(f"starting geospot {launched.kind}", f"output in {launched.output}")
        waits_for = "loading torch and the model …" if is_local else "connecting …"
        self.geospot.push_screen(Starting(launched, waits_for), partial(self._started, launched))

    async def _launch(self) -> Launched:
        kind, place = self.kind, FOLDER_FIELD[self.kind]
        if not self.form.shown(place):
            await self.say_folder(self.form, kind)
        folder = Path(self.form.shown(place))
        return await self.geospot.reader.do(launch, kind, self.form.settings(), folder)

    def _started(self, launched: Launched, answer: tuple[Outcome, str] | None) -> None:
        outcome, text = answer or ("left", "")
        if outcome == "ended":
            self.trouble = (
                f"geospot {launched.kind} ended before there was anything to open:\n{text}"
            )
            self.changed(is_settled=True)
            return
        self.pages = {
            kind: replace(page, before=dict(page.form.said)) for kind, page in self.pages.items()
        }
        if outcome == "left":
            self.say_news("it goes on by itself", f"output in {text}")
            return
        app = self.geospot
        app.pop_screen()
        if launched.kind == "eval":
            app.open_result(launched.folder)
        else:
            app.open_run(launched.folder)

    def action_back(self) -> None:
        """To the screen before; asks where something was filled in."""
        if not self._asks_before(super().action_back):
            super().action_back()

    async def action_leave_for(self, action: str) -> None:
        """Does what the app does for this key; asks where something was filled in."""
        does = partial(self.geospot.run_action, f"app.{action}")
        if not self._asks_before(does):
            await does()

    def _asks_before(self, then: Callable[[], Awaitable[object] | object]) -> bool:
        if self.is_changed:
            what = "What you filled in is lost. `w` keeps it as a file first."
            ask(self.geospot, "Leave the form?", what, then, yes="Leave", no="Stay")
        return self.is_changed

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The buttons do what their keys do."""
        event.stop()
        button = (event.button.id or "").removeprefix("launch-")
        if button == "go":
            self.action_start()
        elif button == "presets":
            self.action_presets()
        elif button in MODELS:
            self.action_kind(cast(Command, button))
            self.fields.focus()
