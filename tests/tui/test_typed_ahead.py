"""Keys that are typed before the app has done what the last one asks for, as over a slow line.

They come in one go here. Each is for what a person would see had the one before been waited for.
"""

import asyncio
import pkgutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.command import CommandList
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from geospot.tui.app import GeospotApp
from geospot.tui.screens import launch_choices, launch_dialogs, launch_form
from geospot.tui.screens.answers import AnswersDialog
from geospot.tui.screens.launch import LaunchScreen
from geospot.tui.screens.launch_list import FieldTable
from geospot.tui.screens.result import ResultScreen
from geospot.tui.screens.run import RunScreen
from geospot.tui.screens.runs import RunsScreen
from geospot.tui.widgets.filterbar import FilterBar
from tests.support.result_dirs import answered, write_result
from tests.support.rollout_screens import Shown, run_with_rollouts, show_rollouts
from tests.support.runs_screens import app_on, folder_of_runs, on_cursor, rows, until_read
from tests.support.screens import drive, opened, seen, type_ahead, until, until_seen
from tests.support.written_runs import write_run


def shown(app: GeospotApp) -> list[type]:
    """The classes of all screens, from the first on."""
    return [type(screen) for screen in app.screen_stack[1:]]


def test_behind_enter_keys_are_for_the_run_that_it_opens(tmp_path: Path) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        name = rows(app)[1].split()[2]
        type_ahead(app, ["down", "enter", "l", "down"])
        await until_seen(pilot, "lines")  # the run's log, and not the leaderboard
        assert shown(app) == [RunsScreen, RunScreen]
        assert isinstance(app.screen, RunScreen)
        assert app.screen.folder.name == name

    drive(app, steps)


def test_behind_an_answer_keys_are_for_the_screen_below(tmp_path: Path) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        type_ahead(app, ["down", "d", "enter", "enter"])  # No has the focus
        await until(pilot, lambda: shown(app) == [RunsScreen, RunScreen], "the run")
        type_ahead(app, ["escape", "d", "y", "up"])
        await until(pilot, lambda: len(rows(app)) == 3, "one run less")
        assert shown(app) == [RunsScreen]
        assert rows(app)[0] == on_cursor(app)

    drive(app, steps)


def test_a_path_is_typed_into_the_line_that_its_key_opens(tmp_path: Path) -> None:
    """No letter of it is a key of the screen below, and what is taken away is the letter before."""
    app = app_on(folder_of_runs(tmp_path))
    write_run(tmp_path / "quick" / "seen", "rl").close("finished", "")

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        typed = list(str(tmp_path / "quick"))
        type_ahead(app, ["o", *typed[:-3], "q", "backspace", *typed[-3:], "enter", "end"])
        await until(pilot, lambda: len(rows(app)) == 5, "one run more")
        assert app.listing.folders[-1] == tmp_path / "quick"

    drive(app, steps)


def test_the_first_letter_jumps_and_the_second_is_for_the_place(tmp_path: Path) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        type_ahead(app, ["ctrl+o", "a", "down", "ctrl+o", "enter", "space"])
        await until(pilot, lambda: "1 marked" in seen(app.screen), "a mark")
        assert shown(app) == [RunsScreen]
        assert ["●" in row for row in rows(app)] == [False, True, False, False]

    drive(app, steps)


@pytest.fixture
def reads_on(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Until it is set, no form is there: what it needs of the disk isn't read."""
    goes_on = threading.Event()

    def slow(_path: str | None) -> None:
        goes_on.wait()

    monkeypatch.setattr(launch_form, "checkpoint_model", slow)
    return goes_on


@pytest.mark.parametrize("key", [*list("cytufmwrsi07"), "ctrl+s", "delete", "enter", "right"])
def test_keys_that_come_before_a_form_is_there_do_nothing(
    tmp_path: Path, reads_on: threading.Event, key: str
) -> None:
    app = app_on(tmp_path / "runs")

    async def steps(pilot: Pilot[None]) -> None:
        app.open_launch("sft")
        await pilot.press(key, "0")
        reads_on.set()
        await until_seen(pilot, "New run › SFT", "hf_repo", "ctrl+s")
        await pilot.press("escape")
        await until(pilot, lambda: shown(app) == [RunsScreen], "the runs")

    drive(app, steps)


async def form_at(pilot: Pilot[None], app: GeospotApp, field: str) -> LaunchScreen:
    """The form of SFT, with the cursor on a field."""
    app.open_launch("sft")
    await until_seen(pilot, "New run › SFT", "hf_repo")
    form = app.screen
    assert isinstance(form, LaunchScreen)
    while form.query_one(FieldTable).field != field:
        await pilot.press("down")
    return form


def test_what_is_being_typed_when_another_form_comes_is_of_the_form_before(
    tmp_path: Path, reads_on: threading.Event
) -> None:
    app = app_on(tmp_path / "runs")
    reads_on.set()

    async def steps(pilot: Pilot[None]) -> None:
        form = await form_at(pilot, app, "max_samples")
        reads_on.clear()
        type_ahead(app, ["e", "7"])
        await until(pilot, lambda: form.editor.is_open, "the line")
        reads_on.set()
        await until_seen(pilot, "New run › Evaluation")
        assert not form.editor.is_open
        assert form.pages["sft"].form.said["max_samples"] == "7"
        assert "max_samples" not in form.form.said
        await pilot.press("7")

    drive(app, steps)


def test_a_page_is_turned_in_the_palette_before_its_list_is_drawn(tmp_path: Path) -> None:
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("ctrl+p")
        await until_seen(pilot, "Filter  (")
        found = app.screen.query_one(CommandList)
        options = list(found.options)
        found.display = False
        found.clear_options()
        await until(pilot, lambda: not found.size, "the end of the list")
        found.add_options(options)
        found.highlighted = 0
        await app.screen.run_action("command_list('page_up')")
        await app.screen.run_action("command_list('page_down')")

    drive(app, steps)


def test_a_command_of_the_palette_is_for_the_screen_where_it_was_chosen(tmp_path: Path) -> None:
    result = write_result(tmp_path / "r", [answered("p", (1.0, 1.0), (2.0, 1.0))])
    app = opened(lambda app: app.open_result(result))

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "1 of 1 answers")
        await pilot.press("ctrl+p", *"next view")
        await until_seen(pilot, "Next view  (")
        type_ahead(app, ["enter", "escape"])
        await until(pilot, lambda: ResultScreen not in shown(app), "the end of the screen")
        await pilot.pause()

    drive(app, steps)


