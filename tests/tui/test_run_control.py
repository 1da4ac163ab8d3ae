"""What the keys of a run make of its checkpoints."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.runs.processes import birth_of
from geospot.tui.app import GeospotApp
from tests.support.run_child import checkpoint
from tests.support.run_screens import calls_of
from tests.support.screens import drive, opened, seen, until, until_seen
from tests.support.written_runs import write_beat, write_run


def test_an_evaluation_is_of_what_can_be_asked_and_goes_where_results_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = calls_of(monkeypatch, GeospotApp, "open_launch")
    run = write_run(tmp_path / "runs" / "one")  # has a checkpoint 000003
    run.add_checkpoint(replace(checkpoint(4), sampler_path=None))
    run.close("finished")
    app = GeospotApp([tmp_path / "runs"], [tmp_path / "elsewhere"])

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "✓ finished")
        await pilot.press("e")  # of two checkpoints one can be asked, so nobody is asked which
        await until(pilot, lambda: bool(launched), "the form")

    drive(app, steps)
    _, kind, settings = launched[0]
    assert kind == "eval"
    assert settings["model"].endswith("runs/one@000003")
    assert settings["out"] == tmp_path / "elsewhere" / "one-000003"


@pytest.mark.parametrize("opens", [False, True], ids=["list", "run"])
def test_a_run_on_another_machine_is_watched_and_nobody_is_asked_whether_to_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, opens: bool
) -> None:
    monkeypatch.chdir(tmp_path)  # a long folder's name would break the sentences in which it stands
    folder = Path("runs", "far")
    write_run(folder).close("finished")
    write_beat(folder, host="gpu-17")

    async def steps(pilot: Pilot[None]) -> None:
        text = await until_seen(pilot, "running", "far")
        if opens:
            await pilot.press("enter")
            text = await until_seen(pilot, "on gpu-17, read only")
        assert "s Stop" not in text.splitlines()[-1]
        for key in ("s", "S"):
            await pilot.press(key)
            await until_seen(
                pilot, "far belongs to gpu-17, and can only be watched", "Stop it there."
            )
            assert "Stop far" not in seen(pilot.app.screen)
            pilot.app.clear_notifications()
        await pilot.press("R")
        await until_seen(pilot, "Go on with it there")

    drive(GeospotApp([Path("runs")], []), steps)


@pytest.mark.parametrize("compared", [False, True], ids=["its own screen", "compared"])
def test_a_run_whose_process_is_killed_is_seen_to_have_died(
    tmp_path: Path, *, compared: bool
) -> None:
    folder = tmp_path / "runs" / "one"
    write_run(folder).close("finished")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_beat(folder, pid=process.pid, birth=birth_of(process.pid))

    async def steps(pilot: Pilot[None]) -> None:
        await until_seen(pilot, "running")
        process.kill()
        process.wait()
        shown = await until_seen(pilot, "died", "" if compared else "R Resume")
        assert "s Stop" not in shown

    def first(app: GeospotApp) -> None:
        if compared:
            app.open_compare_runs([folder])
        else:
            app.open_run(folder)

    drive(opened(first, folders=[tmp_path / "runs"]), steps)
