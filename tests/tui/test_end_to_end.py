"""A newcomer in a real terminal: from an empty folder to trained runs and a leaderboard, by keys."""

import csv
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geospot.runs.heartbeat import Beat, read_heartbeat
from tests.support.approx import approx
from tests.support.tmux import Tmux, Window, has_tmux

pytestmark = [
    pytest.mark.skipif(not has_tmux(), reason="tmux is not installed"),
    pytest.mark.timeout(1500),
]

_APP = (str(Path(sys.executable).with_name("geospot")), "tui")
_NEVER = ("✗ failed", "† died", "Traceback (most recent")
"""Nothing comes after these."""
_WITHIN_S = 120.0
_CURSOR = re.compile(r"▌[ ✗•]*(\S+)\s+(\S+)")
_STEP = re.compile(r"step ([\d,]+) of")


def test_a_newcomer_trains_evaluates_and_exports(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with Tmux(folder, variables=state, never=_NEVER) as tmux:
        window = tmux.open("first")
        window.run(*_APP)
        supervised(window, folder / "runs" / "sft")
        reinforced(window, folder / "runs" / "demo-rl")
        watched_twice(tmux, window)
        stopped_and_resumed(window, folder / "runs" / "demo-rl")
        left_and_found_again(window, folder / "runs" / "demo-rl")
        evaluated_and_exported(window, folder)
        window.keys("q")
        window.until_so(lambda screen: "geospot ›" not in screen, "the shell")
        window.close()
        until(lambda: not tmux.processes(), "the end of every process")


def supervised(window: Window, run: Path) -> None:
    """From the welcome to the end of a supervised run."""
    press(window, "n New run", "n")
    for name, value in {
        "service": "local",
        "model_name": "geospot/tiny-vlm",  # one that answers, or the run by reward ends early
        "hf_repo": "world",
        "max_samples": "480",
        "max_steps": "30",
        "eval_every": "0",
    }.items():
        fill(window, name, value)
    start(window)
    window.until("› runs › sft")
    window.until("✓ finished", "step 30 of 30", "NLL")
    assert beat_of(run).standing() == "finished"
    assert len(rows_of(run / "metrics.jsonl")) >= 30


def reinforced(window: Window, run: Path) -> None:
    """A run by reward from a checkpoint of the supervised one; its steps, and an answer of it."""
    press(window, "esc Back", "Escape")
    window.until("geospot › runs\n")
    press(window, "n New run", "n")
    press(window, "p Presets", "p")
    until_chosen(window, "Goes on from the newest SFT run")
    window.keys("Enter")
    window.until("New run › RL", "demo-rl")
    go_to(window, "load_checkpoint_path")
    press(window, "⏎ Edit", "Enter")
    window.until("runs/sft@final", "⏎ Take")
    window.until("runs/sft@000020")
    window.keys("Down", "Down", "Enter")  # not the one that is offered first
    window.until_so(lambda screen: at(screen) == ("load_checkpoint_path", "runs/sft@000020"))
    fill(window, "max_steps", "5000")
    fill(window, "batch_size", "8")
    fill(window, "group_size", "4")
    start(window)
    window.until("▶ running", "of 1,250")
    first = step_of(window.until("Reward", "GeoScore"))
    window.until_so(lambda screen: step_of(screen) > first + 1, "more steps")
    press(window, "r Rollouts", "r")
    window.until_so(
        lambda screen: shows_one_of(rows_of(run / "rollouts.jsonl"), screen), "an answer"
    )
    press(window, "esc Back", "Escape")
    window.until("▶ running")


def watched_twice(tmux: Tmux, window: Window) -> None:
    """Another app on the same run shows the same; it is hung up on, and nobody minds."""
    other = tmux.open("second")
    other.run(*_APP)
    other.until("2 runs", "▶ running")
    press(other, "⏎ Open", "Enter")
    seen = step_of(other.until("› demo-rl", "▶ running", "of 1,250"))
    window.until_so(lambda screen: step_of(screen) > seen, "the step in both")
    other.until_so(lambda screen: step_of(screen) > seen, "the step in both")
    other.close()


def stopped_and_resumed(window: Window, run: Path) -> None:
    """It is asked first; a checkpoint is saved; from there it goes on."""
    press(window, "s Stop", "s")
    press(window, "Stop (y)", "y")
    window.until("■ stopped")
    saved = rows_of(run / "checkpoints.jsonl")[-1]["batch"]
    assert beat_of(run).standing() == "stopped"
    assert beat_of(run).step == saved > 0
    window.until_so(lambda screen: step_of(screen) == saved, f"step {saved}")
    press(window, "R Resume", "R")
    window.until_so(
        lambda screen: "▶ running" in screen and step_of(screen) > saved,
        "new steps",
    )


def left_and_found_again(window: Window, run: Path) -> None:
    """The run goes on without the app, and is found again by the next one."""
    press(window, "q Quit", "q")
    window.until("1 run goes on: demo-rl.")
    before = beat_of(run)
    until(lambda: beat_of(run).step > before.step and beat_of(run).time > before.time, "steps")
    window.run(*_APP)
    window.until("2 runs · 1 running", "▶ running")
    press(window, "⏎ Open", "Enter")
    window.until_so(lambda screen: step_of(screen) > before.step, "later steps")
    press(window, "s Stop", "s")
    press(window, "Stop (y)", "y")
    window.until("■ stopped")


def evaluated_and_exported(window: Window, folder: Path) -> None:
    """The newest checkpoint is evaluated, ranked, and written as CSV."""
    press(window, "p  Checkpoints", "p")
    window.until("To go on from")
    press(window, "⏎ Open", "Enter")
    press(window, "Evaluate it", "Enter")
    window.until("New run › Evaluation")
    fill(window, "limit", "12")
    start(window)
    window.until("geospot › results", "demo-rl@")
    results = folder / "results"
    until(lambda: [*results.rglob("summary.json")] != [], "the end of the evaluation")
    [summary] = results.rglob("summary.json")
    window.until("12 answers", "coverage")
    window.until_so(lambda screen: "Under way" not in screen, "the figures")
    press(window, "1 Runs", "1")
    press(window, "l Leaderboard", "l")
    window.until("geospot › leaderboard", "demo-rl")
    press(window, "x Export", "x")
    window.until("leaderboard.csv")
    window.keys("Enter")
    until((folder / "leaderboard.csv").exists, "the file")
    with (folder / "leaderboard.csv").open(newline="") as file:
        [row] = [row for row in csv.DictReader(file) if "demo-rl" in row["model"]]
    overall = json.loads(summary.read_text())["all"]
    assert float(row["geoscore"]) == approx(overall["geoscore"], abs=0.01)


# What a person does


def press(window: Window, shown: str, key: str) -> None:
    """Presses a key that the screen shows."""
    window.until(shown)
    window.keys(key)


def fill(window: Window, name: str, value: str) -> None:
    """Fills a field of the form."""
    go_to(window, name)
    press(window, "del Default", "DC")
    press(window, "⏎ Edit", "Enter")
    window.until("⏎ Take")
    window.type(value)
    window.until_so(lambda screen: value in screen, value)
    window.keys("Enter")
    window.until_so(
        lambda screen: at(screen) == (name, value) and "⏎ Edit" in screen, f"{name} {value}"
    )


def go_to(window: Window, name: str) -> None:
    """Goes down to a field of the form."""
    while (field := at(window.until("⏎ Edit"))[0]) != name:
        window.keys("Down")
        window.until_so(lambda screen, before=field: at(screen)[0] != before, f"{name} below")


def start(window: Window) -> None:
    """Starts what the form is filled with."""
    window.until("ready · ctrl+s starts it")
    press(window, "^s Start", "C-s")


def until_chosen(window: Window, meaning: str) -> None:
    """Goes down in a list until what is chosen means this."""
    window.until("Begin with")
    while meaning not in (screen := window.screen()):
        window.keys("Down")
        window.until_so(lambda now, before=screen: now != before, "another choice")


def at(screen: str) -> tuple[str, str]:
    """The field with the cursor, and its value."""
    for line in screen.splitlines():
        if found := _CURSOR.match(line):
            return found[1], found[2]
    return "", ""


def step_of(screen: str) -> int:
    """The step that a run's screen shows; -1 where there is none."""
    found = _STEP.search(screen)
    return int(found[1].replace(",", "")) if found else -1


def shows_one_of(answers: list[dict[str, Any]], screen: str) -> bool:
    """Whether several lines of an answer are on screen; those that need no rewriting to be shown."""
    for answer in answers:
        lines = {line[:20] for line in answer["text"].split("\n") if line.isascii()}
        seen = [line for line in lines if len(line) > 5 and line.isprintable() and line in screen]
        if len(seen) > 1:
            return True
    return False


# What is in the files


def beat_of(run: Path) -> Beat:
    """The run's heartbeat."""
    beat = read_heartbeat(run)
    assert beat is not None
    return beat


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The whole rows of a file that may be written just now."""
    whole = path.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + _WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.1)
