"""What every screen has: keys at the foot and in a list, palette, themes, errors as sentences, questions."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from geospot.errors import UsageError
from geospot.tui.app import GeospotApp
from geospot.tui.inks import DARK, LIGHT
from geospot.tui.keys import key_groups
from geospot.tui.screen import GeoScreen
from geospot.tui.screens.jump import JumpScreen
from geospot.tui.screens.keys import KeysScreen
from geospot.tui.screens.map import MapScreen
from geospot.tui.screens.runs import RunsScreen
from geospot.tui.widgets.choose import Choose
from geospot.tui.widgets.confirm import Confirm, ask
from geospot.tui.widgets.keyline import KeyLine
from geospot.tui.widgets.table import Table
from tests.support.screens import drive, painted, resized, seen, until, until_seen
from tests.support.written_runs import write_run


class Plain(GeoScreen):
    """A screen with keys that fail in several ways."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "fail", "Fail", tooltip="Fails at once"),
        Binding("w", "work", "Work", tooltip="Fails after a while"),
        Binding("m", "missing", "Missing", tooltip="Needs what isn't there"),
        Binding("x", "unseen", "Unseen", show=False, tooltip="Isn't at the foot"),
    ]

    def compose_body(self) -> ComposeResult:
        yield Input(id="first")
        yield Static("body")
        yield Button("go", id="second")

    def on_mount(self) -> None:
        self.say_title("plain", "[bold]name\x1b[2J")
        self.say_status("waits for\nnothing", "")
        self.query_one("#second").focus()

    def action_fail(self) -> None:
        raise UsageError("That [red]went wrong\x07.", "Do it better.")

    def action_work(self) -> None:
        self.attempt(self._work())

    async def _work(self) -> None:
        await asyncio.sleep(0.05)
        raise UsageError("The work went wrong.", "Work better.")

    def action_missing(self) -> None:
        raise ModuleNotFoundError("No module named 'nothing'", name="nothing")

    def action_unseen(self) -> None:
        self.notify("done")


def plain_app(tmp_path: Path) -> GeospotApp:
    def first(app: GeospotApp) -> None:
        app.push_screen(Plain())

    return GeospotApp([tmp_path / "runs"], [tmp_path / "results"], first=first)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (250, 70)])
def test_title_status_and_keys_stand_at_their_places(tmp_path: Path, size: tuple[int, int]) -> None:
    app = plain_app(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "body")
        lines = seen(app.screen).split("\n")
        assert lines[0].strip() == "geospot › plain › [bold]name\\x1b[2J"
        assert lines[-2].strip() == "waits for\\nnothing"
        assert lines[-1].startswith(" f Fail  w Work  m Missing  1 Runs")
        assert lines[-1].rstrip().endswith("esc Back  ? Keys  q Quit")
        assert "Unseen" not in lines[-1]

    drive(app, steps, size)


def test_the_foot_drops_what_does_not_fit_and_a_click_presses_a_key(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "one").close("finished", "")
    app = GeospotApp([tmp_path / "runs"], [tmp_path / "results"])

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "✓ finished")
        for width in (80, 100, 120, 250):
            await resized(pilot, width, 40)
            foot = seen(app.screen).split("\n")[-1]
            assert len(foot) == width
            assert foot.startswith(" ⏎ Open  n New run  / Filter  space Mark  c Compare")
            assert foot.rstrip().endswith("? Keys  q Quit")
            assert ("Branch" in foot) is (width >= 120)
        place = seen(app.screen).split("\n")[-1].index("Filter")
        await pilot.click(KeyLine, offset=(place, 0))
        assert isinstance(app.focused, Input)

    drive(app, steps, (80, 40))


