"""What the launch form shows: fields, reasons against them, and a question before it is lost."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.config.recipes import TINY_SCRATCH
from geospot.tui.screens.launch import LaunchScreen
from geospot.tui.screens.launch_list import FieldTable
from tests.support.launch_form import LARGE, MIDDLE, SMALL, WORLD, fill, form_app, go_to, ready
from tests.support.screens import drive, resized, seen, until, until_seen
from tests.support.written_runs import write_run

pytestmark = pytest.mark.usefixtures("no_keys")


def test_it_says_what_keeps_it_from_starting_and_does_not_start(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await until_seen(pilot, "TINKER_API_KEY", "not yet")
        assert screen.wrong.keys() == {"service"}
        assert (
            seen(screen.query_one("#launch-panel")).count("✗") == 1
        )  # the reason stands there once
        await go_to(pilot, "log_path")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: screen.fields.field == "service", "the field that is wrong")
        assert "✗ service" in seen(screen)
        assert isinstance(pilot.app.screen, LaunchScreen)
        assert not (tmp_path / "runs").exists()

    drive(form_app(tmp_path), steps, SMALL)


def test_a_large_screen_lists_whatever_keeps_it_from_starting(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await fill(pilot, "batch_size", "0")
        await fill(pilot, "num_epochs", "x")
        await until_seen(
            pilot, "What keeps it from starting", "✗ batch_size: input should be greater"
        )
        await until_seen(
            pilot, "2 things keep it from starting", "✗ input should be a valid integer"
        )

    drive(form_app(tmp_path, **WORLD), steps, LARGE)


def test_the_model_as_a_whole_complains_above_the_fields(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await fill(pilot, "max_samples", "10")
        screen.form.say("num_substeps", "99")
        await fill(pilot, "max_steps", "3")
        text = await until_seen(pilot, "num_substeps is larger than batch_size")
        assert text.index("num_substeps is larger") < text.index("Setting")

    drive(form_app(tmp_path, "rl", **WORLD), steps, SMALL)


def test_it_says_where_the_photos_come_from_and_what_an_empty_field_means(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await go_to(pilot, "hf_repo")
        await until_seen(pilot, "downloaded from the hub; world needs no")
        assert "hf_repo" not in screen.form.said
        await until_seen(pilot, f"{TINY_SCRATCH}, untrained", "0, all weights")
        for nowhere in ("photos.csv", "/nowhere/at/all", "wrold", "photos-{0..2}.tar"):
            await fill(pilot, "hf_repo", nowhere)
            await until(pilot, lambda: "hf_repo" in screen.wrong, f"a reason against {nowhere}")
        await fill(pilot, "hf_repo", "mine")
        await until_seen(pilot, "a folder on this machine")
        assert not screen.wrong
        await fill(pilot, "hf_repo", "world")
        await until_seen(pilot, "no download", "ready")

    drive(form_app(tmp_path, service="local"), steps, LARGE)


def test_a_directory_with_a_run_is_refused_until_it_is_said_what_becomes_of_it(
    tmp_path: Path,
) -> None:
    taken = tmp_path / "runs" / "taken"
    write_run(taken, "sft").close("stopped", "asked to")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await until(pilot, lambda: "log_path" in screen.wrong, "the reason")
        assert "stopped, step 3 of 10" in screen.wrong["log_path"]
        screen.form.say("behavior_if_log_dir_exists", "resume")
        await pilot.press("t")
        await until(pilot, lambda: "log_path" not in screen.wrong, "resume")
        await go_to(pilot, "log_path")
        await until_seen(pilot, "which goes on")
        await pilot.press("n")
        await until(
            pilot, lambda: screen.form.said["log_path"] == f"{taken}-2", "a directory that is free"
        )

    drive(form_app(tmp_path, **WORLD, log_path=str(taken)), steps, MIDDLE)


def test_sections_unfold_one_by_one_and_all_at_once(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        table = screen.fields
        assert not any(row.name == "adam_eps" for row in table.lines)
        while not (table.row and table.row.what == "more" and table.row.name.startswith("How the")):
            await pilot.press("down")
        await pilot.press("enter")
        assert any(row.name == "adam_eps" for row in table.lines)
        assert not any(row.name == "thumbnails_mb" for row in table.lines)
        await pilot.press("m")
        assert any(row.name == "thumbnails_mb" for row in table.lines)
        await pilot.press("m")
        assert not any(row.name in ("adam_eps", "thumbnails_mb") for row in table.lines)
        await pilot.press("m", "m")
        await resized(pilot, *LARGE)
        await until(pilot, lambda: not any(row.name == "adam_eps" for row in table.lines))

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_a_large_screen_shows_every_setting(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await pilot.press("e")
        await until(pilot, lambda: screen.kind == "eval", "Evaluation")
        await until_seen(pilot, "ray_address", "extra_body", "canary")
        await resized(pilot, *SMALL)
        await until(
            pilot, lambda: any(row.folded for row in screen.fields.lines), "sections folded again"
        )

    drive(form_app(tmp_path, **WORLD), steps, LARGE)


def test_kinds_keep_what_is_filled_in_and_carry_over_whom_and_which_photos(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await fill(pilot, "batch_size", "5")
        await pilot.press("r")
        await until(pilot, lambda: screen.kind == "rl", "RL")
        assert screen.form.said["hf_repo"] == "world"
        assert "batch_size" not in screen.form.said
        assert "● RL" in seen(screen)
        await pilot.click("#launch-eval")
        await until(pilot, lambda: screen.kind == "eval", "Evaluation")
        assert screen.form.said["out"] == str(tmp_path / "results" / "eval")
        await pilot.press("s")
        await until(pilot, lambda: screen.kind == "sft", "SFT")
        assert screen.form.said["batch_size"] == "5"

    drive(form_app(tmp_path, **WORLD), steps, MIDDLE)


def test_settings_from_a_hostile_run_are_shown_harmlessly(tmp_path: Path) -> None:
    hostile = {
        **WORLD,
        "prompt": "Where \x1b[31mis\u202e [bold]this[/bold]\x07\x00?",
        "project": "日本" * 200,
        "zz\x1b[2J": "\x1b[2J",
        "system_prompt": "x" * 100_000,
    }

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await pilot.press("m")
        text = seen(screen)
        assert "\x1b" not in text
        assert "\u202e" not in text
        await until_seen(pilot, "no such setting")
        await go_to(pilot, "prompt")
        text = seen(screen)
        assert "[bold]this" in text
        assert "\x1b" not in text
        await pilot.press("enter")
        await until(pilot, lambda: screen.editor.is_open)
        assert "\x1b" not in seen(screen)
        await pilot.press("enter")
        await until(pilot, lambda: not screen.editor.is_open)
        assert screen.form.said["prompt"] == hostile["prompt"]

    drive(form_app(tmp_path, "sft", **hostile), steps, MIDDLE)


def test_it_asks_before_what_was_filled_in_is_lost(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await fill(pilot, "max_samples", "40")
        await pilot.press("escape")
        await until_seen(pilot, "Leave the form?")
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.screen is screen)
        await pilot.press("escape", "y")
        await until(pilot, lambda: screen not in pilot.app.screen_stack, "the screen before")

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_an_unchanged_form_is_left_without_a_question(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: screen not in pilot.app.screen_stack)

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_every_key_of_the_form_has_a_name_and_an_explanation() -> None:
    for owner in (LaunchScreen, FieldTable):
        for binding in owner.BINDINGS:
            assert not isinstance(binding, tuple)
            assert binding.description, binding.key
            assert binding.tooltip, binding.key
