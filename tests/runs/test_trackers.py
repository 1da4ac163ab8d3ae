"""Trackers: each for real and offline, and what happens when one fails.

wandb and trackio are heavy and not among the packages of the tests; theirs run where they are installed.
"""

import importlib.util
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from geospot.errors import UsageError
from geospot.runs import trackers
from geospot.runs.directory import RunDirectory
from geospot.runs.tail import StepTail
from geospot.runs.trackers import TrackerError, figures, open_trackers


def opened(path: Path, *names: str) -> RunDirectory:
    config = {"trackers": list(names), "project": "the-project", "api_key_env": "NO_SECRET"}
    return RunDirectory.open(path, config, kind="rl", if_exists="resume", ask=None)


def test_without_trackers_nothing_of_theirs_is_there(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.start(0, 1)
    run.close("finished")
    assert not (tmp_path / "trackers.json").exists()


def test_a_missing_package_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(trackers._MODULES, "wandb", "no_such_package")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(UsageError, match=r"pip install 'geospot-vlm\[wandb\]'"):
        opened(tmp_path / "run", "wandb")
    assert not (tmp_path / "run").exists()


def test_only_finite_numbers_are_figures() -> None:
    import numpy as np

    row = {
        "a": 1,
        "b": np.float32(0.5),
        "nan": float("nan"),
        "text": "x",
        "yes": True,
        "none": None,
    }
    assert figures(row | {"np_yes": np.bool_(True), "inf": float("inf")}) == {"a": 1.0, "b": 0.5}


def test_tensorboard_has_the_figures_and_forgets_what_is_done_again(tmp_path: Path) -> None:
    run = opened(tmp_path, "tensorboard")
    run.start(0, 4)
    for step in range(3):
        run.metrics(step, {"geo/median_km": 10.0 * step, "bad": float("nan")})
    run.close("stopped")
    run = opened(tmp_path, "tensorboard")
    run.start(2, 4)
    run.metrics(2, {"geo/median_km": 99.0})
    run.close("finished")
    first, second = (list(events(path)) for path in sorted((tmp_path / "tensorboard").iterdir()))
    assert [scalars(event) for event in first if event.HasField("summary")] == [
        (0, {"geo/median_km": 0.0}),
        (1, {"geo/median_km": 10.0}),
        (2, {"geo/median_km": 20.0}),
    ]
    starts = [event for event in second if event.HasField("session_log")]
    assert [(event.step, event.session_log.status) for event in starts] == [(2, 1)]
    assert scalars(second[-1]) == (2, {"geo/median_km": 99.0})


def test_a_tracker_that_fails_is_dropped_and_the_run_goes_on(tmp_path: Path) -> None:
    run = opened(tmp_path, "tensorboard")
    run.start(0, 3)
    run.metrics(0, {"a": 1})
    (file,) = (tmp_path / "tensorboard").iterdir()
    full = os.open("/dev/full", os.O_WRONLY)
    for descriptor in Path("/proc/self/fd").iterdir():
        if descriptor.is_symlink() and descriptor.readlink() == file:
            os.dup2(full, int(descriptor.name))
    os.close(full)
    for step in (1, 2):
        run.metrics(step, {"a": 1})
    run.close("finished")
    tail = StepTail(tmp_path / "metrics.jsonl")
    tail.look()
    assert list(tail.rows) == [0, 1, 2]
    log = (tmp_path / "logs.log").read_text(encoding="utf-8")
    assert log.count("WARNING tensorboard doesn't take the run's figures") == 1
    assert "No space left on device" in log


def test_one_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("in the way", encoding="utf-8")
    with pytest.raises(TrackerError, match="tensorboard doesn't take"):
        open_trackers(["tensorboard"], tmp_path, "p", {}, 0)


CHILD = """
import sys, pathlib
from geospot.runs.directory import RunDirectory
path, name = pathlib.Path(sys.argv[1]), sys.argv[2]
for start in (0, 2):
    config = {"trackers": [name], "project": "the-project"}
    run = RunDirectory.open(path, config, kind="rl", if_exists="resume", ask=None)
    run.start(start, 4)
    for step in range(start, start + 2):
        run.metrics(step, {"geo/median_km": 10.0 * step, "bad": float("nan")})
    run.close("finished")
"""


def run_child(folder: Path, name: str, **environment: str) -> str:
    """Two parts of one run in a process of its own; returns what it wrote to the terminal."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder / "run"), name],
        env=os.environ | {"HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb isn't installed")
def test_wandb_offline(tmp_path: Path) -> None:
    assert run_child(tmp_path, "wandb", WANDB_MODE="offline") == ""
    files = list((tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb"))
    identity: str = json.loads((tmp_path / "run" / "trackers.json").read_bytes())["id"]
    assert {file.name for file in files} == {f"run-{identity}.wandb"}
    data = b"".join(file.read_bytes() for file in files)
    assert data.count(b"geo/median_km") >= 4
    assert b"the-project" in data


@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio isn't installed")
def test_trackio_local(tmp_path: Path) -> None:
    assert run_child(tmp_path, "trackio", TRACKIO_DIR=str(tmp_path / "data")) == ""
    identity: str = json.loads((tmp_path / "run" / "trackers.json").read_bytes())["id"]
    code = (
        "import json; from trackio.sqlite_storage import SQLiteStorage as S\n"
        f"print(json.dumps(S.get_logs('the-project', 'run-{identity}')))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TRACKIO_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=True,
    )
    rows: list[dict[str, Any]] = json.loads(shown.stdout)
    assert [(row["step"], row["geo/median_km"]) for row in rows] == [
        *((0, 0.0), (1, 10.0), (2, 20.0), (3, 30.0))
    ]
    assert "bad" not in rows[0]


def events(path: Path) -> Iterator[Any]:
    """The records of a TFRecord file: length, its checksum, data, its checksum."""
    event_pb2: Any = import_module("tensorboardX.proto.event_pb2")
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield event_pb2.Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def scalars(event: Any) -> tuple[int, dict[str, float]]:
    return event.step, {value.tag: value.simple_value for value in event.summary.value}