def test_two_keys_that_are_read_alike_stand_once(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "one")
    run.close("finished", "")
    app = GeospotApp(
        [tmp_path / "runs"], first=lambda app: app.open_run_map(tmp_path / "runs" / "one")
    )

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: isinstance(app.screen, MapScreen), "the map")
        await until(pilot, lambda: app.focused is not None, "the focus")
        keys = {key.action: key.shown for g in key_groups(app.screen) for key in g.keys}
        assert keys["zoom(1)"] == "+"
        assert keys["zoom(-1)"] == "-"

    drive(app, steps)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_the_list_of_keys_has_every_binding_with_what_it_does(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    write_run(tmp_path / "runs" / "one").close("finished", "")
    app = GeospotApp([tmp_path / "runs"], [tmp_path / "results"])

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "✓ finished")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, KeysScreen), "the list")
        pages = [seen(app.screen)]
        for _ in range(8):
            await pilot.press("space")
            pages.append(seen(app.screen))
        words = " ".join(" ".join(pages).split())
        above = [cls for cls in RunsScreen.__mro__ if issubclass(cls, GeoScreen)]
        bindings = [
            b for cls in (*above, Table, GeospotApp) for b in cls.__dict__.get("BINDINGS", ())
        ]
        assert len(bindings) > 30
        for binding in bindings:
            assert isinstance(binding, Binding)
            if binding.action in ("back", "stop_run", "stop_run_now", "resume_run"):
                # There is no way back from the first screen; the run has finished.
                assert binding.tooltip not in words
                continue
            assert binding.description in words
            assert binding.tooltip.split()[0] in words, binding
        assert "In the table" in words
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("question_mark", "question_mark")
        assert isinstance(app.screen, RunsScreen)

    drive(app, steps, size)


def test_every_binding_of_the_app_says_what_it_does() -> None:
    for cls in (GeospotApp, RunsScreen, *RunsScreen.__mro__, Table, Plain):
        for binding in cls.__dict__.get("BINDINGS", ()) if "geospot" in cls.__module__ else ():
            assert isinstance(binding, Binding)
            assert binding.tooltip, binding


def test_a_terminal_that_is_too_small_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    app = plain_app(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "body")
        for width, height in ((79, 24), (80, 22), (40, 10), (10, 3), (1, 1)):
            await resized(pilot, width, height)
            words = " ".join(seen(app.screen).split())
            if width >= 40:
                assert f"{width} columns and {height} rows" in words
                assert "needs 80 by 23" in words
            assert "body" not in words
        await resized(pilot, 80, 23)
        await until_seen(pilot, "body", "f Fail")

    drive(app, steps, (80, 24))


def test_an_error_is_a_sentence_with_advice_and_never_markup(tmp_path: Path) -> None:
    app = plain_app(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "body")
        await pilot.press("f")
        await until_seen(pilot, "That [red]went wrong\\x07. Do it better.")
        await pilot.press("w")
        await until_seen(pilot, "The work went wrong. Work better.")
        await pilot.press("m")
        await until_seen(pilot, "No module named 'nothing'")
        assert app.is_running

    drive(app, steps)


def test_the_way_back_ends_at_the_runs(tmp_path: Path) -> None:
    app = plain_app(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "body")
        await pilot.press("escape", "escape", "escape")
        await until_seen(pilot, "There are no runs yet")
        app.push_screen(Plain())
        app.push_screen(Plain())
        await pilot.pause()
        await pilot.press("1")
        await until_seen(pilot, "There are no runs yet")

    drive(app, steps)


def test_the_palette_opens_runs_presses_keys_and_changes_the_theme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    for name in ("alpha", "beta"):
        write_run(runs / name).close("finished", "")
    app = GeospotApp([runs], [tmp_path / "results"])
    opened: list[Path] = []
    monkeypatch.setattr(app, "open_run", opened.append)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.listing.is_complete, "the runs")
        await pilot.press("ctrl+p", *"beta")
        await until_seen(pilot, "Open run beta", "finished · geospot/tiny")
        await pilot.press("down", "enter")
        await until(pilot, lambda: opened == [runs / "beta"], "the run")
        await pilot.press("ctrl+p", *"compare")
        await until_seen(pilot, "Compare  (c)")
        await pilot.press("down", "enter")
        await until_seen(pilot, "Mark two runs or more")
        await pilot.press("ctrl+p", *"light theme")
        await until_seen(pilot, "For a light background")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.theme == LIGHT.name, "the theme")
        assert not app.inks.dark
        await pilot.press("ctrl+p")
        first = await until_seen(pilot, "New run  (n)")  # what the screen is for comes first
        assert "(↑ k)" not in first

    drive(app, steps)


@pytest.mark.parametrize(("dark", "theme"), [(True, DARK), (False, LIGHT)])
def test_the_theme_follows_the_terminal(tmp_path: Path, dark: bool, theme: object) -> None:
    app = GeospotApp([tmp_path], [tmp_path], dark=dark)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert app.current_theme == theme
        assert app.inks.dark is dark
        assert app.inks.has_colour

    drive(app, steps)


