"""The run screen: how a run stands, every key, broken directories, at several sizes."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from geospot.runs import control
from geospot.runs.heartbeat import HEARTBEAT
from geospot.tui.app import GeospotApp
from geospot.tui.screens.run import VIEWS, RunScreen
from geospot.tui.widgets.chart import Chart
from geospot.tui.widgets.confirm import Confirm
from tests.support.run_screens import (
    ENDS,
    MIDDLE,
    SIZES,
    SMALL,
    calls_of,
    chart_of,
    do_step,
    going,
    rl_row,
    shown,
)
from tests.support.screens import resized, seen, until, until_seen
from tests.support.written_runs import foreign_run, write_beat, write_run


@pytest.mark.parametrize("size", SIZES)
def test_the_top_says_how_a_running_run_stands(tmp_path: Path, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        text = await until_seen(pilot, "▶ running", "step 6 of 10", "60%")
        assert "reward 0.35" in text
        assert "median 1,950 km" in text
        if size != SMALL:
            assert "about 8s left" in text
            assert "6,000 tokens" in text
            assert "$0.75" in text
            assert "sampling" in text
            assert "answered 75.0%" in text
        await until(
            pilot,
            lambda: any("0.35" in chart.render_line(0).text for chart in screen.query(Chart)),
            "a chart with its newest value",
        )

    with going(tmp_path / "run") as _:
        shown(tmp_path / "run", steps, size)


def test_a_step_that_is_done_appears(tmp_path: Path) -> None:
    with going(tmp_path / "run") as run:

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "step 6 of 10", "reward 0.35")
            do_step(run, 6)
            await until_seen(pilot, "step 7 of 10", "reward 0.36")
            assert "0.36" in chart_of(screen, "Reward").render_line(0).text

        shown(tmp_path / "run", steps)


STATES: list[tuple[dict[str, Any], list[str]]] = [
    ({"pid": 2**22 + 1, "birth": ""}, ["died", "its process 4194305 is gone"]),
    ({"ago": 300.0}, ["silent", "no sign of life for 5m"]),
    ({"state": "failed", "reason": "the disk is full"}, ["failed", "the disk is full"]),
    ({"state": "stopped", "reason": "asked to"}, ["stopped", "asked to"]),
    ({"state": "finished"}, ["finished"]),
    ({"host": "elsewhere"}, ["running", "on elsewhere, read only"]),
    ({"stopping": True}, ["running", "stopping, as asked"]),
    ({"phase": "waiting for the service"}, ["running", "waiting for the service"]),
    ({"ago": -9000.0}, ["running"]),
]
"""How heartbeats differ from that of a run that is running here, and what is said then."""


@pytest.mark.parametrize("size", [SMALL, MIDDLE])
def test_the_state_is_what_the_heartbeat_says(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = tmp_path / "run"
    write_run(folder).close("finished")

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        def head() -> str:
            return seen(screen).split("\n")[1]

        for number, (beat, said) in enumerate(STATES):
            changed = dict(beat)
            then = time.time() - changed.pop("ago", 0.0)
            known = {"time": then, "started": then - 60, "step": 4 + number, "total": 20}
            write_beat(folder, **(known | changed))
            step = f"step {4 + number} of 20"  # tells the heartbeats apart
            await until(pilot, lambda step=step: step in head(), step)
            for word in said if size != SMALL else said[:1]:
                assert word in head()
            others = {"running", "silent", "died", "failed", "stopped", "finished"} - {said[0]}
            assert not any(f" {other} " in head() for other in others)

    shown(folder, steps, size)


def test_a_run_that_falls_silent_is_not_called_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot.runs.heartbeat.STALE_S", 600.0)
    folder = tmp_path / "run"
    write_run(folder).close("finished")
    write_beat(folder)

    async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
        await until_seen(pilot, "running")
        monkeypatch.setattr("geospot.runs.heartbeat.STALE_S", 0.5)
        await until_seen(pilot, "silent", "no sign of life for", "since")

    shown(folder, steps)


@pytest.mark.parametrize(
    ("age_s", "said"),
    [
        (0, ["running", "no heartbeat, but it wrote"]),
        (3600, ["unknown", "nothing written for 1h0"]),
    ],
)
def test_a_foreign_run_has_its_curves_and_what_its_files_tell(
    tmp_path: Path, age_s: int, said: list[str]
) -> None:
    folder = foreign_run(tmp_path / "cookbook", steps=5)
    for path in folder.iterdir():
        then_s = time.time() - age_s
        os.utime(path, (then_s, then_s))

    async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
        text = await until_seen(pilot, *said, "Reward", "step 5 of 10")
        assert "Qwen/Qwen3-VL" in text
        await pilot.press("c")
        await until_seen(pilot, "model.model_name")

    shown(folder, steps)


def test_a_folder_that_goes_away_is_said_and_what_was_known_stays(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder) as run:

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            shutil.move(folder, tmp_path / "elsewhere")
            text = await until_seen(pilot, "gone", "this is what was known of it")
            assert "reward 0.35" in text
            assert "0.35" in chart_of(screen, "Reward").render_line(0).text
            for _, _, key in VIEWS:
                await pilot.press(key)
            await pilot.press("o", "r")
            shutil.move(tmp_path / "elsewhere", folder)
            await pilot.press("escape")
            await until(pilot, lambda: "what was known" not in seen(screen))

        shown(folder, steps)
        assert run.path == folder


@pytest.mark.parametrize("size", ENDS)
def test_a_run_without_rows_says_what_is_to_come(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = tmp_path / "run"
    with going(folder, steps=0):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(
                pilot, "No figures yet", "no figures yet", "waiting for its first step"
            )
            await pilot.press("h")
            assert "No histograms yet" in seen(screen)
            await pilot.press("enter", "t", "left")
            await pilot.press("p")
            assert "None yet." in seen(screen)
            await pilot.press("l")
            assert "from step 0 to 10" in seen(screen)
            await pilot.press("slash")

        shown(folder, steps, size)


def test_an_empty_folder_and_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        for _, _, key in VIEWS:
            await pilot.press(key)
            await pilot.pause()
        assert "There is no config.json" in seen(screen) or "None yet" in seen(screen)
        await pilot.press("s", "R", "escape")

    shown(tmp_path / "empty", steps)
    shown(tmp_path / "never", steps)


def test_one_step_is_a_curve_and_a_histogram(tmp_path: Path) -> None:
    with going(tmp_path / "run", steps=1):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.3")
            await pilot.press("left", "plus", "a")
            await pilot.press("h")
            assert "█ step 0" in seen(screen)
            assert "┃ step" not in seen(screen)

        shown(tmp_path / "run", steps)


@pytest.mark.parametrize("size", ENDS)
def test_every_view_has_a_key_and_a_name_to_click(tmp_path: Path, size: tuple[int, int]) -> None:
    with going(tmp_path / "run"):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            for name, title, key in VIEWS:
                await pilot.press(key)
                assert screen.view == name
                assert title in seen(screen)
                if name != "saved":  # of which there is nothing yet
                    assert screen.focused is not None
                    assert screen.focused.region.overlaps(screen.region)
            names = seen(screen).split("\n")[3]
            for name, title, _ in VIEWS:
                await pilot.click(offset=(names.index(title) + 1, 3))
                assert screen.view == name
            await pilot.press("full_stop")
            assert screen.view == "overview"
            await pilot.press("comma")
            assert screen.view == "saved"

        shown(tmp_path / "run", steps, size)


def test_rollouts_and_map_open_at_the_cursors_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = calls_of(monkeypatch, GeospotApp, "open_rollouts", "open_run_map")
    folder = tmp_path / "run"
    with going(folder):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until(pilot, lambda: screen.focused is not None)
            await pilot.press("r", "m", "home", "right", "r", "m")

        shown(folder, steps)
    assert opened == [
        ("open_rollouts", folder, None),
        ("open_run_map", folder, None),
        ("open_rollouts", folder, 1),
        ("open_run_map", folder, (1, 1)),
    ]


def test_stopping_asks_first_and_no_is_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = calls_of(monkeypatch, control, "stop", "stop_now")
    folder = tmp_path / "run"
    with going(folder):

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            await pilot.press("s")
            await until_seen(pilot, "Stop run?", "saves a checkpoint")
            await pilot.press("n")
            assert pilot.app.screen is screen
            assert stopped == []
            await pilot.press("s", "y")
            await until(pilot, lambda: len(stopped) == 1)
            await pilot.press("S")
            assert isinstance(pilot.app.screen, Confirm)
            await until_seen(pilot, "Stop run at once?", "Stop now (y)")
            await pilot.press("y")
            await until(pilot, lambda: len(stopped) == 2)

        shown(folder, steps)
    assert stopped == [("stop", folder), ("stop_now", folder)]


def test_what_can_not_be_done_is_said_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder).close("finished")

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        def toasts() -> str:
            return " ".join(" ".join(seen(toast).split()) for toast in screen.query("Toast"))

        await pilot.press("R")  # not offered any more, and yet it says why not
        await until(pilot, lambda: "has finished; there is nothing to go on with" in toasts())

    shown(folder, steps)


def foot(screen: RunScreen) -> str:
    return seen(screen).split("\n")[-1]


@pytest.mark.parametrize("size", [SMALL, MIDDLE])
def test_the_foot_offers_first_what_can_be_done_with_the_run_now(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with going(tmp_path / "run") as run:

        async def live(pilot: Pilot[None], screen: RunScreen) -> None:
            await until(pilot, lambda: isinstance(screen.focused, Chart))
            await until(pilot, lambda: "s Stop  r Rollouts  e Evaluate" in foot(screen))
            assert "Resume" not in foot(screen)
            run.close("stopped", "as asked")
            await until(pilot, lambda: "r Rollouts  R Resume  e Evaluate" in foot(screen))
            assert "Stop" not in foot(screen)
            await pilot.press("question_mark")
            await until_seen(pilot, "This screen", "Resume")
            assert "Stop now" not in seen(pilot.app.screen)

        shown(tmp_path / "run", live, size)


def test_the_foot_of_a_supervised_run_that_has_finished_has_no_rollouts(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "sft").close("finished", "")

    async def over(pilot: Pilot[None], screen: RunScreen) -> None:
        await until(pilot, lambda: "e Evaluate" in foot(screen), "the keys")
        for word in ("Rollouts", "Map", "Resume", "Stop"):
            assert word not in foot(screen)

    shown(tmp_path / "run", over)


@pytest.mark.parametrize("size", ENDS)
@pytest.mark.parametrize("steps_done", [0, 2])
def test_the_whole_reason_of_a_failed_run_is_shown(
    tmp_path: Path, size: tuple[int, int], steps_done: int
) -> None:
    reason = "The data set nowhere can't be read: " + "as it isn't there, " * 12 + "sadly."
    run = write_run(tmp_path / "run", "rl", steps=steps_done)
    run.close("failed", reason)

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        await until_seen(pilot, "✗ failed · why stands below", reason)
        if not steps_done:
            await until_seen(pilot, "It ended before its first step", "l shows its log")
        assert "No figures yet" not in seen(screen)

    shown(tmp_path / "run", steps, size)


def test_a_run_that_went_on_says_so_and_knows_its_steps_while_it_starts(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder, steps=5) as run:
        for step in (5, 6):
            said = {"progress/done_frac": (step + 1) / 10, "time/total": 4000.0}
            run.metrics(step, rl_row(step) | said)
    write_beat(folder, state="running", step=7, total=0, started=time.time() - 9, time=time.time())

    async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
        await until_seen(pilot, "step 7 of 10", "since resumed")

    shown(folder, steps)


def test_it_resizes_while_it_is_live(tmp_path: Path) -> None:
    with going(tmp_path / "run") as run:

        async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            step = 6
            for _, _, key in VIEWS:
                await pilot.press(key)
                for width, height in ((60, 10), (250, 70), SMALL, MIDDLE):
                    await resized(pilot, width, height)
                    do_step(run, step)
                    step += 1
                    await until(
                        pilot,
                        lambda height=height: len(seen(screen).split("\n")) == height,
                        f"{height} rows",
                    )
                    rows = seen(screen).split("\n")
                    assert all(len(row) <= width for row in rows)
                await until_seen(pilot, f"step {step} of 10")

        shown(tmp_path / "run", steps)


def test_metrics_that_begin_again_are_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with going(folder):

        async def steps(pilot: Pilot[None], _screen: RunScreen) -> None:
            await until_seen(pilot, "reward 0.35")
            other = folder / "metrics.new"
            other.write_text(
                json.dumps({"step": 0} | rl_row(0) | {"env/all/reward/total": 0.77}) + "\n"
            )
            os.replace(other, folder / "metrics.jsonl")  # noqa: PTH105 — as a run that goes on does
            await until_seen(pilot, "reward 0.77")

        shown(folder, steps)


def test_a_heartbeat_that_can_not_be_read_claims_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder).close("finished")
    (folder / HEARTBEAT).write_text('{"state": "running", "pid": "x", "time": 1e400}')

    async def steps(pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.pause()
        assert "▶ running" not in seen(screen)

    shown(folder, steps)
