"""Log, configuration, checkpoints and evaluations of a run."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from geospot.tui.app import GeospotApp
from geospot.tui.screens.run import RunScreen
from geospot.tui.screens.run_config import ConfigView, defaults_of, settings_of
from geospot.tui.widgets.logpane import LogPane, read_line
from tests.support.rollouts import HOSTILE_TEXT
from tests.support.run_child import checkpoint
from tests.support.run_screens import ENDS, calls_of, do_step, going, shown
from tests.support.screens import seen, until, until_seen


def evaluated(folder: Path, step: int, **figures: Any) -> Path:
    """The directory of an evaluation on the way; without figures it is under way."""
    result = folder / "evals" / f"step-{step:06d}"
    result.mkdir(parents=True)
    if figures:
        (result / "summary.json").write_text(json.dumps(figures))
    return result


@pytest.mark.parametrize("size", ENDS)
def test_the_log_follows_its_end_unless_one_has_scrolled(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with going(tmp_path / "run") as run:
        for number in range(200):
            run.log(f"line {number}")

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await pilot.press("l")
            await until_seen(pilot, "line 199")
            run.log("one more")
            await until_seen(pilot, "one more")
            await pilot.press("home")
            await until_seen(pilot, "line 0")
            run.log("and another")
            pane = screen.query_one(LogPane)
            await until(pilot, lambda: pane.lines[-1].text == "and another")
            await pilot.pause()
            assert "line 0" in seen(screen)
            assert "and another" not in seen(screen)
            await pilot.press("end")
            await until_seen(pilot, "and another")
            run.log("the last")
            await until_seen(pilot, "the last")

        shown(tmp_path / "run", steps, size)


def test_warnings_stand_out_and_hostile_lines_are_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder) as run:
        run.log("the sampler is far away", level="WARNING")
        run.log("[bold red]no markup[/] " + HOSTILE_TEXT, level="ERROR")
        with (folder / "logs.log").open("ab") as file:
            file.write(
                b"\xff\xfe broken \x1b]0;title\x07 bytes\n" + "long 東京 ".encode() * 400 + b"\n"
            )

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await pilot.press("l")
            text = await until_seen(
                pilot, "ERROR", "[bold red]no markup[/]", "long 東京", "more characters"
            )
            assert "\x1b" not in text
            pane = screen.query_one(LogPane)
            await pilot.press("slash", *"level:warning", "enter")
            await until_seen(pilot, "WARNING")
            assert [line.text for line in pane.lines] == ["the sampler is far away"]
            await until_seen(pilot, "1 of ")
            await pilot.press("slash", "escape", *"nosuchword", "enter")
            await until_seen(pilot, "No line passes the filter.")

        shown(folder, steps)


def test_lines_of_other_programs_are_read() -> None:
    ours = read_line("2026-11-30T01:27:40Z WARNING careful")
    assert (ours.when, ours.level, ours.text) == ("2026-11-30 01:27:40", "warning", "careful")
    assert read_line("tinker_cookbook.train:120 [INFO] fine").level == "info"
    assert read_line("x:12 [WARNING] hm").level == "warning"
    assert read_line("ValueError: no").level == "error"
    assert read_line("Traceback (most recent call last):").level == "error"


@pytest.mark.parametrize("size", ENDS)
def test_settings_that_are_not_the_default_are_marked(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with going(tmp_path / "run", group_size=16, learning_rate=0.5):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await pilot.press("c")
            await until_seen(pilot, "Setting", "service")
            view = screen.query_one(ConfigView)
            await pilot.press("slash", *"group_size", "enter")
            text = await until_seen(pilot, "group_size", "≠ 4")
            assert "service" not in text.split("Setting")[1].split("settings")[0]
            await pilot.press("y")
            assert pilot.app.clipboard == "group_size=16"
            await pilot.press("slash", "escape", *"changed:yes", "enter")
            await until(pilot, lambda: "batch_size" not in seen(view))
            assert "hf_repo" in seen(view)
            assert "of them" not in seen(view)

        shown(tmp_path / "run", steps, size)


@pytest.mark.parametrize("size", ENDS)
def test_a_setting_that_does_not_fit_is_read_below_the_table(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    prompt = " ".join(f"word-{number}" for number in range(60))
    with going(tmp_path / "run", system_prompt=prompt):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await pilot.press("c", "slash", *"key:prompt", "enter")
            await until_seen(pilot, "system_prompt", "prompt_text")
            assert "word-59" not in seen(screen)
            assert "⏎ Open" not in seen(screen)
            await pilot.press("down")
            whole = screen.query_one("#config-whole")
            await until(pilot, lambda: whole.display)
            await until_seen(pilot, "word-59")
            await pilot.press("enter")
            assert pilot.app.clipboard.endswith("word-59")
            await pilot.press("up")
            await until(pilot, lambda: not whole.display)

        shown(tmp_path / "run", steps, size)


def test_hostile_configurations_are_shown_safely() -> None:
    config = {
        "a\x1b[2J": "x\u202ey",
        "deep": {"er": {"list": [1, {"k": "v"}]}},
        "group_size": 16,
        "long": "z" * 100_000,
        "learning_rate": 3.0,
        "nothing": None,
    }
    rows = {one.key: one for one in settings_of(config, defaults_of("rl"))}
    assert rows["a\\x1b[2J"].value == "x\\u202ey"
    assert rows["deep.er.list"].value == '[1, {"k": "v"}]'
    assert rows["group_size"].default == "≠ 4"
    assert rows["group_size"].is_other
    assert not rows["learning_rate"].is_other
    assert rows["learning_rate"].default == "open until settled"
    assert len(rows["long"].value) <= 2000
    assert rows["nothing"].value == "none"
    assert defaults_of("other") == {}


@pytest.mark.parametrize("size", ENDS)
def test_checkpoints_and_evaluations_are_listed_and_opened(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = calls_of(monkeypatch, GeospotApp, "open_result")
    folder = tmp_path / "run"
    with going(folder) as run:
        run.add_checkpoint(checkpoint(4))
        figures = {"all": {"geoscore": 2345.6, "median_km": 987.6}, "coverage": 0.95}
        old = evaluated(folder, 0, n=200, complete=True, **figures)
        evaluated(folder, 5)

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await pilot.press("p")
            text = await until_seen(pilot, "2,346", "under way", "95.0%")
            assert "000004" in text
            await pilot.press("tab", "down", "enter")
            await pilot.pause()
            assert results == [("open_result", old)]
            (folder / "evals" / "step-000005" / "summary.json").write_text("{broken")
            do_step(run, 6)
            await until_seen(pilot, "step 7 of 10")
            await pilot.press("shift+tab", "enter")
            await until_seen(pilot, "Checkpoint 000004", "Evaluate it", "Branch: a new run")
            await pilot.press("escape")
            assert pilot.app.screen is screen

        shown(folder, steps, size)


def test_a_checkpoint_is_branched_and_evaluated_from_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = calls_of(monkeypatch, GeospotApp, "open_launch")
    folder = tmp_path / "run"
    with going(folder) as run:
        run.add_checkpoint(checkpoint(4))

        async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
            await pilot.press("p")
            await until_seen(pilot, "000004")
            await pilot.press("enter")
            await until_seen(pilot, "Evaluate it")
            await pilot.press("enter")
            await until(pilot, lambda: len(launched) == 1)
            await pilot.press("enter")
            await until_seen(pilot, "Branch: a new run")
            await pilot.press("down", "enter")
            await until(pilot, lambda: len(launched) == 2)

        shown(folder, steps)
    assert launched[0][1] == "eval"
    assert launched[0][2]["model"].endswith("run@000004")
    assert launched[1][1] == "rl"
    assert launched[1][2]["load_checkpoint_path"].endswith("run@000004")
