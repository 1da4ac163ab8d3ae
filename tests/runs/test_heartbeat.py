"""The heartbeat: a thread beats while the run waits, and silence is told from death."""

import os
import platform
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from geospot.durable import replace_json
from geospot.runs import heartbeat
from geospot.runs.heartbeat import Beat, Heartbeat, read_heartbeat, standing_by_files


def beat(**changed: Any) -> Beat:
    now = time.time()
    return replace(
        Beat("running", "", os.getpid(), platform.node(), 3, 9, "sampling", now - 60, now),
        **changed,
    )


def test_it_goes_on_beating_while_the_run_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_S", 0.01)
    life = Heartbeat(tmp_path, step=0)
    life.start()
    life.beat("waiting for the service", 2)
    first = read_heartbeat(tmp_path)
    assert first is not None
    later, deadline = first, time.monotonic() + 120
    while later.time == first.time and time.monotonic() < deadline:
        read = read_heartbeat(tmp_path)
        assert read is not None  # never a moment without a whole file
        later = read
    assert later.time > first.time
    assert (later.phase, later.step, later.started) == ("waiting for the service", 2, first.started)
    life.stop("failed", "NaN")
    last = read_heartbeat(tmp_path)
    time.sleep(0.05)
    assert read_heartbeat(tmp_path) == last
    assert last is not None
    assert last.standing() == "failed"


def test_a_process_that_is_gone_has_died(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from geospot.runs.heartbeat import Heartbeat\n"
        "Heartbeat(pathlib.Path(sys.argv[1]), step=0).start()\n"
        "print('beating', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "beating\n"
        alive = read_heartbeat(tmp_path)
        assert alive is not None
        assert (alive.pid, alive.standing()) == (child.pid, "running")
        child.kill()
        child.wait()
    assert alive.standing() == "died"


def test_silence_of_a_process_that_may_be_there() -> None:
    long_ago = time.time() - 3600
    assert beat().standing() == "running"
    assert beat(time=long_ago).standing() == "silent"
    assert beat(host="elsewhere", pid=1 << 22).standing() == "running"
    assert beat(host="elsewhere", time=long_ago).standing() == "silent"
    assert beat(state="finished", time=long_ago).standing() == "finished"
    assert beat(pid=0).standing() == "died"


def test_a_beat_from_the_future_outlives_no_boot() -> None:
    """The clock was set back since, or a machine without a battery starts in the past."""
    later = time.time() + 86_400
    assert beat(time=later).standing() == "running"
    assert beat(time=later, host="elsewhere").standing() == "running"  # whose clock is ahead
    rebooted = beat(time=later, birth="another-boot/1")
    assert rebooted.is_here
    assert rebooted.standing() == "died"
    assert standing_by_files(ends=False, written_s=later) == "unknown"


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_heartbeat(tmp_path) is None
    for junk in ("", "[]", "{}", '{"state": "asleep"}', "{"):
        (tmp_path / "heartbeat.json").write_text(junk, encoding="utf-8")
        assert read_heartbeat(tmp_path) is None
    replace_json(tmp_path / "heartbeat.json", asdict(beat()) | {"pid": "x", "step": None})
    read = read_heartbeat(tmp_path)
    assert read is not None
    assert (read.pid, read.step) == (0, 0)


def test_a_pipe_in_its_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "heartbeat.json")
    reading = threading.Thread(target=read_heartbeat, args=(tmp_path,), daemon=True)
    reading.start()
    reading.join(60)
    assert not reading.is_alive()


def test_it_says_that_the_run_waits_for_its_service(tmp_path: Path) -> None:
    def phase() -> str:
        found = read_heartbeat(tmp_path)
        assert found is not None
        return found.phase

    life = Heartbeat(tmp_path, step=0)
    life.start()
    life.beat("training", 2)
    life.waits(is_away=True)
    assert phase() == heartbeat.WAITING
    life.waits(is_away=False)
    assert phase() == "training"
    life.waits(is_away=True)
    life.beat("saving", 3)  # the run goes on by itself
    life.waits(is_away=False)
    assert phase() == "saving"
    life.stop("finished", "")
