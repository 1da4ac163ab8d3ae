"""Filling the launch form by keys and mouse as a person would."""

from pathlib import Path

import pytest
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList

from geospot.tui.screens.launch_list import FieldTable
from tests.support.launch_form import (
    LARGE,
    MIDDLE,
    SMALL,
    WORLD,
    fill,
    form_app,
    go_to,
    ready,
)
from tests.support.screens import drive, resized, seen, type_ahead, until, until_seen

pytestmark = pytest.mark.usefixtures("no_keys")


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE])
def test_a_value_is_judged_while_it_is_typed_and_escape_leaves_it_as_it_was(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await fill(pilot, "batch_size", "0", end="")
        await until(pilot, lambda: "batch_size" in screen.wrong, "the reason")
        line = next(line for line in seen(screen).splitlines() if "✗ batch_size" in line)
        assert "✗" in line.partition("batch_size")[2]
        assert "input should be greater" in screen.wrong["batch_size"]
        assert screen.command() == ""
        await pilot.press("4")  # 04
        await until(pilot, lambda: not screen.wrong, "a good value")
        assert "batch_size=4 " in screen.command()
        await pilot.press("escape")
        await until(pilot, lambda: "batch_size" not in screen.form.said, "the old value")
        assert screen.focused is screen.fields

    drive(form_app(tmp_path, **WORLD), steps, size)


def test_tab_goes_from_field_to_field_and_through_the_editor(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await go_to(pilot, "max_samples")
        await pilot.press("tab")
        assert screen.fields.field == "num_epochs"
        await pilot.press("shift+tab", "enter", *"77", "tab")
        await until(pilot, lambda: screen.fields.field == "num_epochs", "the next field")
        assert screen.form.said["max_samples"] == "77"
        await pilot.press("home", "shift+tab")
        assert isinstance(screen.focused, Button)
        await pilot.press("down", "end", "tab")
        assert screen.focused is not None
        assert screen.focused.id == "launch-go"
        await pilot.press("left")
        assert screen.focused.id == "launch-presets"
        await pilot.press("enter")
        await until_seen(pilot, "Begin with")

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_a_digit_begins_a_value_and_no_key_of_the_app_loses_the_form(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await go_to(pilot, "max_samples")
        await pilot.press(*"123", "enter")
        await until(pilot, lambda: screen.form.said.get("max_samples") == "123", "the number")
        await go_to(pilot, "behavior_if_log_dir_exists")
        await pilot.press("1")
        assert pilot.app.screen is screen
        await pilot.press("q")
        await until_seen(pilot, "Leave the form?")
        await pilot.press("n")
        screen.query_one("#launch-go").focus()
        await pilot.press("1")
        await until_seen(pilot, "Leave the form?")
        await pilot.press("y")
        await until(pilot, lambda: screen not in pilot.app.screen_stack, "the runs")

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


@pytest.mark.parametrize("opens", [True, False])
def test_keys_that_come_without_a_pause_are_done_one_after_the_other(
    tmp_path: Path, opens: bool
) -> None:
    """A slow line sends many at once; what is pasted comes like this, too."""
    begins = ["enter"] if opens else []

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await go_to(pilot, "max_samples")
        keys = [*begins, *"192", "enter", "down", "down", *begins, *"12", "enter", "up"]
        keys += [*begins, *"7", "tab", "enter", *"34", "backspace", "left", *"5", "tab"]
        type_ahead(pilot.app, keys)
        await until(pilot, lambda: screen.form.said.get("max_steps") == "53", "what was typed last")
        said = {"max_samples": "192", "max_steps": "53", "num_epochs": "7", "log_path": "runs/sft"}
        assert screen.form.said == {**WORLD, **said, "log_path": screen.form.said["log_path"]}
        assert screen.focused is screen.fields

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_what_a_terminal_pastes_is_typed_before_the_keys_that_follow(tmp_path: Path) -> None:
    """Of several lines the first; a control character in it is nothing that a field could hold."""

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await go_to(pilot, "max_samples")
        pilot.app.post_message(Paste("19\x1b2\nrm -rf\n"))
        type_ahead(pilot.app, ["enter", "down", "down", "enter"])
        pilot.app.post_message(Paste("5"))
        type_ahead(pilot.app, ["3", "tab"])
        await until(pilot, lambda: screen.form.said.get("max_steps") == "53", "what was typed last")
        assert screen.form.said["max_samples"] == "192"

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_typing_replaces_what_stands_there_and_arrows_keep_it(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        for typed, becomes in (("125", "125"), ("5000", "5000")):
            await go_to(pilot, "max_samples")
            await pilot.press("enter", *typed, "enter")
            assert screen.form.said["max_samples"] == becomes
        await pilot.press("enter", "right", "1", "left", "left", "2", "enter")
        assert screen.form.said["max_samples"] == "500201"
        await pilot.press("enter", "backspace", "enter")
        assert "max_samples" not in screen.form.said

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_choices_and_switches_turn_and_the_default_comes_back(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await go_to(pilot, "behavior_if_log_dir_exists")
        await pilot.press("right")
        assert screen.form.said["behavior_if_log_dir_exists"] == "resume"
        await pilot.press("left", "left")
        assert screen.form.said["behavior_if_log_dir_exists"] == "raise"
        await pilot.press("enter")
        await until(pilot, lambda: screen.editor.is_open, "the list")
        assert "delete" in seen(screen)
        await pilot.press("a", "d", "p", "enter")  # ask, delete, and no preset
        await until(pilot, lambda: not screen.editor.is_open, "the choice")
        assert screen.form.said["behavior_if_log_dir_exists"] == "delete"
        await pilot.press("backspace")
        await until(pilot, lambda: "behavior_if_log_dir_exists" not in screen.form.said)
        await pilot.press("m")
        await go_to(pilot, "train_mlp")
        await pilot.press("space")
        await until_seen(pilot, "□ false")
        await pilot.press("enter")
        await until(pilot, lambda: screen.form.said["train_mlp"] == "true")

    drive(form_app(tmp_path, **WORLD), steps, MIDDLE)


def test_the_mouse_edits_a_field_and_a_click_elsewhere_takes_what_is_typed(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        table = screen.fields
        row = next(n for n, line in enumerate(table.lines) if line.name == "max_samples")
        await pilot.click(FieldTable, offset=(5, row + 1))
        await pilot.click(FieldTable, offset=(5, row + 1))
        await until(pilot, lambda: screen.editor.is_open, "the editor")
        await pilot.press(*"12")
        await pilot.click(FieldTable, offset=(5, row + 2))
        await until(pilot, lambda: not screen.editor.is_open, "the editor to close")
        assert screen.form.said["max_samples"] == "12"

    drive(form_app(tmp_path, **WORLD), steps, MIDDLE)


def test_it_resizes_while_a_field_is_filled(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        assert not screen.has_class("-wide")
        await pilot.press("i")
        await until_seen(pilot, "Estimate", "Command", "geospot sft service=local")
        await pilot.press("escape")
        await fill(pilot, "max_samples", "40", end="")
        await resized(pilot, *LARGE)
        await until(pilot, lambda: screen.has_class("-wide"), "the panel at the side")
        await until(
            pilot,
            lambda: (
                screen.editor.region.offset
                == screen.fields.region.offset + screen.fields.value_region.offset
            ),
            "the editor over its field",
        )
        await pilot.press("1", "enter")
        await until(pilot, lambda: screen.form.said["max_samples"] == "401", "what was typed")
        await until_seen(pilot, "Estimate", "Command")
        await resized(pilot, *SMALL)
        await until(pilot, lambda: not screen.has_class("-wide"))
        assert "Setting" in seen(screen)

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_the_editor_stands_over_the_value_also_at_the_last_line(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        table = screen.fields
        await pilot.press("m")
        await go_to(pilot, "trackers")  # from above: it is the last line that is seen
        assert table.value_region.y == table.size.height - 1
        await pilot.press("enter")
        await until_seen(pilot, "wandb", "trackio", "tensorboard")
        line = screen.editor.query_one(Input).region
        assert line.offset == table.region.offset + table.value_region.offset
        await until(
            pilot, lambda: screen.editor.query_one(OptionList).region.bottom == line.y, "the list"
        )
        await pilot.press(*"wandb,tr")
        await until_seen(pilot, "wandb,trackio")
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen.form.said.get("trackers") == "wandb,trackio")

    drive(form_app(tmp_path, **WORLD), steps, SMALL)
