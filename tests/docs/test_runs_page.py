"""The program in docs/runs.md that stops runs and goes on with them, on runs that live and that died."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from geospot.runs.checkpoints import read_checkpoints
from geospot.runs.control import launch, stop_now
from geospot.runs.heartbeat import Beat, read_heartbeat
from tests.support.doc_commands import ROOT, blocks
from tests.support.evaluating import environment
from tests.support.training_engine import served, settings_for


def until(holds: Callable[[], bool], within_s: float = 120.0) -> None:
    """Waits; fails if it takes too long."""
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s, "it took too long"
        time.sleep(0.05)


def beat_of(run: Path) -> Beat:
    found = read_heartbeat(run)
    assert found is not None
    return found


def first_row_of(run: Path) -> bytes:
    return (run / "metrics.jsonl").read_bytes().splitlines()[0]


def test_the_page_s_program_lists_stops_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _ = blocks(ROOT / "docs" / "runs.md", "python")
    monkeypatch.chdir(tmp_path)
    died, lives = tmp_path / "runs" / "sft", tmp_path / "runs" / "rl"
    lives.parent.mkdir()
    with served(tmp_path / "state", gradient_s=0.05) as (_, url):
        told = settings_for(url, died, max_samples=2, num_epochs=100_000, save_every=1)
        first = launch("sft", told, died)
        until(lambda: (died / "checkpoints.jsonl").is_file() and bool(read_checkpoints(died)))
        stop_now(died)
        first.process.wait(120)
        saved = read_checkpoints(died)[-1].batch or 0
        began = first_row_of(died)
        child = [sys.executable, "-m", "tests.support.stoppable_child", str(lives)]
        with subprocess.Popen(child, cwd=ROOT, stdout=subprocess.PIPE, text=True) as stoppable:
            assert stoppable.stdout is not None
            assert stoppable.stdout.readline() == "running\n"
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert stoppable.wait(120) == 0
        *listed, pid = done.stdout.split("\n")[:-1]
        assert len(listed) == 2
        assert beat_of(lives).state == "stopped"
        try:
            until(lambda: beat_of(died).pid == int(pid) and beat_of(died).step > saved)
        finally:
            stop_now(died)
        assert first_row_of(died) == began  # it isn't another run
