"""The app: which screen is shown, what every screen can do, and the way from one to another."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from textual import events
from textual.actions import ActionParseResult
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.dom import DOMNode
from textual.driver import Driver
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Input

from geospot.errors import GeospotError
from geospot.textsafe import printable
from geospot.tui.commands import KeyCommands, Palette, RunCommands
from geospot.tui.driver import lenient
from geospot.tui.inks import DARK, LIGHT, THEMES, Inks, inks_of
from geospot.tui.keys import key_groups
from geospot.tui.listing import Listing
from geospot.tui.reading import Reader, Watchings
from geospot.tui.screen import GeoScreen, type_into

RUNS: Final = Path("runs")
RESULTS: Final = Path("results")
_NEW_OBJECTS: Final = 5000
"""After so many the garbage collector looks through the new ones; Python's usual 700 are a line's cells."""
_CATCHES_UP_S: Final = 2.0
"""A part that is busy for longer, as with a disk that hangs, keeps no key waiting."""


class GeospotApp(App[None]):
    """Runs, live; and everything that a person does with them.

    Args:
        folders: where runs are looked for, at any depth.
        results: where results of evaluations are looked for.
        dark: whether the terminal's background is dark.
        first: what is opened above the list of runs at the start.
        pixel_widget: class of widgets that show pictures as pixels, where the terminal can.
    """

    TITLE = "geospot"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {RunCommands, KeyCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "show_runs", "Runs", tooltip="All runs, newest first"),
        Binding("2", "launch", "New run", tooltip="Train or evaluate"),
        Binding("3", "leaderboard", "Leaderboard", tooltip="Results, ranked"),
        Binding("ctrl+p", "command_palette", "Palette", tooltip="Find runs and commands by name"),
        Binding("ctrl+o", "jump", "Jump", show=False, tooltip="A letter on every place goes there"),
        Binding(
            "ctrl+z",
            "suspend_process",
            "Suspend",
            show=False,
            tooltip="To the shell; fg comes back",
        ),
        Binding("question_mark", "toggle_keys", "Keys", tooltip="Every key of this screen"),
        Binding("q", "quit", "Quit", tooltip="Close the app; runs go on"),
        Binding("ctrl+q", "quit", "Quit", show=False, tooltip="Close the app", priority=True),
    ]

    def __init__(
        self,
        folders: Sequence[Path] = (RUNS,),
        results: Sequence[Path] = (RESULTS,),
        *,
        dark: bool = True,
        first: Callable[["GeospotApp"], None] | None = None,
        pixel_widget: Any = None,
    ) -> None:
        super().__init__()
        self.pixel_widget = pixel_widget
        self.folders = tuple(folders)
        self.results = tuple(results)
        self.reader = Reader()
        self.watchings = Watchings(self.reader)
        self.listing = Listing(self.folders, self.reader)
        if RUNS in self.folders:  # who looks where runs usually are sees the demo's as well
            self.listing.add_folder(self.demo / "runs")
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = (DARK if dark else LIGHT).name
        self._first = first
        self._has_process_to_itself = False
        self._filter_histories: dict[str, list[str]] = {}
        self._typed_on: Screen[Any] | None = None
        """The screen that the last key was for."""

    def get_driver_class(self) -> type[Driver]:
        """What draws, and reads keys."""
        return lenient(super().get_driver_class())

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Runs the app to its end, as all that this process does.

        What is loaded stays, so it is taken out of the garbage collector's sight. While files are read it
        would look through all objects every second or so, and keys wait for it: for 40 ms, or for 200 where
        the processors have other work.
        """
        self._has_process_to_itself = True
        gc.set_threshold(_NEW_OBJECTS, 10, 10)
        gc.freeze()
        super().run(*args, **kwargs)

    def on_ready(self) -> None:
        """The first frame is shown; styles and the list of runs stay as well."""
        if self._has_process_to_itself:
            gc.freeze()

    @property
    def inks(self) -> Inks:
        """Colours for canvases, of the theme that is on."""
        return inks_of(self)

    def filter_history(self, name: str) -> list[str]:
        """Earlier filters of the lists of this name, for a `FilterBar`; new ones are added to it."""
        return self._filter_histories.setdefault(name, [])

    @property
    def demo(self) -> Path:
        """Where `geospot demo` puts its runs and results."""
        return (*self.results, RESULTS)[0] / "demo"

    def on_mount(self) -> None:
        """Shows the runs, and what is to be opened first."""
        from geospot.tui.screens.runs import RunsScreen

        self.push_screen(RunsScreen())
        if self._first is not None:
            self._first(self)

    def on_unmount(self) -> None:
        """Ends the reading threads; runs aren't touched."""
        self.reader.close()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers on every screen, beside the screen's own keys."""
        yield SystemCommand("Theme", "Change the colours", self.action_change_theme)
        for theme in THEMES:
            word = "Dark" if theme.dark else "Light"
            yield SystemCommand(
                f"{word} theme",
                f"For a {word.lower()} background",
                partial(self._set_theme, theme.name),
            )
        yield SystemCommand(
            "Screenshot",
            "Save the screen as SVG",
            lambda: self.set_timer(0.1, self.deliver_screenshot),
        )

    def _set_theme(self, name: str) -> None:
        self.theme = name

    async def on_event(self, event: events.Event) -> None:
        """A key is done before the next one is looked at, and so is what is pasted into a line.

        Else Textual sends it to what has the focus now, and looks for what it is bound to after it came
        back from there: characters that are typed or pasted fast would be ahead of it, and be taken for
        keys, or stand in another field.
        """
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._catch_up()
            if self.app_focus and await self._done_at_once(event):
                return
        await super().on_event(event)

    async def _catch_up(self) -> None:
        """Waits until the last key is done with: a screen that it opens is drawn, and all parts know.

        Parts tell one another by messages. A key that is typed fast would be ahead of them, and be for
        the screen that is just being left, or for the row where the cursor was. A thread that sorts or
        filters a list is waited for, too, unless the key is typed into a line.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCHES_UP_S):
                before = None, None
                while before != (now := (self.screen, self.focused)) or await self._in_order():
                    before = now
                    for part in (self.focused or self.screen).ancestors_with_self:
                        if part is not self:
                            await _heard(part.call_later)
                    if self._typed_on is not self.screen:
                        await _heard(self.screen.call_after_refresh)
                        self._typed_on = self.screen

    async def _in_order(self) -> bool:
        """Waits for the list of the screen, where a key may be for a row of it; whether it had to."""
        if isinstance(self.focused, Input) or not isinstance(self.screen, GeoScreen):
            return False
        return await self.screen.in_order(_CATCHES_UP_S)

    async def _done_at_once(self, event: events.Key | events.Paste) -> bool:
        screen = self.screen
        take = screen.take_text if isinstance(screen, GeoScreen) else partial(type_into, screen)
        if isinstance(event, events.Paste):  # whatever takes it is one line
            line = "".join(filter(str.isprintable, "".join(event.text.splitlines()[:1])))
            return bool(line) and take(line)
        if event.is_printable and take(event.character or ""):
            return True
        return await self._check_bindings(event.key, priority=True) or await self._check_bindings(
            event.key
        )

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Does what a key is bound to; what a person can do something about is shown as a sentence."""
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except (GeospotError, ModuleNotFoundError) as error:
            self.complain(error)
            return True

    async def attempted(self, work: Awaitable[object]) -> None:
        """Waits for work that may fail for reasons that a person can do something about, and shows them."""
        try:
            await work
        except (GeospotError, ModuleNotFoundError) as error:
            self.complain(error)

    def complain(self, error: Exception) -> None:
        """Shows an error: what is wrong, and what to do."""
        text = "\n".join(map(printable, str(error).split("\n")))
        self.notify(text, severity="error", timeout=10, markup=False)

    def on_click(self, event: events.Click) -> None:
        """A click beside a dialog is the way back from it."""
        screen = self.screen
        if not isinstance(screen, ModalScreen) or isinstance(screen, CommandPalette):
            return
        if event.widget is None or event.widget.screen is not screen:
            return  # the click that opened it
        x, y = event.screen_offset
        if not any(box.region.contains(x, y) for box in screen.children):
            self.simulate_key("escape")

    def action_toggle_keys(self) -> None:
        """Shows every key of the screen."""
        from geospot.tui.screens.keys import KeysScreen

        self.push_screen(KeysScreen(key_groups(self.screen)))

    def action_jump(self) -> None:
        """Shows a letter on every place that can have the focus; pressing it goes there."""
        from geospot.tui.screens.jump import JumpScreen, places_of

        def jumped(place: Widget | None) -> None:
            if place is not None and place.is_attached:
                place.focus()

        screen = self.screen
        self.push_screen(JumpScreen(places_of(screen.focus_chain, screen.region)), jumped)

    def action_command_palette(self) -> None:
        """Finds runs and commands by name."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette(id="--command-palette"))

    async def action_quit(self) -> None:
        """Closes the app, and says how many runs go on without it."""
        self.exit(message=self._goes_on())

    def _goes_on(self) -> str | None:
        running = self.listing.running
        if not running:
            return None
        names = ", ".join(printable(run.name) for run in running[:3])
        more = f" and {len(running) - 3} more" if len(running) > 3 else ""
        verb = "runs go on" if len(running) > 1 else "run goes on"
        return f"{len(running)} {verb}: {names}{more}. `geospot tui` shows them again."

    def action_show_runs(self) -> None:
        """Back to the list of runs."""
        while len(self.screen_stack) > 2:
            self.pop_screen()

    def action_launch(self) -> None:
        """The form for a new run."""
        self.open_launch()

    def action_leaderboard(self) -> None:
        """Results, ranked."""
        self.open_leaderboard()

    def open_run(self, folder: Path) -> None:
        """One run, live."""
        from geospot.tui.screens.run import RunScreen

        self.push_screen(RunScreen(folder))

    def open_rollouts(
        self, folder: Path, step: int | None = None, query: str = "", among: Sequence[int] = ()
    ) -> None:
        """The rollouts of a run, at a step (the newest by default), filtered by a query.

        Args:
            among: the steps that can be walked to; all of them by default.
        """
        from geospot.tui.screens.rollouts import RolloutsScreen

        self.push_screen(RolloutsScreen(folder, step, query, among))

    def open_run_map(self, folder: Path, steps: tuple[int, int] | None = None) -> None:
        """Answers of a run on the world map; `steps` is the first and the last, the newest by default."""
        from geospot.tui.screens.map import MapScreen

        self.push_screen(MapScreen.of_run(folder, steps))

    def open_result_map(self, result: Path) -> None:
        """Answers of an evaluation on the world map."""
        from geospot.tui.screens.map import MapScreen

        self.push_screen(MapScreen.of_result(result))

    def open_compare_runs(self, folders: Sequence[Path]) -> None:
        """Several runs over one another."""
        from geospot.tui.screens.compare_runs import CompareRunsScreen

        self.push_screen(CompareRunsScreen(folders))

    def open_compare_results(self, a: Path, b: Path) -> None:
        """Two evaluations, photo by photo; `a` is what `b` is compared with."""
        from geospot.tui.screens.compare_results import CompareResultsScreen

        self.push_screen(CompareResultsScreen(a, b))

    def open_launch(self, kind: str = "sft", settings: Mapping[str, Any] | None = None) -> None:
        """The form for a new run of `kind` (sft, rl, eval), filled with `settings`."""
        from geospot.tui.screens.launch import LaunchScreen

        self.push_screen(LaunchScreen(kind, settings or {}))

    def open_leaderboard(self, folders: Sequence[Path] | None = None) -> None:
        """Results below the folders, ranked."""
        from geospot.tui.screens.leaderboard import LeaderboardScreen

        self.push_screen(LeaderboardScreen(folders or self.results))

    def open_result(self, result: Path) -> None:
        """One evaluation."""
        from geospot.tui.screens.result import ResultScreen

        self.push_screen(ResultScreen(result))


async def _heard(later: Callable[[Callable[[], None]], bool]) -> None:
    """Waits until what `later` is told is done; it isn't told where it says no."""
    heard = asyncio.Event()
    if later(heard.set):
        await heard.wait()
