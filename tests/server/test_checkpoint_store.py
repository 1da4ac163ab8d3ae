"""Checkpoints on the disk: whole or absent whenever the process dies, and gone when their time is up."""

import errno
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from geospot_backends.local.api import EngineError, EngineUserError
from geospot_backends.local.checkpoints import CheckpointPath, CheckpointStore

PATH = CheckpointPath("run:train:0", "weights", "last")
HOUR_S = 3600


def killed(state: Path, way: str) -> list[dict[str, Any]]:
    """What each killed save left; see tests/support/killed_saves.py."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_saves", str(state), way],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_save_killed_at_any_step_leaves_the_old_checkpoint_or_the_new(tmp_path: Path) -> None:
    rows = killed(tmp_path / "state", "replacing")
    assert len(rows) > 20
    found = [row["found"] for row in rows]
    turn = next(at for at, row in enumerate(rows) if row["found"] != 1)
    assert 10 < turn < len(rows) - 1  # killed before the replacement, and after it
    assert found == [1] * turn + [row["begun"] for row in rows[turn:]]
    assert all(row["whole"] for row in rows)
    assert max(row["entries"][0] for row in rows) == 4  # old files, new ones, a drafted description
    assert {row["entries"][1] for row in rows} == {2}


def test_a_first_save_killed_at_any_step_leaves_everything_or_nothing(tmp_path: Path) -> None:
    rows = killed(tmp_path / "state", "first")
    assert {row["found"] is None for row in rows} == {True, False}
    for row in rows:
        assert row["whole"]
        assert row["found"] in (None, row["begun"])
        assert row["entries"][1] == (0 if row["found"] is None else 2)
    assert not any(row["place"] for row in rows if row["entries"][0] and row["found"] is None)


def test_saves_killed_at_random_moments(tmp_path: Path) -> None:
    rows = killed(tmp_path / "state", "at-random")
    assert len(rows) == 20
    for row in rows:
        assert row["whole"]
        assert row["saved"] <= row["found"] <= row["begun"]
        assert row["entries"][1] == 2


def save(store: CheckpointStore, text: str, path: CheckpointPath = PATH) -> Path:
    def fill(folder: Path) -> None:
        (folder / "adapter_model.safetensors").write_text(text)

    return store.write(path, "base", None, fill).folder


def test_a_save_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    kept = save(store, "old")

    def fill(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device")

    for path in (PATH, CheckpointPath("run:train:0", "weights", "other")):
        with pytest.raises(EngineError, match="can't be written: No space left on device"):
            store.write(path, "base", None, fill)
    assert [one.folder for one in store.all()] == [kept]
    assert [one.name for one in kept.parent.parent.iterdir()] == ["last"]
    assert len(list(kept.parent.iterdir())) == 2


def test_a_checkpoint_is_on_the_disk_before_it_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut can't be had in a test; what would survive one is what was flushed before it."""
    done: list[Path | None] = []  # what is flushed, None where the description is put in its place
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        fsync(handle)
        done.append(Path(f"/proc/self/fd/{handle}").readlink())

    def noted_replace(self: Path, target: Path) -> Path:
        assert done[-2:] == [self, target.parent]
        done.append(None)
        return replace(self, target)

    monkeypatch.setattr("os.fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    files = save(CheckpointStore(tmp_path), "x")
    before, after = done[: done.index(None)], done[done.index(None) + 1 :]
    assert {files / "adapter_model.safetensors", files} <= set(before)
    assert after == [files.parents[n] for n in range(4)]


def test_tidying_leaves_alone_what_is_being_saved_and_what_is_not_ours(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    theirs = tmp_path / "project" / "weights" / "resnet" / "model.pt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("x")
    empty = tmp_path / "project" / "weights" / "empty"
    empty.mkdir()
    broken = save(store, "kept", CheckpointPath("run", "weights", "broken"))
    (broken.parent / "checkpoint.json").write_text("{")
    filling, go_on = threading.Event(), threading.Event()

    def fill(folder: Path) -> None:
        (folder / "adapter_model.safetensors").write_text("x")
        filling.set()
        assert go_on.wait(120)

    saving = threading.Thread(target=lambda: store.write(PATH, "base", None, fill))
    saving.start()
    assert filling.wait(120)
    CheckpointStore(tmp_path).tidy()
    go_on.set()
    saving.join()
    CheckpointStore(tmp_path).tidy()
    assert (store.find(str(PATH)).folder / "adapter_model.safetensors").read_text() == "x"
    assert theirs.exists()
    assert empty.exists()
    assert broken.exists()


def test_a_state_folder_that_cannot_be_written_is_not_tidied(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    CheckpointStore(tmp_path / "file").tidy()
    assert "can't be tidied" in caplog.text


def test_a_file_system_without_locks_can_be_saved_to_but_is_not_tidied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    store = CheckpointStore(tmp_path)
    files = save(store, "x")
    litter = files.with_name("geospot-somebody-elses")
    litter.mkdir()
    store.tidy()
    assert litter.exists()
    assert store.find(str(PATH)).folder == files
    assert "no file locks" in caplog.text


def test_what_has_expired_is_missing_and_then_removed(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = CheckpointStore(tmp_path, now=lambda: now)
    short = save(store, "short")
    long = save(store, "long", CheckpointPath("run", "sampler_weights", "long"))
    store.expire(str(PATH), HOUR_S)
    assert store.find(str(PATH)).expires == "2026-01-01T01:00:00+00:00"
    assert store.find(str(PATH)).folder == short
    now += timedelta(seconds=HOUR_S - 1)
    store.tidy()
    assert len(list(store.all())) == 2
    now += timedelta(seconds=1)
    assert [one.path.name for one in store.all()] == ["long"]
    with pytest.raises(EngineUserError, match="it expired"):
        store.find(str(PATH))
    assert short.exists()
    store.tidy()
    assert not short.parent.exists()
    assert long.exists()


def test_a_time_to_live_can_be_renewed_taken_back_and_ends_with_a_new_save(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = CheckpointStore(tmp_path, now=lambda: now)
    save(store, "one")
    store.expire(str(PATH), HOUR_S)
    now += timedelta(seconds=HOUR_S / 2)
    store.expire(str(PATH), HOUR_S)
    assert store.find(str(PATH)).expires == "2026-01-01T01:30:00+00:00"
    store.expire(str(PATH), None)
    assert store.find(str(PATH)).expires is None
    store.expire(str(PATH), HOUR_S)
    save(store, "two")
    assert store.find(str(PATH)).expires is None
    for seconds in (HOUR_S - 1, 11 * 366 * 86400):
        with pytest.raises(EngineUserError, match="between 3600 s"):
            store.expire(str(PATH), seconds)


def test_checkpoints_of_the_first_format_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "weights" / "old"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text("x")
    described = {"format": 1, "base_model": "b", "lora": None, "created": "2026-01-01T00:00:00"}
    (folder / "checkpoint.json").write_text(json.dumps(described | {"has_optimizer": False}))
    (found,) = CheckpointStore(tmp_path).all()
    assert (found.folder.resolve(), found.bytes) == (folder.resolve(), None)


@pytest.mark.parametrize("files", ["../../x", "geospot-a/../..", 5, "elsewhere"])
def test_a_description_leads_nowhere_else(tmp_path: Path, files: object) -> None:
    store = CheckpointStore(tmp_path)
    description = save(store, "x").parent / "checkpoint.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"files": files}))
    with pytest.raises(EngineUserError, match="can't be read"):
        store.find(str(PATH))


@pytest.mark.parametrize("part", ["..", ".lock", "", "a b", "x" * 201, "\ud800", "é"])
def test_what_is_no_name_is_the_callers_error(part: str, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for text in (f"tinker://run/weights/{part}", f"tinker://{part}/weights/last"):
        with pytest.raises(EngineUserError, match="can't be part of"):
            store.find(text)
