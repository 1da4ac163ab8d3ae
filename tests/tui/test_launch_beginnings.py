"""What the launch form is filled from, and what it becomes: presets, checkpoints, TOML files, commands."""

import shlex
from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.cli.keyvalue import read_settings
from geospot.config.learning import RLConfig, SFTConfig
from geospot.config.load import build, read_toml
from geospot.config.recipes import TINY_SCRATCH, with_recipe
from geospot.runs.checkpoints import read_checkpoints
from geospot.runs.control import branch_settings
from geospot.tui.screens.launch import LaunchScreen
from tests.support.launch_form import MIDDLE, SMALL, WORLD, fill, form_app, go_to, on, ready
from tests.support.screens import drive, seen, until, until_seen
from tests.support.written_runs import write_run

pytestmark = pytest.mark.usefixtures("no_keys")


def test_the_demo_goes_on_from_the_newest_run_of_sft_with_its_figures(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "first", "sft").close("finished", "")

    async def steps(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await pilot.press("p")
        text = await until_seen(
            pilot, "Demo world, GRPO", "Evaluate an OpenAI", "enter begins with it · esc goes back"
        )
        assert "two minutes" in text
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, LaunchScreen), "the form")
        screen = on(pilot)
        await until(pilot, lambda: screen.kind == "rl" and screen.look is not None, "RL")
        await until(pilot, lambda: screen.around.checkpoint_model is not None, "the checkpoint")
        start = screen.form.said["load_checkpoint_path"]
        assert start.startswith(f"{tmp_path / 'runs' / 'first'}@")
        assert screen.form.said["log_path"] == str(tmp_path / "runs" / "demo-rl")
        assert not screen.wrong
        text = await until_seen(pilot, "125 of 16 photos × 8 answers", "nothing: this machine")
        assert "no earlier run" in text

    drive(form_app(tmp_path), steps, MIDDLE)


def test_a_preset_without_a_run_to_go_on_from_says_what_comes_first(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await pilot.press("p", "down", "enter")
        await until_seen(pilot, "There is no SFT run here to go on from yet")

    drive(form_app(tmp_path), steps, SMALL)


def test_checkpoints_of_runs_are_offered_to_start_from(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "first", "sft").close("finished", "")

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await until(pilot, lambda: bool(screen.offers.begun), "the runs")
        await go_to(pilot, "load_checkpoint_path")
        await pilot.press("enter")
        await until_seen(pilot, "first@")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "load_checkpoint_path" in screen.form.said)
        await until(pilot, lambda: screen.around.checkpoint_model is not None, "its model")
        await fill(pilot, "load_checkpoint_path", "nowhere")
        await until(pilot, lambda: "load_checkpoint_path" in screen.wrong, "the reason")

    drive(form_app(tmp_path, **WORLD), steps, MIDDLE)


def test_a_branch_is_prefilled_and_makes_the_run_that_control_would(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "old"
    write_run(run, "rl", learning_rate=1e-4, coord_tau=[25.0, 2000.0]).close("finished", "")
    name = read_checkpoints(run)[-1].name
    kind, settings = branch_settings(run, name, {}, tmp_path / "runs" / "branch")
    wanted = with_recipe(build(RLConfig, settings), "rl", TINY_SCRATCH)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await until(pilot, lambda: screen.around.checkpoint_model is not None, "the checkpoint")
        assert not screen.wrong
        assert screen.form.said["coord_tau"] == "25,2000"
        assert "lr_schedule" not in screen.form.said
        words = shlex.split(screen.command())
        config = read_settings(RLConfig, words[2:], None)
        assert with_recipe(config, "rl", TINY_SCRATCH) == wanted
        await pilot.press("escape")  # nothing was filled in: no question
        await until(pilot, lambda: screen not in pilot.app.screen_stack)

    drive(form_app(tmp_path, kind, **settings), steps, SMALL)


def test_a_toml_file_fills_the_form_of_its_kind_and_names_what_is_no_setting(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('group-size = 6\nhf_repo = "world"\nbatchsize = 3\nservice = "local"\n')

    async def steps(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await pilot.press("o")
        await until_seen(pilot, "Fill the form from a TOML file", "enter takes it · tab completes")
        await pilot.press(*"mi", "tab")
        await until_seen(pilot, "mine.toml")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, LaunchScreen))
        screen = on(pilot)
        await until(pilot, lambda: screen.kind == "rl", "the kind that knows these")
        assert screen.form.said["group_size"] == "6"
        await until_seen(pilot, "no such setting; did you mean batch_size?")
        assert screen.fields.field == "batchsize"
        await pilot.press("delete")
        await until(pilot, lambda: not screen.form.unknown and screen.checked.config is not None)

    drive(form_app(tmp_path), steps, MIDDLE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "not valid TOML"),
        (b"a = " + b"[" * 9000, "nested"),
        (b"#" * 1_000_001, "too long"),
    ],
    ids=["bytes", "deep", "long"],
)
def test_a_file_that_is_no_configuration_leaves_the_form_as_it_is(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "x.toml").write_bytes(content)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        before = dict(screen.form.said)
        await pilot.press("o", *"x.toml", "enter")
        await until_seen(pilot, said)
        assert on(pilot).form.said == before

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_what_is_written_as_toml_is_read_as_the_same_and_nothing_is_replaced_unasked(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.toml"

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await fill(pilot, "max_samples", "40")
        await pilot.press("w", "ctrl+u", *"mine.toml", "enter")
        await until(pilot, file.exists, "the file")
        assert build(SFTConfig, read_toml(file)) == screen.checked.config
        before = file.read_bytes()
        await fill(pilot, "max_samples", "41")
        await pilot.press("w", "ctrl+u", *"mine.toml", "enter")
        await until_seen(pilot, "Replace the file?")
        await pilot.press("n")
        assert file.read_bytes() == before
        await pilot.press("w", "ctrl+u", *"mine.toml", "enter")
        await until_seen(pilot, "Replace the file?")
        await pilot.press("y")
        await until(pilot, lambda: b"max_samples = 41" in file.read_bytes(), "the new file")

    drive(form_app(tmp_path, **WORLD), steps, MIDDLE)


def test_the_command_that_is_copied_makes_the_same_configuration(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await fill(pilot, "coord_tau", "25,2000")
        await fill(pilot, "learning_rate", "3e-4")
        await until(pilot, lambda: bool(screen.command()), "the command")
        await pilot.press("y")
        words = shlex.split(pilot.app.clipboard)
        assert words[:2] == ["geospot", "rl"]
        config = read_settings(RLConfig, words[2:], None)
        assert config == screen.checked.config
        assert config.coord_tau == [25.0, 2000.0]
        assert "the command is copied" in seen(screen)

    drive(form_app(tmp_path, "rl", **WORLD, prompt="Where's $HOME?"), steps, MIDDLE)
