"""What may change when a run goes on, and what may not."""

from pathlib import Path
from typing import Any

import pytest

from geospot.errors import ResultMismatchError
from geospot.runs.directory import RunDirectory
from tests.support.written_runs import full_config, write_run


def _go_on(path: Path, **said: Any) -> None:
    config = full_config("rl", path, **said)
    run = RunDirectory.open(path, config, kind="rl", if_exists="resume", ask=None)
    run.close("stopped")


def test_how_often_to_save_may_change(tmp_path: Path) -> None:
    write_run(tmp_path / "run").close("stopped")
    _go_on(tmp_path / "run", save_every=7)
    assert "save_every was 20 and is now 7." in (tmp_path / "run" / "logs.log").read_text()


def test_how_often_to_save_may_not_change_where_it_says_which_weights_are_sampled(
    tmp_path: Path,
) -> None:
    write_run(tmp_path / "run", max_steps_off_policy=1).close("stopped")
    with pytest.raises(ResultMismatchError, match="save_every: 20 there, 7 asked for"):
        _go_on(tmp_path / "run", max_steps_off_policy=1, save_every=7)
    _go_on(tmp_path / "run", max_steps_off_policy=1, keep_checkpoints=7)
