"""What may change when a run goes on, and what may not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from geospot.errors import ResultMismatchError
from geospot.runs.directory import RunDirectory
from tests.support.written_runs import full_config, write_run


def _go_on(path: Path, versions: Mapping[str, str] | None = None, **said: Any) -> None:
    config = full_config("rl", path, **said)
    if versions:
        config["provenance"] = {"versions": versions, "git": None}
    run = RunDirectory.open(path, config, kind="rl", if_exists="resume", ask=None)
    run.close("stopped")


def test_how_often_to_save_may_change(tmp_path: Path) -> None:
    write_run(tmp_path / "run").close("stopped")
    _go_on(tmp_path / "run", save_every=7)
    assert "save_every was 20 and is now 7." in (tmp_path / "run" / "logs.log").read_text()


def test_the_log_names_settings_and_versions_not_how_the_run_was_called_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _go_on(tmp_path / "run", {"geospot": "1", "openai": "1"}, save_every=5)
    monkeypatch.chdir(tmp_path)
    again = {"behavior_if_log_dir_exists": "resume", "save_every": 7}
    _go_on(Path("run"), {"geospot": "2", "openai": "1"}, **again)
    lines = (tmp_path / "run" / "logs.log").read_text().splitlines()
    assert [line.partition("INFO ")[2] for line in lines if "is now" in line] == [
        "provenance.versions.geospot was '1' and is now '2'.",
        "save_every was 5 and is now 7.",
    ]


def test_how_often_to_save_may_not_change_where_it_says_which_weights_are_sampled(
    tmp_path: Path,
) -> None:
    write_run(tmp_path / "run", max_steps_off_policy=1).close("stopped")
    with pytest.raises(ResultMismatchError, match="save_every: 20 there, 7 asked for"):
        _go_on(tmp_path / "run", max_steps_off_policy=1, save_every=7)
    _go_on(tmp_path / "run", max_steps_off_policy=1, keep_checkpoints=7)
