"""Paths that a person types: half of a name, and names that no file can have."""

from pathlib import Path

import pytest
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Static

from geospot.tui.app import GeospotApp
from geospot.tui.screens.export import ExportDialog
from geospot.tui.screens.launch import LaunchScreen
from geospot.tui.screens.launch_checks import free_path
from geospot.tui.screens.launch_dialogs import AskPath
from tests.support.screens import drive, type_ahead, until, until_seen

_NAMES = ["~nobody-of-this-name/x.csv", "x" * 300 + ".csv", "~nobody/" + "x" * 300 + ".csv"]


@pytest.mark.parametrize("typed", _NAMES, ids=["user", "long", "both"])
def test_where_no_file_can_be_nothing_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-of-this-name").write_text("a file")
    app = GeospotApp([], [])

    async def steps(pilot: Pilot[None]) -> None:
        app.push_screen(dialog := ExportDialog((), (), app.reader))
        type_ahead(app, [*["backspace"] * 20, *typed, "enter"])
        await until(pilot, lambda: "can't be written" in reason(dialog), "a reason")

    drive(app, steps)


def reason(dialog: ExportDialog) -> str:
    """What it says, also where that is longer than its line."""
    return "".join(str(static.content) for static in dialog.query("#export-reason").results(Static))


@pytest.mark.parametrize("typed", _NAMES, ids=["user", "long", "both"])
def test_a_path_that_is_none_can_be_typed(typed: str) -> None:
    app, answers = GeospotApp([], []), list[str | None]()

    async def steps(pilot: Pilot[None]) -> None:
        app.push_screen(AskPath(app.reader, "Which?", ""), answers.append)
        type_ahead(app, [*typed, "enter"])
        await until(pilot, lambda: answers == [typed], "an answer")

    drive(app, steps)


@pytest.mark.parametrize("typed", _NAMES, ids=["user", "long", "both"])
def test_a_path_that_is_none_can_stand_in_a_field(tmp_path: Path, typed: str) -> None:
    app = GeospotApp([tmp_path / "runs"], [tmp_path / "results"])

    async def steps(pilot: Pilot[None]) -> None:
        app.open_launch("sft")
        await until_seen(pilot, "New run › SFT", "hf_repo")
        form = app.screen
        assert isinstance(form, LaunchScreen)
        for name in ("hf_repo", "load_checkpoint_path", "log_path"):
            await paste(pilot, form, name, typed)

    drive(app, steps)


def test_what_is_pasted_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that checks itself for each character of a long path stands still for seconds."""
    told, typed = list[str](), LaunchScreen.typed

    def heard(form: LaunchScreen, name: str, text: str) -> None:
        told.append(text)
        typed(form, name, text)

    monkeypatch.setattr(LaunchScreen, "typed", heard)
    app = GeospotApp([tmp_path / "runs"], [tmp_path / "results"])

    async def steps(pilot: Pilot[None]) -> None:
        app.open_launch("sft")
        await until_seen(pilot, "New run › SFT", "hf_repo")
        form = app.screen
        assert isinstance(form, LaunchScreen)
        await paste(pilot, form, "log_path", "/long" * 60)

    drive(app, steps)
    assert told == ["/long" * 60]


async def paste(pilot: Pilot[None], form: LaunchScreen, name: str, text: str) -> None:
    """Until the form says what it is."""
    form.show(name)
    type_ahead(form.geospot, ["enter"])
    form.geospot.post_message(Paste(text))
    type_ahead(form.geospot, ["enter"])
    await until(pilot, lambda: form.form.said.get(name) == text, "what was typed")
    await until(
        pilot, lambda: name in {**form.around.wrong, **form.around.notes}, "what the disk says"
    )


def test_of_the_root_there_is_no_second_one() -> None:
    assert free_path(Path("/")) == Path("/")
    assert free_path(Path()) == Path()
