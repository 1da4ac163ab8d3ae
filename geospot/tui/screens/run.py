"""One run, live: its curves, how its rewards are spread, its log, its configuration, what it has saved."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from geospot.runs.checkpoints import find_setting
from geospot.runs.watch import RunState
from geospot.textsafe import printable
from geospot.tui.run_control import RunControls
from geospot.tui.screens.run_config import ConfigView, Defaults, defaults_of
from geospot.tui.screens.run_head import head, is_over, long_reason, standing_of
from geospot.tui.screens.run_histograms import Histograms
from geospot.tui.screens.run_log import LogView
from geospot.tui.screens.run_overview import Overview
from geospot.tui.screens.run_picker import Picker
from geospot.tui.screens.run_saved import Evaluation, Saved, read_evaluations
from geospot.tui.widgets.choose import Choose

_TICK_S: Final = 1.0
"""How often what changes with time alone is drawn anew: time spent, time left, whether there is a beat."""

VIEWS: Final = (
    ("overview", "Overview", "o"),
    ("histograms", "Histograms", "h"),
    ("log", "Log", "l"),
    ("config", "Configuration", "c"),
    ("saved", "Checkpoints", "p"),
)
"""Name, title and key of each view."""


class RunScreen(RunControls):
    """One run.

    Args:
        folder: its directory.
    """

    DEFAULT_CSS = """
    RunScreen #run-head { height: 2; padding: 0 1; }
    RunScreen #run-reason {
        height: auto; max-height: 7; padding: 0 1; color: $text-error; display: none;
    }
    RunScreen #run-views { height: 1; padding: 0 1; background: $surface; }
    RunScreen ContentSwitcher { height: 1fr; }
    """
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "rollouts", "Rollouts", tooltip="What it answered, photo by photo"),
        Binding("m", "map", "Map", tooltip="Its answers on the world map"),
        Binding("o", "view('overview')", "Overview", show=False, tooltip="The curves"),
        Binding("h", "view('histograms')", "Histograms", show=False, tooltip="Rewards over steps"),
        Binding("l", "view('log')", "Log", show=False, tooltip="What happened"),
        Binding("c", "view('config')", "Configuration", show=False, tooltip="Every setting"),
        Binding("p", "view('saved')", "Checkpoints", show=False, tooltip="What is saved, evaluations"),
        Binding("comma", "view_by(-1)", "View before", show=False, tooltip="The view to the left"),
        Binding("full_stop", "view_by(1)", "Next view", show=False, tooltip="The view to the right"),
        Binding("slash", "find", "Find", tooltip="Any figure by its name; log and settings: a filter"),
        Binding("w", "compare", "Compare", show=False, tooltip="This run over others"),
    ]  # fmt: skip

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._state = RunState(folder)
        self._known = self._state
        """The newest state of when the directory was still there."""
        self._offered_in = ("", "")
        """Standing and kind for which keys were offered last."""
        self._defaults: Defaults = {}
        self._has_defaults = False
        self._evaluations: Sequence[Evaluation] = ()
        self._end_watching: Callable[[], None] = lambda: None

    def compose_body(self) -> ComposeResult:
        """Head, names of the views, the view."""
        yield Static("", id="run-head", markup=False)
        yield Static("", id="run-reason", markup=False)
        yield ViewNames()
        with ContentSwitcher(initial="overview"):
            yield Overview(id="overview")
            yield Histograms(id="histograms")
            yield LogView(self.geospot.filter_history("log"), id="log")
            yield ConfigView(self.geospot.filter_history("config"), id="config")
            yield Saved(id="saved")

    def on_mount(self) -> None:
        """Begins to watch."""
        self.say_title("runs", self.folder.name)
        self.say_status("reading the run …")
        self._end_watching = self.geospot.watchings.of(self.folder).subscribe(self._told)
        self.set_interval(_TICK_S, self._tick)

    def on_unmount(self) -> None:
        """Ends watching; the run goes on."""
        self._end_watching()

    def on_screen_resume(self) -> None:
        """Draws what came while another screen was above."""
        if self._state.revision or self._state.config or self._state.is_gone:
            self._show()

    def chosen_run(self) -> Path:
        """The run that is shown."""
        return self.folder

    def run_set_aside(self, run: Path) -> None:
        """Its folder has another name now: back to the list."""
        self.action_back()

    def standing_now(self) -> str:
        """What its heartbeat says, or its files."""
        return standing_of(self._known)[0]

    def host_now(self) -> str:
        """The machine that its heartbeat names, where it isn't this one."""
        beat = self._known.beat
        return "" if beat is None or beat.is_here else beat.host

    def is_offered(self, action: str) -> bool:
        """Supervised runs sample nothing, so that there are no rollouts and nothing is on the map."""
        if action in ("rollouts", "map") and self._known.kind == "sft":
            return False
        return super().is_offered(action)

    @property
    def view(self) -> str:
        """The name of the view that is seen."""
        return self.query_one(ContentSwitcher).current or "overview"

    @property
    def first_keys(self) -> Sequence[str]:
        """Of the overview, what can be done with the run: the chart's keys are many."""
        if self.view != "overview":
            return ()
        return ("stop_run", "rollouts", "resume_run", "evaluate_run")

    # What is known

    def _told(self, state: RunState) -> None:
        if not state.is_gone:
            self._known = state
        self._state = state
        if self.is_current and self.is_mounted and not self.is_leaving:
            self._show()

    @property
    def _shown_state(self) -> RunState:
        """What is drawn: of a directory that is gone, what was known of it."""
        return self._known if self._state.is_gone else self._state

    def _show(self) -> None:
        self._show_head()
        self._show_view()
        self._say()
        self._show_keys()

    def _show_view(self) -> None:
        state, view = self._shown_state, self.view
        if view == "overview":
            overview = self.query_one(Overview)
            overview.show(state)
            if self.focused is None:
                overview.focus_first()
        elif view == "histograms":
            self.query_one(Histograms).show(state)
        elif view == "log":
            self.query_one(LogView).show(state)
        elif view == "config":
            self.query_one(ConfigView).show(state, self._defaults)
            if state.config and not self._has_defaults:
                self._has_defaults = True
                self.attempt(self._read_defaults(state.kind))
        else:
            self.query_one(Saved).show(state, self._evaluations)
            self.run_worker(self._read_evaluations(state.evaluations), group="evaluations")

    async def _read_defaults(self, kind: str) -> None:
        self._defaults = await self.geospot.reader.do(defaults_of, kind)
        self._show()

    async def _read_evaluations(self, folders: Sequence[Path]) -> None:
        found = await self.geospot.reader.do(read_evaluations, folders)
        if found != self._evaluations and self.is_mounted:
            self._evaluations = found
            self.query_one(Saved).show(self._shown_state, found)

    def _show_head(self) -> None:
        line = self.query_one("#run-head", Static)
        shown = self._shown_state
        width = line.content_size.width or self.size.width - 2
        line.update(head(shown, width, self.geospot.inks, is_gone=self._state.is_gone))
        reason = "" if self._state.is_gone else long_reason(shown, width)
        whole = self.query_one("#run-reason", Static)
        whole.display = bool(reason)
        whole.update(Text(reason))

    def _tick(self) -> None:
        """Time goes on, also where nothing is written; a process that is killed writes nothing any more."""
        is_shown_so = self.standing_now() == self._offered_in[0]
        if self.is_current and not (is_over(self._state) and is_shown_so):
            self._show_head()
            self._show_keys()

    def _show_keys(self) -> None:
        """Another state offers other keys."""
        state = (self.standing_now(), self._known.kind)
        if state != self._offered_in:
            self._offered_in = state
            self.refresh_bindings()

    def _say(self) -> None:
        """What is waited for, and what is seen."""
        state = self._shown_state
        parts = [
            state.kind.upper() if state.kind != "other" else "",
            str(find_setting(state.config, "model_name") or ""),
        ]
        if self._state.is_gone:
            parts = ["the directory is gone: this is what was known of it"]
        elif state.trouble:
            parts = [state.trouble]
        elif state.is_behind:
            rows = len(state.columns)
            parts = [f"reading its files: {rows:,} steps so far", *parts]
        elif not len(state.columns) and not is_over(state):
            parts = ["waiting for its first step", *parts]
        self.say_status(*parts, *self._said_of_view())

    def _said_of_view(self) -> Sequence[str]:
        if self.view == "config":
            all_of_them, other = self.query_one(ConfigView).counts
            return (f"{all_of_them} settings, {other} not the default", "/ filters · y copies")
        if self.view == "log":
            shown, kept = self.query_one(LogView).count
            return (f"{shown:,} of {kept:,} lines" if shown != kept else f"{kept:,} lines",)
        if self.view == "overview":
            return (f"{len(self._shown_state.columns.keys)} figures · / finds any of them",)
        return ()

    # Views

    def action_view(self, name: str) -> None:
        """Shows a view, and gives it the keys."""
        self.query_one(ContentSwitcher).current = name
        self.query_one(ViewNames).shown = name
        self._show()
        view = self.query_one(f"#{name}")
        if isinstance(view, Overview | Histograms | LogView | ConfigView | Saved):
            view.focus_first()

    def action_view_by(self, by: int) -> None:
        """Shows the view to the left or right."""
        names = [name for name, _, _ in VIEWS]
        self.action_view(names[(names.index(self.view) + by) % len(names)])

    def action_back(self) -> None:
        """All charts again where one was large; else to the screen before."""
        overview = self.query_one(Overview)
        if self.view == "overview" and overview.is_large:
            overview.show_all()
        else:
            super().action_back()

    def action_find(self) -> None:
        """Any figure by its name; in the log and the configuration, a filter."""
        if self.view == "log":
            self.query_one(LogView).find()
        elif self.view == "config":
            self.query_one(ConfigView).find()
        else:
            self.geospot.push_screen(Picker(self._shown_state.columns), self._picked)

    def _picked(self, key: str | None) -> None:
        if key is not None:
            if self.view != "overview":
                self.action_view("overview")
            self.query_one(Overview).add(key)

    def on_resize(self, event: events.Resize) -> None:
        """The head has as much as fits. The class above is told by Textual itself."""
        del event
        self.call_after_refresh(self._show_head)

    # To other screens

    def action_rollouts(self) -> None:
        """The rollouts of the step under the cursor; without one, the newest."""
        self.geospot.open_rollouts(self.folder, self._step_on_record())

    def action_map(self) -> None:
        """The answers of the steps under the cursor on the map."""
        step = self._step_on_record()
        self.geospot.open_run_map(self.folder, None if step is None else (step, step))

    def action_compare(self) -> None:
        """This run, for others to be laid over."""
        self.geospot.open_compare_runs([self.folder])

    def _step_on_record(self) -> int | None:
        """The step that the view's cursor is on, where its rollouts can be read."""
        step: float | None = None
        if self.view == "histograms" and len(self._shown_state.reward):
            step = self.query_one(Histograms).step
        elif self.view == "overview":
            step = next((chart.cursor for chart in self.query_one(Overview).charts), None)
        steps = self._shown_state.rollout_steps
        return int(step) if step is not None and int(step) in set(steps) else None

    def on_histograms_asked(self, event: Histograms.Asked) -> None:
        """Opens the rollouts of a cell: of its steps, and of no others."""
        self.notify(event.said, markup=False)
        among = event.steps if len(event.steps) > 1 else ()  # from one step its neighbours are near
        self.geospot.open_rollouts(self.folder, max(event.steps), event.query, among)

    def on_saved_evaluation_chosen(self, event: Saved.EvaluationChosen) -> None:
        """Opens an evaluation."""
        self.geospot.open_result(event.evaluation.folder)

    def on_saved_checkpoint_chosen(self, event: Saved.CheckpointChosen) -> None:
        """Offers what can be done with a checkpoint."""
        one = event.checkpoint
        acts: list[tuple[str, Callable[[], None]]] = []
        if one.state_path is not None:
            path = one.state_path
            acts.append(
                (
                    "Branch: a new run from it",
                    lambda: self.attempt(self._branch(self.folder, one.name)),
                )
            )
            acts.append((f"Copy the path to go on from: {path}", lambda: self._copy(path)))
        if one.sampler_path is not None:
            path_to_ask = one.sampler_path
            acts.insert(
                0, ("Evaluate it", lambda: self.attempt(self._evaluate(self.folder, one.name)))
            )
            acts.append((f"Copy the path to ask: {path_to_ask}", lambda: self._copy(path_to_ask)))
        if not acts:
            self.notify(
                f"{printable(one.name)} has no paths left to do anything with.", markup=False
            )
            return

        def chosen(place: int | None) -> None:
            if place is not None:
                acts[place][1]()

        question = f"Checkpoint {one.name}"
        self.geospot.push_screen(Choose(question, [words for words, _ in acts]), chosen)

    def _copy(self, text: str) -> None:
        self.geospot.copy_to_clipboard(text)
        self.notify("Copied.", markup=False)


class ViewNames(Widget):
    """The names of the views with their keys; a click shows one."""

    DEFAULT_CSS = """
    ViewNames { height: 1; padding: 0 1; background: $surface; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown = "overview"

    @property
    def shown(self) -> str:
        """The name of the view that is seen."""
        return self._shown

    @shown.setter
    def shown(self, name: str) -> None:
        self._shown = name
        self.refresh()

    def render(self) -> Text:
        """All of them, the one that is seen marked."""
        text = Text(no_wrap=True, overflow="ellipsis")
        for name, title, key in VIEWS:
            text.append(f" {key} ", "dim")
            text.append(f" {title} ", "bold reverse" if name == self._shown else "")
            text.append(" ")
        return text

    def on_click(self, event: events.Click) -> None:
        """Shows what was clicked."""
        offset = event.get_content_offset(self)
        x = offset.x if offset is not None else -1
        for name, title, key in VIEWS:
            width = len(key) + len(title) + 5
            if 0 <= x < width and isinstance(self.screen, RunScreen):
                self.screen.action_view(name)
                return
            x -= width
