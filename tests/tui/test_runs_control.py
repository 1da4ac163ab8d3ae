"""Runs controlled from their list: stopped, set aside, gone on with, branched; each after a question."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from geospot.runs.heartbeat import read_heartbeat
from geospot.tui.widgets.confirm import Confirm
from tests.support.runs_screens import app_on, folder_of_runs, until_read
from tests.support.screens import drive, seen, until, until_seen
from tests.support.written_runs import write_run


@pytest.fixture
def stoppable(tmp_path: Path) -> "Callable[[], Path]":
    """A run in a process of its own, which can be stopped."""

    def start() -> Path:
        folder = tmp_path / "runs" / "going"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.stoppable_child", str(folder)],
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"running\n"
            child.returncode = 0  # it goes on without us
        return folder

    return start


def test_a_run_is_stopped_after_a_question(tmp_path: Path, stoppable: Callable[[], Path]) -> None:
    folder = stoppable()
    app = app_on(folder.parent)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "▶ running", "going")
        await pilot.press("s")
        await until_seen(pilot, "Stop going?", "saves a checkpoint")
        await pilot.press("escape", "s", "enter")  # both answers are no
        await pilot.pause(0.3)
        assert read_heartbeat(folder).state == "running"  # pyright: ignore[reportOptionalMemberAccess]
        await pilot.press("s", "y")
        await until_seen(pilot, "■ stopped")
        for key in ("s", "S"):  # it says so before anybody is asked
            await pilot.press(key)
            await until_seen(pilot, "going is over: stopped. There is nothing to stop.")
            assert "Stop going" not in seen(pilot.app.screen)
            pilot.app.clear_notifications()

    drive(app, steps)


def test_a_run_is_ended_at_once_after_a_question(
    tmp_path: Path, stoppable: Callable[[], Path]
) -> None:
    folder = stoppable()
    app = app_on(folder.parent)

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "▶ running", "going")
        await pilot.press("S")
        await until_seen(pilot, "Stop going at once?", "are lost")
        await pilot.press("y")
        await until_seen(pilot, "† died")

    drive(app, steps)


def test_a_run_is_set_aside_but_not_while_it_is_running(tmp_path: Path) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        write_run(runs / "going")
        await until_seen(pilot, "going")
        await pilot.press("home", "d", "y")
        await until_seen(pilot, "going is running; it can't be set aside")
        assert (runs / "going").is_dir()
        await pilot.press("end", "d", "n")
        await pilot.pause(0.3)
        assert (runs / "sft").is_dir()
        await pilot.press("d", "y")
        await until(pilot, lambda: len(app.listing.runs) == 4, "one less")
        assert not (runs / "sft").exists()
        assert list(runs.glob("sft.aside-*"))

    drive(app, steps)


def test_a_run_that_is_over_goes_on_or_it_is_said_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = folder_of_runs(tmp_path)
    app = app_on(runs)
    resumed: list[Path] = []

    class Going:
        pid = 77
        kind = "rl"

        def trouble(self) -> str:
            return "no service answers"

    def resume(run: Path) -> Going:
        resumed.append(run)
        return Going()

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("end", "R")
        await until_seen(pilot, "has finished; there is", "Branch off one of its")
        monkeypatch.setattr("geospot.runs.control.resume", resume)
        await pilot.press("up", "R")
        await until_seen(pilot, "rl goes on as process 77.", "geospot rl ended at once: no")
        assert resumed == [runs / "rl"]

    drive(app, steps)


@pytest.mark.parametrize("key", ["b", "e"])
def test_a_branch_and_an_evaluation_open_the_form_for_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    runs = tmp_path / "runs"
    run = write_run(runs / "rl", steps=2)
    from tests.support.run_child import checkpoint

    run.add_checkpoint(checkpoint(7))
    run.close("finished", "")
    app = app_on(runs)
    opened: list[tuple[str, dict[str, Any]]] = []

    def note(kind: str, settings: dict[str, Any]) -> None:
        opened.append((kind, settings))

    monkeypatch.setattr(app, "open_launch", note)

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app, 1)
        await pilot.press(key)
        await until_seen(pilot, "which checkpoint?", "000007", "000002")
        await pilot.press("escape", key)
        await until_seen(pilot, "which checkpoint?")
        await pilot.press("down", "enter")
        await until(pilot, lambda: bool(opened), "the form")
        ((kind, settings),) = opened
        if key == "b":
            assert kind == "rl"
            assert settings["load_checkpoint_path"] == f"{runs / 'rl'}@000002"
            assert settings["log_path"] == runs / "rl-branch-1"
        else:
            assert kind == "eval"
            assert settings["model"] == f"{runs / 'rl'}@000002"

    drive(app, steps)


def test_a_question_is_asked_once(tmp_path: Path) -> None:
    """Keys of the list do nothing while a question stands over it."""
    app = app_on(folder_of_runs(tmp_path))

    async def steps(pilot: Pilot[None]) -> None:
        await until_read(pilot, app)
        await pilot.press("d", "d", "s", "q", "1", "slash")
        assert isinstance(app.screen, Confirm)
        assert len(app.screen_stack) == 3
        assert app.is_running

    drive(app, steps)
