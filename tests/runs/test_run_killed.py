"""kill -9 at random moments: every file stays readable, and the run goes on as if nothing had been."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geospot.runs.checkpoints import read_checkpoints, read_settings
from geospot.runs.directory import RunDirectory
from geospot.runs.heartbeat import read_heartbeat
from geospot.runs.histograms import HistogramReader
from geospot.runs.rollouts import RolloutReader
from geospot.runs.summaries import read_summaries
from geospot.runs.tail import StepTail
from geospot.runs.thumbnails import THUMBNAILS
from tests.support.run_child import CONFIG, main

KILLS = 4


def kill_soon(folder: Path, delay_s: float) -> None:
    """Starts a run that would take long, waits until it has begun, and kills it a little later."""
    command = [sys.executable, "-m", "tests.support.run_child", str(folder), "100000"]
    before = size_of(folder / "metrics.jsonl")
    with subprocess.Popen(command) as child:
        while child.poll() is None and size_of(folder / "metrics.jsonl") in (0, before):
            time.sleep(0.01)
        time.sleep(delay_s)
        child.kill()
        assert child.wait() == -9


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("seed", [0])
def test_a_killed_run_stays_readable_and_goes_on(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    steps_done = 0
    for _ in range(KILLS):
        kill_soon(tmp_path, draw.uniform(0.0, 0.25))
        beat = read_heartbeat(tmp_path)
        assert beat is not None
        assert beat.standing() == "died"
        check_readable(tmp_path)
        steps_done = resumable_step(tmp_path, at_least=steps_done)

    total = steps_done + 7
    main(tmp_path, total)
    assert whole_run(tmp_path) == list(range(total))
    beat = read_heartbeat(tmp_path)
    assert beat is not None
    assert beat.standing() == "finished"
    assert not list(tmp_path.glob(".*.tmp"))
    assert sum(path.stat().st_size for path in (tmp_path / THUMBNAILS).iterdir()) <= 10_000


def check_readable(folder: Path) -> None:
    """Every reader takes what is there, and what it takes is right."""
    assert read_settings(folder).model_name == "m"
    tail, reader = StepTail(folder / "metrics.jsonl"), RolloutReader(folder)
    tail.look()
    reader.look()
    steps = list(tail.rows)
    assert steps == list(range(len(steps)))
    assert all(tail.rows[step]["value"] == step * 2 for step in steps)
    for step in reader.steps:
        assert [record.step for record in reader.read(step)] == [step] * 32
        assert len(read_summaries(folder, step)) == 32
    assert set(steps) <= set(reader.steps)  # a step's rollouts are written before its figures


def resumable_step(folder: Path, *, at_least: int) -> int:
    """Where the next process goes on: never before where the last one did, never beyond what was done."""
    tail = StepTail(folder / "metrics.jsonl")
    tail.look()
    run = RunDirectory.open(folder, CONFIG, kind="rl", if_exists="resume", ask=None)
    run.close("stopped")
    step = (run.resume_from.batch or 0) if run.resume_from else 0
    assert at_least <= step <= len(tail.rows)
    return step


def whole_run(folder: Path) -> list[int]:
    """Steps of the metrics, after making sure that each stands in every file exactly as it should."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]
    steps = [row["step"] for row in rows]
    assert steps == sorted(steps)
    assert all(steps.count(step) == 2 for step in steps)  # two rows a step are written
    histograms, reader = HistogramReader(folder), RolloutReader(folder)
    histograms.look()
    reader.look()
    assert histograms.steps == reader.steps == sorted(set(steps))
    assert all(reader.count(step) == 32 for step in reader.steps)
    names = [checkpoint.name for checkpoint in read_checkpoints(folder)]
    assert names[-1] == "final"
    assert len(names) == len(set(names)) <= 3
    return sorted(set(steps))
