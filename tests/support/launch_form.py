"""The launch form under test: an app with it, its fields, its keys."""

from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from geospot.tui.app import GeospotApp
from geospot.tui.screens.launch import LaunchScreen
from tests.support.screens import opened, seen, type_ahead, until

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)
WORLD = {"service": "local", "hf_repo": "world"}


def form_app(tmp_path: Path, kind: str = "sft", **settings: Any) -> GeospotApp:
    """An app with the form open, whose runs and results are in folders of the test."""
    return opened(
        lambda app: app.open_launch(kind, settings),
        folders=[tmp_path / "runs"],
        results=[tmp_path / "results"],
    )


def on(pilot: Pilot[None]) -> LaunchScreen:
    """The form's screen."""
    screen = pilot.app.screen
    assert isinstance(screen, LaunchScreen), seen(screen)
    return screen


async def ready(pilot: Pilot[None]) -> LaunchScreen:
    """The form, once it has looked at the service and the disk."""
    await until(
        pilot,
        lambda: (
            isinstance(pilot.app.screen, LaunchScreen)
            and bool(pilot.app.screen.pages)
            and pilot.app.screen.look is not None
            and pilot.app.screen.around.notes != {}
        ),
        "the form",
    )
    return on(pilot)


async def go_to(pilot: Pilot[None], name: str) -> None:
    """Moves the cursor to a field with the keys that a person has, held down."""
    table = on(pilot).fields
    stops = [row.name for row in table.lines if row.what != "heading"]
    assert name in stops, f"{name} isn't among the fields"
    type_ahead(pilot.app, ["home", *["down"] * stops.index(name)])
    await until(pilot, lambda: table.field == name, name)
    await pilot.pause()


async def fill(pilot: Pilot[None], name: str, text: str, end: str = "enter") -> None:
    """Types a value into a field, fast."""
    await go_to(pilot, name)
    await pilot.press("enter", "ctrl+u")
    line = on(pilot).editor.query_one(Input)
    type_ahead(pilot.app, text)
    await until(pilot, lambda: line.value == text, text)
    if end:
        await pilot.press(end)


def panel(screen: LaunchScreen) -> str:
    """What stands beside the fields, in one line."""
    return " ".join(seen(screen.query_one("#launch-panel")).split())