def test_without_colour_nothing_is_coloured_and_everything_is_still_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    write_run(tmp_path / "runs" / "one").close("failed", "")
    app = GeospotApp([tmp_path / "runs"], [tmp_path / "results"])

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "✗ failed", "▌")
        assert not app.inks.has_colour
        styles = [s.style for strip in painted(app.screen) for s in strip if s.style]
        colours = [c for style in styles for c in (style.color, style.bgcolor) if c is not None]
        assert colours
        for colour in colours:
            red, green, blue = colour.get_truecolor()
            assert red == green == blue

    drive(app, steps)


def test_quitting_says_which_runs_go_on(tmp_path: Path) -> None:
    for number in range(5):
        write_run(tmp_path / "runs" / f"going-{number}")
    write_run(tmp_path / "runs" / "over").close("finished", "")
    app = GeospotApp([tmp_path / "runs"], [tmp_path / "results"])
    said: list[str | None] = []
    leave: Callable[..., None] = app.exit

    def note(*, message: str | None = None) -> None:
        said.append(message)
        leave()

    app.exit = note  # pyright: ignore[reportAttributeAccessIssue]

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "5 running")
        await pilot.press("q")

    drive(app, steps)
    (message,) = said
    assert message is not None
    assert message.startswith("5 runs go on: going-")
    assert "and 2 more. `geospot tui` shows them again." in message
    assert "over" not in message


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
def test_quitting_says_nothing_where_nothing_goes_on(tmp_path: Path, key: str) -> None:
    app = GeospotApp([tmp_path / "runs"], [tmp_path / "results"])

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "There are no runs yet")
        await pilot.press(key)
        await pilot.pause()
        assert not app.is_running

    drive(app, steps)
    assert app.return_code == 0


def test_a_letter_jumps_to_its_place(tmp_path: Path) -> None:
    app = plain_app(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "body")
        await pilot.press("ctrl+o")
        await until_seen(pilot, " a ", " s ", "A letter goes to its place")
        await pilot.press("a")
        assert app.focused is app.screen.query_one("#first")
        await pilot.press("ctrl+o", "s")  # also while one types
        assert app.focused is app.screen.query_one("#second")
        await pilot.press("ctrl+o", "z")  # no such place
        assert app.focused is app.screen.query_one("#second")
        await pilot.press("ctrl+o", "escape")
        assert not isinstance(app.screen, JumpScreen)

    drive(app, steps)


@pytest.mark.parametrize(
    ("keys", "done"),
    [
        (["y"], True),
        (["n"], False),
        (["escape"], False),
        (["enter"], False),
        (["right", "enter"], True),
        (["tab", "enter"], True),
        (["right", "left", "enter"], False),
        (["q", "1", "enter"], False),
    ],
)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_question_is_answered_and_the_safe_answer_is_the_nearest(
    tmp_path: Path, keys: list[str], done: bool, size: tuple[int, int]
) -> None:
    app = plain_app(tmp_path)
    did: list[bool] = []

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "body")
        what = "Its [red]folder\x1b goes. " * 8
        ask(app, "Delete [b]x[/b]?", what, lambda: did.append(True), yes="Delete", no="Keep")
        screen = await until_seen(pilot, "Delete [b]x[/b]?", "Its [red]folder\\x1b goes.")
        assert "Delete (y)" in screen
        assert "Keep (n)" in screen
        assert did == []
        await pilot.press(*keys)
        await until(pilot, lambda: not isinstance(app.screen, Confirm), "an answer")
        await pilot.pause()
        assert did == [True] * done

    drive(app, steps, size)


def test_a_question_is_answered_with_the_mouse(tmp_path: Path) -> None:
    app = plain_app(tmp_path)
    did: list[bool] = []

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "body")
        for button, expected in (("#confirm-no", []), ("#confirm-yes", [True])):
            ask(app, "Sure?", "", lambda: did.append(True))
            await until_seen(pilot, "Sure?")
            await pilot.click(button)
            await pilot.pause()
            assert did == expected

    drive(app, steps)


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (["enter"], 1),
        (["down", "enter"], 2),
        (["k", "enter"], 0),
        (["j", "enter"], 2),
        (["escape"], None),
    ],
)
def test_one_of_several_is_chosen(tmp_path: Path, keys: list[str], chosen: int | None) -> None:
    app = plain_app(tmp_path)
    answers: list[int | None] = []

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "body")
        app.push_screen(Choose("Which?", ["[b]one", "two\n", "three"], first=1), answers.append)
        await until_seen(pilot, "Which?", "[b]one", "two\\n", "three")
        await pilot.press(*keys)
        await until(pilot, lambda: bool(answers), "an answer")
        assert answers == [chosen]

    drive(app, steps, (80, 24))