def test_what_was_highlighted_is_no_answer_to_what_is_typed_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Paths are looked for by a thread; the line may say something else before it has them."""
    app, answers = GeospotApp([], []), list[str | None]()
    found = threading.Event()

    def slow(text: str, **_options: str) -> list[str]:
        if text:
            found.wait()
        return ["one.toml", "two.toml"]

    monkeypatch.setattr(launch_dialogs, "paths_like", slow)

    async def steps(pilot: Pilot[None]) -> None:
        app.push_screen(launch_dialogs.AskPath(app.reader, "Which file?", ""), answers.append)
        await until_seen(pilot, "two.toml")
        type_ahead(app, ["down", *"three", "enter"])
        await until(pilot, lambda: answers == ["three"], "what was typed")
        found.set()

    drive(app, steps)


def test_an_offer_for_a_field_is_no_answer_to_what_is_typed_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(tmp_path / "runs")
    found = threading.Event()

    def slow(path: Path) -> Path:
        if path.name.endswith("zzz"):
            found.wait()
        return path.with_name(f"{path.name}-2")

    async def steps(pilot: Pilot[None]) -> None:
        form = await form_at(pilot, app, "log_path")
        monkeypatch.setattr(launch_choices, "free_path", slow)
        await pilot.press("enter", "a", "b")
        await until(pilot, lambda: form.editor.query_one(OptionList).option_count == 1, "an offer")
        type_ahead(app, ["down", *"zzz", "enter"])
        await until(pilot, lambda: not form.editor.is_open, "the end of typing")
        found.set()
        assert form.form.said["log_path"] == "abzzz"

    drive(app, steps)


@pytest.fixture
def goes_on() -> Iterator[threading.Event]:
    """Is set, and at the end for certain: no thread waits for ever."""
    event = threading.Event()
    event.set()
    yield event
    event.set()


@pytest.mark.parametrize(
    ("opens", "filters", "before", "behind"),
    [
        (GeospotApp.open_result, "geospot.tui.screens.result.order_of", "l", "enter"),
        (GeospotApp.open_result_map, "geospot.tui.screens.map.kept", "f", "n"),
    ],
    ids=["result", "map"],
)
def test_behind_a_filter_a_key_is_for_what_it_keeps(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opens: Callable[[GeospotApp, Path], None],
    goes_on: threading.Event,
    filters: str,
    before: str,
    behind: str,
) -> None:
    """A thread filters. The answer that is farthest off comes first before, and none is chosen by itself."""
    records = [answered(name, (1.0, 1.0), (to, 1.0)) for name, to in (("near", 2.0), ("far", 60.0))]
    result = write_result(tmp_path / "r", records)
    hold(monkeypatch, filters, goes_on)
    app = opened(lambda app: opens(app, result))

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "2 answers")
        await pilot.press(before)
        goes_on.clear()
        type_ahead(app, ["slash", *"id:near", "enter", behind])
        await kept(app, "id:near")
        goes_on.set()
        await until(pilot, lambda: is_about_near(app), "the near one")

    drive(app, steps)


def is_about_near(app: GeospotApp) -> bool:
    """Whether the answer is opened, or the only one on the map and chosen."""
    if not isinstance(app.screen, AnswersDialog):
        return "1 of 1 " in seen(app.screen)
    return seen(app.screen.query_one("#answers-title")).strip() == "near"


def test_behind_a_filter_of_rollouts_a_key_is_for_what_it_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: threading.Event
) -> None:
    folder = run_with_rollouts(tmp_path, [0])
    hold(monkeypatch, "geospot.tui.rollout_groups.StepView.filtered", goes_on)

    async def look(shown: Shown) -> None:
        await shown.at(0, 0)
        goes_on.clear()
        type_ahead(shown.app, ["slash", *"index>1", "enter", "down"])
        await kept(shown.app, "index>1")
        goes_on.set()
        await shown.until(lambda: "8 of 16 answers" in shown.status)
        await shown.at(0, 0, 3)

    show_rollouts(folder, look)


def hold(monkeypatch: pytest.MonkeyPatch, name: str, goes_on: threading.Event) -> None:
    """A function that a thread calls is done while this is set; keys wait for it however long it takes."""
    function = pkgutil.resolve_name(name)

    def waits(*said: Any, **more: Any) -> Any:
        goes_on.wait()
        return function(*said, **more)

    monkeypatch.setattr(name, waits)
    monkeypatch.setattr("geospot.tui.app._CATCHES_UP_S", 600.0)


async def kept(app: App[None], text: str) -> None:
    """Waits until this filter stands in its line and is typed no more, and a little for the key behind it.

    The pilot would wait for the app, which waits for the thread.
    """
    async with asyncio.timeout(120):
        bar = app.screen.query_one(FilterBar)
        while bar.text != text or isinstance(app.focused, Input):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
