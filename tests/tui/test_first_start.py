"""The first start: what the list of runs says while there is none, and the ways on from there."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from geospot.tui.app import GeospotApp
from geospot.tui.screens.runs import RunsScreen
from geospot.tui.widgets.table import Table
from tests.support.screens import drive, seen, until, until_seen
from tests.support.written_runs import write_run


def first_start(tmp_path: Path) -> GeospotApp:
    return GeospotApp([tmp_path / "runs"], [tmp_path / "results"])


def test_without_runs_it_explains_what_one_can_do_and_shows_a_run_as_it_starts(
    tmp_path: Path,
) -> None:
    app = first_start(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await until_seen(
            pilot, "There are no runs yet", "See it work", "Train", "Evaluate"
        )
        for key in ("D", "n", "E", "o"):
            assert f" {key} " in screen
        assert "q Quit" in screen
        assert "Stop" not in screen  # there is nothing to stop
        assert "Filter" not in screen
        await pilot.press("s", "space", "c", "slash", "r")
        write_run(tmp_path / "runs" / "first")
        await until_seen(pilot, "▶ running", "first")
        assert isinstance(app.focused, Table)
        assert "Filter" in seen(app.screen)
        shutil.rmtree(tmp_path / "runs" / "first")
        await until_seen(pilot, "There are no runs yet")

    drive(app, steps, (80, 24))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["down", "enter"], ()),
        (["n"], ()),
        (["down", "down", "enter"], ("eval",)),
        (["E"], ("eval",)),
    ],
)
def test_the_first_start_leads_to_the_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Sequence[str], told: tuple[str, ...]
) -> None:
    app = first_start(tmp_path)
    opened: list[tuple[str, ...]] = []

    def note(*args: str) -> None:
        opened.append(args)

    monkeypatch.setattr(app, "open_launch", note)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "There are no runs yet")
        await pilot.press(*keys)
        await pilot.pause()
        assert opened == [told]

    drive(app, steps)


def test_the_runs_of_somebody_elses_folder_are_shown_too(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    write_run(theirs / "hers").close("finished", "")
    app = first_start(tmp_path)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "There are no runs yet")
        await pilot.press("o", *"/nowhere", "enter")
        await until_seen(pilot, "There is no such folder.")
        app.screen.query_one(Input).value = "~\0"
        await pilot.press("enter")
        await until_seen(pilot, "There is no such folder.")
        app.screen.query_one(Input).value = str(theirs)
        await pilot.press("enter")
        await until_seen(pilot, "hers", "1 run ·")

    drive(app, steps)


def test_the_demo_is_started_after_a_question_and_its_runs_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = first_start(tmp_path)
    started: list[Path] = []

    class Going:
        is_over = False

        def trouble(self) -> str | None:
            return "The demo ended: no room" if self.is_over else None

    going = Going()

    def start(out: Path) -> Going:
        started.append(out)
        return going

    monkeypatch.setattr("geospot.tui.demo.start_demo", start)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "There are no runs yet")
        await pilot.press("enter")  # the first thing is the demo
        await until_seen(pilot, "Start the demo?")
        await pilot.press("enter")  # the safe answer
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "the list")
        assert started == []
        await pilot.press("D", "y")
        await until(pilot, lambda: started == [tmp_path / "results" / "demo"], "the demo")
        await until_seen(pilot, "The demo is asking the untrained model first")
        write_run(tmp_path / "results" / "demo" / "runs" / "sft", "sft")
        await until_seen(pilot, "▶ running", "sft")
        going.is_over = True
        await until_seen(pilot, "The demo ended: no room")

    drive(app, steps)
