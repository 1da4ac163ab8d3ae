"""Results found again and again."""

import json
from pathlib import Path

import pytest

from geospot.evaluation.results import EVAL, SAMPLES, SUMMARY
from geospot_leaderboard import live
from geospot_leaderboard.collect import collect
from geospot_leaderboard.live import LiveCollector
from tests.support.result_dirs import answered, write_result

HERE = answered("a", (1.0, 1.0), (1.0, 1.0))
NEAR = answered("b", (1.0, 1.0), (2.0, 1.0))


def test_it_finds_what_the_command_line_finds(tmp_path: Path) -> None:
    write_result(tmp_path / "x" / "one", [HERE], model="one")
    write_result(tmp_path / "two", [NEAR], model="two")
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / EVAL).write_text("{", encoding="utf-8")
    found, known = LiveCollector([tmp_path]).look(), collect(tmp_path)
    assert [(r.path, r.name, r.geoscore) for r in found.results] == [
        (r.path, r.name, r.geoscore) for r in known.results
    ]
    assert found.broken == known.broken


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        write_result(tmp_path / name, [HERE], model=name)
    read: list[Path] = []
    real = live.read_result

    def counted(path: Path, name: str | None = None) -> live.Result:
        read.append(path)
        return real(path, name)

    monkeypatch.setattr(live, "read_result", counted)
    collector = LiveCollector([tmp_path])
    first = collector.look()
    assert len(read) == 3
    assert collector.look() is first
    assert len(read) == 3
    write_result(tmp_path / "d", [NEAR], model="d")
    second = collector.look()
    assert read[3:] == [tmp_path / "d"]
    assert second is not first
    assert len(second.results) == 4


def test_evaluations_of_runs_are_found_and_rollout_folders_are_not_walked(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "rl"
    write_result(run / "evals" / "step-000010", [HERE])
    (run / "metrics.jsonl").write_text("", encoding="utf-8")
    write_result(run / "iteration_000001" / "not-a-result", [HERE])
    write_result(tmp_path / "results" / "r", [HERE])
    found = LiveCollector([tmp_path / "results", tmp_path / "runs", tmp_path / "no"]).look()
    assert [result.name for result in found.results] == ["results/r", "runs/rl/evals/step-000010"]
    assert list(found.missing) == [tmp_path / "no"]


def test_what_is_under_way_is_counted(tmp_path: Path) -> None:
    path = write_result(tmp_path / "r", [HERE, NEAR], n=8)
    (path / SUMMARY).unlink()
    collector = LiveCollector([tmp_path])
    going_on = collector.look().under_way[path]
    assert (going_on.answers, going_on.expected) == (2, 8)
    with (path / SAMPLES).open("ab") as file:
        file.write(json.dumps(HERE.to_json()).encode() + b'\n{"torn')
    assert collector.look().under_way[path].answers == 3
    write_result(tmp_path / "whole", [HERE])
    assert list(collector.look().under_way) == [path]


def test_a_result_keeps_no_figures_by_country(tmp_path: Path) -> None:
    path = write_result(tmp_path / "r", [HERE])
    assert "by_country" in json.loads((path / SUMMARY).read_text(encoding="utf-8"))
    (result,) = LiveCollector([tmp_path]).look().results
    assert "by_country" not in result.summary
    assert result.summary["all"]["geoscore"] == 5000
