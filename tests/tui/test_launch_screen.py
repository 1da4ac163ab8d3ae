"""The launch form, driven by keys and mouse as a person would."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key, Paste
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList

from geospot.cli.keyvalue import read_settings
from geospot.config.learning import RLConfig, SFTConfig
from geospot.config.load import build, read_toml
from geospot.config.recipes import TINY_SCRATCH, with_recipe
from geospot.errors import UsageError
from geospot.runs.checkpoints import read_checkpoints
from geospot.runs.control import branch_settings
from geospot.tui.app import GeospotApp
from geospot.tui.looking import Said
from geospot.tui.screens import launch_estimate
from geospot.tui.screens.launch import LaunchScreen
from geospot.tui.screens.launch_list import FieldTable
from tests.support.screens import drive, opened, seen, until, until_seen
from tests.support.vlm_server import VlmServer
from tests.support.written_runs import write_run

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)
WORLD = {"service": "local", "hf_repo": "world"}


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in ("TINKER_API_KEY", "TINKER_BASE_URL", "OPENAI_API_KEY", "TINKER_CREDENTIAL_CMD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


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
    """Moves the cursor to a field with the keys that a person has."""
    table = on(pilot).fields
    await pilot.press("home")
    while table.field != name:
        before = table.cursor
        await pilot.press("down")
        assert table.cursor != before, f"{name} isn't among the fields"


async def fill(pilot: Pilot[None], name: str, text: str, end: str = "enter") -> None:
    """Types a value into a field."""
    await go_to(pilot, name)
    await pilot.press("enter", "ctrl+u", *text)
    if end:
        await pilot.press(end)


def burst(pilot: Pilot[None], *keys: str) -> None:
    """Presses keys as a terminal sends them that has held them back: nothing is waited for in between."""
    for key in keys:
        pilot.app.post_message(Key(key, key if len(key) == 1 else None))


def test_it_says_what_keeps_it_from_starting_and_does_not_start(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await until_seen(pilot, "TINKER_API_KEY", "not yet")
        assert screen.wrong.keys() == {"service"}
        await go_to(pilot, "log_path")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: screen.fields.field == "service", "the field that is wrong")
        assert "✗ service" in seen(screen)
        assert isinstance(pilot.app.screen, LaunchScreen)
        assert not (tmp_path / "runs").exists()

    drive(form_app(tmp_path), steps, SMALL)


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
        burst(pilot, *begins, *"192", "enter", "down", "down", *begins, *"12", "enter", "up")
        burst(pilot, *begins, *"7", "tab", "enter", *"34", "backspace", "left", *"5", "tab")
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
        burst(pilot, "enter", "down", "down", "enter")
        pilot.app.post_message(Paste("5"))
        burst(pilot, "3", "tab")
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


def test_it_says_where_the_photos_come_from_and_what_an_empty_field_means(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await go_to(pilot, "hf_repo")
        await until_seen(pilot, "downloaded from the hub; world needs no")
        assert "hf_repo" not in screen.form.said
        await until_seen(pilot, f"{TINY_SCRATCH}, untrained", "0, all weights")
        for nowhere in ("photos.csv", "/nowhere/at/all", "wrold", "photos-{0..2}.tar"):
            await fill(pilot, "hf_repo", nowhere)
            await until(pilot, lambda: "hf_repo" in screen.wrong, f"a reason against {nowhere}")
        await fill(pilot, "hf_repo", str(tmp_path))
        await until_seen(pilot, "a folder on this machine")
        assert not screen.wrong
        await fill(pilot, "hf_repo", "world")
        await until_seen(pilot, "no download", "ready")

    drive(form_app(tmp_path, service="local"), steps, LARGE)


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
        await pilot.resize_terminal(*LARGE)
        await until(pilot, lambda: not any(row.name == "adam_eps" for row in table.lines))

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_a_large_screen_shows_every_setting(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await pilot.press("e")
        await until(pilot, lambda: screen.kind == "eval", "Evaluation")
        await until_seen(pilot, "ray_address", "extra_body", "canary")
        await pilot.resize_terminal(*SMALL)
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


def test_the_demo_goes_on_from_the_newest_run_of_sft_with_its_figures(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "first", "sft").close("finished", "")

    async def steps(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await pilot.press("p")
        text = await until_seen(pilot, "Demo world, GRPO", "Evaluate an OpenAI")
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


def test_a_toml_file_fills_the_form_of_its_kind_and_names_what_is_no_setting(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('group-size = 6\nhf_repo = "world"\nbatchsize = 3\nservice = "local"\n')

    async def steps(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await pilot.press("o")
        await until_seen(pilot, "Fill the form from a TOML file")
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


def test_models_that_a_server_has_are_offered_and_another_is_refused(tmp_path: Path) -> None:
    with VlmServer(models=["text-only", "some-vision-vlm"]) as server:

        async def steps(pilot: Pilot[None]) -> None:
            screen = await ready(pilot)
            await until(pilot, lambda: screen.look is not None and not screen.look.trouble)
            await until_seen(pilot, "reachable, 2 models")
            await until(pilot, lambda: "model" in screen.wrong, "the model isn't served")
            assert "did you mean some-vision-vlm?" in screen.wrong["model"]
            await go_to(pilot, "model")
            await pilot.press("enter", "ctrl+u")
            text = await until_seen(pilot, "text-only", "some-vision-vlm")
            assert text.index("some-vision-vlm") < text.index("text-only")
            await pilot.press("down", "enter")
            await until(pilot, lambda: screen.form.said.get("model") == "some-vision-vlm")
            await until(pilot, lambda: not screen.wrong, "nothing is wrong")

        app = form_app(
            tmp_path, "eval", backend="openai", base_url=server.base_url, model="some-vision-vlmm"
        )
        drive(app, steps, LARGE)


def test_a_backend_that_needs_a_model_says_so_at_the_model(tmp_path: Path) -> None:
    with VlmServer() as server:

        async def steps(pilot: Pilot[None]) -> None:
            screen = await ready(pilot)
            await until(pilot, lambda: "model" in screen.wrong, "the reason")
            assert "needs a model" in screen.wrong["model"]
            await go_to(pilot, "backend")
            await pilot.press("enter", "ctrl+u", *"prior", "enter")
            await until(pilot, lambda: screen.look is not None and not screen.wrong, "no reason")

        app = form_app(tmp_path, "eval", backend="openai", base_url=server.base_url)
        drive(app, steps, SMALL)


def test_a_missing_key_is_named_by_its_variable_and_one_that_is_pasted_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret-value")
    with VlmServer(key="very-secret-value") as server:

        async def steps(pilot: Pilot[None]) -> None:
            screen = await ready(pilot)
            await until_seen(pilot, "refuses the key (none was sent)")
            await fill(pilot, "api_key_env", "MY_KEY")
            await until_seen(pilot, "key in MY_KEY")
            assert "very-secret-value" not in seen(screen)
            await fill(pilot, "api_key_env", "very-secret-value")
            await until(pilot, lambda: "api_key_env" in screen.wrong)
            assert "very-secret-value" not in seen(screen)

        app = form_app(
            tmp_path, "eval", backend="openai", base_url=server.base_url, model="some-vlm"
        )
        drive(app, steps, LARGE)


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
        await fill(pilot, "load_checkpoint_path", str(tmp_path / "nowhere"))
        await until(pilot, lambda: "load_checkpoint_path" in screen.wrong, "the reason")

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
        await pilot.resize_terminal(*LARGE)
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
        await pilot.resize_terminal(*SMALL)
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


def test_an_evaluation_is_started_detached_and_its_result_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Path] = []

    def open_result(_app: GeospotApp, result: Path) -> None:
        shown.append(result)

    monkeypatch.setattr(GeospotApp, "open_result", open_result)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await pilot.press("ctrl+s")
        await long(pilot, lambda: bool(shown), "the result")
        assert shown == [tmp_path / "results" / "eval"]
        await long(pilot, (shown[0] / "summary.json").is_file, "its summary")
        assert screen not in pilot.app.screen_stack

    drive(form_app(tmp_path, "eval", backend="prior", dataset="world", limit=8), steps, SMALL)


def test_what_an_evaluation_takes_is_counted_anew_for_every_change(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await long(pilot, lambda: "8 of world" in panel(screen), "the estimate, without a key")
        assert "nothing: this machine computes" in panel(screen)
        assert " u Estimate" not in seen(screen)
        await fill(pilot, "limit", "5")
        await until(pilot, lambda: "8 of world" not in panel(screen), "the old one to go")
        await long(pilot, lambda: "5 of world" in panel(screen), "the new one")

    drive(form_app(tmp_path, "eval", backend="local", dataset="world", limit=8), steps, SMALL)


def test_data_on_the_hub_is_counted_when_somebody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []

    async def answer(words: Sequence[str], *, limit_s: float) -> Said:
        asked.append(words)
        cost = "cost         unknown; give --price-in and --price-out, or --other"
        return Said(0, f"fingerprint  abc\nimages       {len(asked)} of it\n{cost}".encode(), b"")

    monkeypatch.setattr(launch_estimate, "ask_process", answer)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await until_seen(pilot, "u counts photos and tokens", " u Estimate")
        await pilot.pause(0.6)
        assert asked == []
        await pilot.press("u")
        await until(pilot, lambda: "1 of it" in panel(screen))
        assert "give price_in and price_out, or --other" in panel(
            screen
        )  # as the fields are called
        await pilot.press("u")  # it is there
        await fill(pilot, "out", "elsewhere")  # which changes nothing of it
        await pilot.pause(0.6)
        assert len(asked) == 1
        assert "1 of it" in seen(screen)
        await fill(pilot, "limit", "9")
        await until_seen(pilot, "u counts photos and tokens")
        assert len(asked) == 1

    drive(form_app(tmp_path, "eval", backend="prior", dataset="a/b", limit=8), steps, MIDDLE)


def test_a_place_that_is_taken_back_is_named_when_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[tuple[str, Path]] = []

    def refuse(kind: str, _settings: Any, folder: Path) -> None:
        launched.append((kind, folder))
        raise UsageError("Not in this test.")

    monkeypatch.setattr("geospot.tui.screens.launch.launch", refuse)

    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        for kind, name in (("s", "log_path"), ("e", "out")):
            await pilot.press(kind)
            await until(pilot, lambda name=name: name in screen.form.by_name)
            if kind == "e":
                await fill(pilot, "backend", "prior")
            await go_to(pilot, name)
            await pilot.press("backspace", "ctrl+s")
            await until_seen(pilot, "Not in this test.")
            screen.trouble = ""
        assert launched == [("sft", Path("runs/sft")), ("eval", tmp_path / "results" / "eval")]

    drive(form_app(tmp_path, **WORLD), steps, SMALL)


def test_a_process_that_ends_at_once_says_why_in_the_form(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        screen = await ready(pilot)
        await pilot.press("ctrl+s")
        await long(pilot, lambda: "ended before" in screen.trouble, "the reason")
        assert pilot.app.screen is screen
        text = await until_seen(pilot, "nothing-in-it")
        assert "Traceback" not in text

    empty = tmp_path / "nothing-in-it"  # it is there, which is all that can be seen beforehand
    empty.mkdir()
    drive(form_app(tmp_path, "eval", backend="prior", dataset=str(empty), limit=8), steps, SMALL)


def test_every_key_of_the_form_has_a_name_and_an_explanation() -> None:
    for owner in (LaunchScreen, FieldTable):
        for binding in owner.BINDINGS:
            assert not isinstance(binding, tuple)
            assert binding.description, binding.key
            assert binding.tooltip, binding.key


def panel(screen: LaunchScreen) -> str:
    """What stands beside the fields, in one line."""
    return " ".join(seen(screen.query_one("#launch-panel")).split())


async def long(pilot: Pilot[None], holds: Callable[[], bool], what: str) -> None:
    """Waits for another process, which has to import much."""
    for _ in range(3):
        try:
            await until(pilot, holds, what)
        except AssertionError:
            continue
        return
    await until(pilot, holds, what)
