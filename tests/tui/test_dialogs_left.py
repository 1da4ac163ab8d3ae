"""Dialogs that are left while a thread reads for them: its answer is nobody's then."""

import asyncio
import threading
from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.tui.app import GeospotApp
from geospot.tui.screens.runs import RunsScreen
from geospot.tui.widgets import ask_folder
from tests.support.screens import drive, type_ahead, until


def test_a_folder_that_is_found_when_nobody_asks_any_more_closes_no_other_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, goes_on = GeospotApp([], []), threading.Event()

    def slow(_text: str) -> Path:
        goes_on.wait()
        return Path("/")

    monkeypatch.setattr(ask_folder, "_folder", slow)

    async def steps(pilot: Pilot[None]) -> None:
        app.push_screen(dialog := ask_folder.AskFolder("Whose?", app.reader))
        type_ahead(app, ["x", "enter", "escape"])
        while app.screen is dialog:  # noqa: ASYNC110 - the pilot would wait for the thread
            await asyncio.sleep(0.01)
        goes_on.set()
        await until(pilot, lambda: not dialog.children, "its end")
        assert isinstance(app.screen, RunsScreen)

    drive(app, steps)
