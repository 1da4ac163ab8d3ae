"""How long an evaluation will take is told by what an earlier one of the same model took."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from geospot.config.evaluation import EvalConfig
from geospot.config.load import build
from geospot.evaluation.estimate import estimate
from geospot.evaluation.pace import find_pace
from geospot.evaluation.results import EVAL, SUMMARY
from tests.support.result_dirs import answered, write_result

ASKED = {"name": "openai", "model": "some-vlm", "base_url": None}


def result(
    path: Path, seconds: float | None, answers: int = 40, *, written_s: float = 1e9, **said: Any
) -> Path:
    """A complete result that took so long."""
    records = [answered(f"p{i}", (1.0, 1.0), (2.0, 1.0)) for i in range(answers)]
    write_result(path, records, config={"concurrency": 8})
    for name, more in ((SUMMARY, {"seconds": seconds}), (EVAL, {})):
        document = json.loads((path / name).read_text()) | more | said.get(name[:4], {})
        (path / name).write_text(json.dumps(document))
    os.utime(path / SUMMARY, (written_s, written_s))
    return path


def test_the_newest_result_of_the_same_model_tells(tmp_path: Path) -> None:
    result(tmp_path / "a", 80.0, written_s=1e9)
    result(tmp_path / "b", 20.0, written_s=1e9 + 60)
    result(tmp_path / "c", 10.0, written_s=1e9 + 120, eval={"backend": ASKED | {"model": "other"}})
    pace = find_pace(tmp_path, ASKED)
    assert pace is not None
    assert (pace.folder, pace.answers_a_second, pace.concurrency) == (tmp_path / "b", 2.0, 8)
    assert find_pace(tmp_path, ASKED | {"base_url": "http://127.0.0.1:8000/v1"}) is None


def test_what_says_nothing_of_the_pace_is_passed_over(tmp_path: Path) -> None:
    result(tmp_path / "unmeasured", None)
    result(tmp_path / "scored", 0.0)
    result(tmp_path / "endless", float("inf"))
    result(tmp_path / "few", 5.0, answers=10)
    result(tmp_path / "incomplete", 5.0, summ={"complete": False})
    result(tmp_path / "r.aside-20261130-010101", 5.0)
    result(tmp_path / "broken", 5.0)
    (tmp_path / "broken" / EVAL).write_text("{")
    (tmp_path / "file").write_text("")
    assert find_pace(tmp_path, ASKED) is None
    assert find_pace(tmp_path / "nowhere", ASKED) is None


def test_checkpoints_of_one_base_model_take_as_long(tmp_path: Path) -> None:
    def of(checkpoint: str, model: str) -> dict[str, Any]:
        run = {"directory": "runs/rl", "checkpoint": checkpoint, "model_name": model}
        return {"name": "local", "model": f"rl@{checkpoint}", "base_url": None, "run": run}

    result(tmp_path / "a", 20.0, eval={"backend": of("000100", "tiny")})
    assert find_pace(tmp_path, of("final", "tiny")) is not None
    assert find_pace(tmp_path, of("final", "large")) is None
    assert find_pace(tmp_path, {"name": "local", "model": "tiny", "base_url": None}) is not None


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ({}, "about 60 s assuming 3 s a request, 5 at a time"),
        ({"out": True}, "about 50 s at 2 answers a second, as in {}/b with 8 at a time"),
        ({"out": True, "concurrency": 8}, "about 50 s at 2 answers a second, as in {}/b"),
        ({"out": True, "rpm": 60}, "about 100 s at 60 requests a minute"),
    ],
)
def test_an_estimate_says_what_its_time_is_based_on(
    tmp_path: Path, said: dict[str, Any], time: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    constant = {"name": "constant", "model": "0,0"}
    result(tmp_path / "b", 20.0, eval={"backend": constant})
    values = {"backend": "constant", "model": "0,0", "dataset": "world", "limit": 100}
    values |= {"concurrency": 5} | said | ({"out": tmp_path / "new"} if "out" in said else {})
    lines = estimate(build(EvalConfig, values)).splitlines()
    assert f"time         {time.format(tmp_path)}" in lines
