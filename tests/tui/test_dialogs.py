"""What stands in front of a screen: a click beside it is the way back, as escape is."""

from collections.abc import Callable

import pytest
from textual.geometry import Region
from textual.pilot import Pilot
from textual.screen import ModalScreen

from geospot.tui.app import GeospotApp
from geospot.tui.screens.export import ExportDialog
from geospot.tui.screens.keys import KeysScreen
from geospot.tui.screens.launch_dialogs import AskPath, PickPreset
from geospot.tui.widgets.ask_folder import AskFolder
from geospot.tui.widgets.choose import Choose
from geospot.tui.widgets.confirm import Confirm
from tests.support.screens import drive, until

DIALOGS: dict[str, Callable[[GeospotApp], ModalScreen[object]]] = {
    "confirm": lambda _: Confirm("Really?"),
    "choose": lambda _: Choose("Which?", ["one", "two"]),
    "folder": lambda app: AskFolder("Where?", app.reader),
    "export": lambda app: ExportDialog((), (), app.reader),
    "preset": lambda _: PickPreset(),
    "path": lambda app: AskPath(app.reader, "Which file?", ""),
    "keys": lambda _: KeysScreen([]),
}  # pyright: ignore[reportAssignmentType] - what they answer with differs


@pytest.mark.parametrize("name", DIALOGS)
def test_a_click_beside_a_dialog_leaves_it_and_one_in_it_does_not(name: str) -> None:
    app, answers = GeospotApp([], []), list[object]()

    async def steps(pilot: Pilot[None]) -> None:
        dialog = DIALOGS[name](app)
        app.push_screen(dialog, answers.append)
        box = await drawn(pilot, dialog)
        await pilot.click(offset=(box.x + 1, box.y))
        await pilot.pause()
        assert app.screen is dialog
        await pilot.click(offset=(0, 0))
        await until(pilot, lambda: app.screen is not dialog, "the way back")
        assert answers in ([None], [False])

    drive(app, steps)


async def drawn(pilot: Pilot[None], dialog: ModalScreen[object]) -> Region:
    """Where its box stands, once it does."""
    await until(
        pilot,
        lambda: any(box.region.area and box.is_container for box in dialog.children),
        "the dialog",
    )
    return next(box.region for box in dialog.children if box.region.area)
