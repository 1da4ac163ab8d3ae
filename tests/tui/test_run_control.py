"""What the keys of a run make of its checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.tui.app import GeospotApp
from tests.support.run_child import checkpoint
from tests.support.run_screens import calls_of
from tests.support.screens import drive, until, until_seen
from tests.support.written_runs import write_run


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
