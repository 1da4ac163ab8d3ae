"""The run directory: who may write into it, what going on means, what closing says."""

import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geospot.config.learning import IfExists
from geospot.config.recipes import Kind
from geospot.durable import BusyError, WriteError
from geospot.errors import ResultMismatchError, UsageError
from geospot.runs.checkpoints import RunCheckpoint, read_checkpoints
from geospot.runs.directory import RunDirectory
from geospot.runs.heartbeat import State, read_heartbeat
from geospot.runs.rollouts import RolloutReader
from geospot.runs.tail import StepTail
from tests.support.rollouts import step_rollouts
from tests.support.run_child import checkpoint, main

CONFIG = {
    "model_name": "geospot/tiny-vlm",
    "loss_fn": "ppo",
    "learning_rate": 1e-3,
    "save_every": 5,
}


def opened(
    path: Path,
    *,
    if_exists: IfExists = "resume",
    kind: Kind = "rl",
    ask: Any = None,
    **changed: Any,
) -> RunDirectory:
    return RunDirectory.open(path, CONFIG | changed, kind=kind, if_exists=if_exists, ask=ask)


def finished_run(path: Path, steps: int = 3) -> Path:
    run = opened(path)
    run.start(0, steps)
    for step in range(steps):
        run.metrics(step, {"a": step})
    run.add_checkpoint(checkpoint(steps, "final"))
    run.close("finished")
    return path


def test_a_new_run_writes_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    run = opened(path, where=Path("a/b"), taus=(1.0, 2.0))
    assert run.resume_from is None
    run.close("stopped")
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    assert config == {"kind": "rl", **CONFIG, "where": "a/b", "taus": [1.0, 2.0]}


def test_an_empty_directory_and_one_that_a_kill_left_are_new(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.json.123.tmp").write_text("{", encoding="utf-8")
    opened(tmp_path, if_exists="raise").close("stopped")
    assert not (tmp_path / ".config.json.123.tmp").exists()


def test_raise_and_ask_without_a_terminal_leave_it_alone(tmp_path: Path) -> None:
    path = finished_run(tmp_path / "run")
    choices: list[IfExists] = ["raise", "ask"]
    for choice in choices:
        with pytest.raises(UsageError, match=r"already holds a run.*if_log_dir_exists=resume"):
            opened(path, if_exists=choice)
    assert [row.name for row in read_checkpoints(path)] == ["final"]


def test_ask_asks(tmp_path: Path) -> None:
    path = finished_run(tmp_path / "run")
    asked: list[str] = []

    def answer(question: str) -> bool:
        asked.append(question)
        return len(asked) > 1

    with pytest.raises(UsageError, match="left as it is"):
        opened(path, if_exists="ask", ask=answer)
    run = opened(path, if_exists="ask", ask=answer)
    assert run.resume_from is not None
    run.close("stopped")
    assert asked == [f"{path} holds a run. Go on with it?"] * 2


def test_delete_sets_aside_and_loses_nothing(tmp_path: Path) -> None:
    path = finished_run(tmp_path / "run")
    before = (path / "metrics.jsonl").read_bytes()
    run = opened(path, if_exists="delete", learning_rate=7.0)
    assert run.resume_from is None
    run.close("stopped")
    (aside,) = tmp_path.glob("run.aside-*")
    assert (aside / "metrics.jsonl").read_bytes() == before
    assert not (path / "metrics.jsonl").exists()


def yes(question: str) -> bool:
    del question
    return True


def test_what_is_no_run_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine", encoding="utf-8")
    choices: list[IfExists] = ["raise", "ask", "resume", "delete"]
    for choice in choices:
        with pytest.raises(UsageError, match="isn't a run directory"):
            opened(tmp_path, if_exists=choice, ask=yes)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="is a file"):
        opened(tmp_path / "thesis.tex")


def test_resuming_names_the_key_that_makes_it_another_run(tmp_path: Path) -> None:
    path = finished_run(tmp_path / "run")
    with pytest.raises(ResultMismatchError, match=r"learning_rate: 0\.001 there, 0\.002 asked for"):
        opened(path, learning_rate=2e-3)
    opened(path).close("stopped")  # the refusal left no lock


def test_harmless_keys_may_change_and_new_ones_appear(tmp_path: Path) -> None:
    path = finished_run(tmp_path / "run")
    opened(path, save_every=9, invented_later=True, provenance={"commit": "b"}).close("stopped")
    assert json.loads((path / "config.json").read_bytes())["save_every"] == 9
    assert "save_every was 5 and is now 9" in (path / "logs.log").read_text(encoding="utf-8")


def test_sft_and_rl_do_not_go_on_with_each_other_or_with_strangers(tmp_path: Path) -> None:
    path = finished_run(tmp_path / "run")
    with pytest.raises(ResultMismatchError, match="a run of `geospot rl`"):
        opened(path, kind="sft")
    (path / "config.json").write_text('{"model_name": "m"}', encoding="utf-8")
    with pytest.raises(ResultMismatchError, match="geospot didn't write"):
        opened(path)
    (path / "config.json").write_text("[", encoding="utf-8")
    with pytest.raises(UsageError, match="no JSON object"):
        opened(path)


def test_going_on_takes_the_newest_state_and_keeps_what_else_the_row_says(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.add_checkpoint(RunCheckpoint("000005", 5, "tinker://w/5", None, {"tau_km": 99.5}))
    run.add_checkpoint(RunCheckpoint("eval-000006", 6, None, "tinker://s/6"))
    run.close("stopped")
    run = opened(tmp_path)
    assert run.resume_from == RunCheckpoint("000005", 5, "tinker://w/5", None, {"tau_km": 99.5})
    run.close("stopped")


def test_the_disk_has_every_row_before_the_checkpoint_that_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(tmp_path)
    run.start(0, 1)
    run.rollouts(0, step_rollouts(0, groups=1, size=2))
    run.histogram(0, np.ones(2), np.ones(2), {})
    run.photos(0, [{"sample_id": "a"}])
    run.metrics(0, {"a": 1})
    synced: list[tuple[str, int]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.name, path.stat().st_size))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    run.add_checkpoint(checkpoint(1, "final"))
    monkeypatch.undo()

    rows = [*(path.name for path in tmp_path.glob("*.jsonl")), "logs.log"]
    assert sorted(name for name, _ in synced) == sorted(rows)
    assert synced[-1][0] == "checkpoints.jsonl"
    assert all(size == (tmp_path / name).stat().st_size for name, size in synced)
    run.close("finished")


def test_rows_of_steps_that_are_done_again_are_set_aside(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.start(0, 10)
    for step in range(5):
        run.metrics(step, {"a": step})
        run.rollouts(step, step_rollouts(step))
    reader, tail = RolloutReader(tmp_path), StepTail(tmp_path / "metrics.jsonl")
    assert reader.look()
    assert tail.look()
    run.close("stopped")

    run = opened(tmp_path)
    run.start(3, 10)
    assert tail.look()
    assert list(tail.rows) == [0, 1, 2]
    assert reader.look()
    assert reader.steps == [0, 1, 2]
    assert len((tmp_path / "metrics.jsonl.pre_resume_000003").read_bytes().splitlines()) == 5
    assert (tmp_path / "iteration_000004.pre_resume_000003").is_dir()
    assert not (tmp_path / "iteration_000003").exists()
    run.metrics(3, {"a": 33})
    run.rollouts(3, step_rollouts(3, groups=1))
    assert tail.look()
    assert tail.rows[3] == {"step": 3, "a": 33}
    assert reader.look()
    assert [record.step for record in reader.read(3)] == [3, 3]
    run.close("stopped")


def test_going_back_twice_to_the_same_step_keeps_both_pasts(tmp_path: Path) -> None:
    for value in ("first", "second", "third"):
        run = opened(tmp_path)
        run.start(0, 10)
        run.metrics(0, {"a": value})
        run.close("stopped")
    kept = [path.read_text(encoding="utf-8") for path in sorted(tmp_path.glob("metrics.jsonl.p*"))]
    assert ["first" in kept[0], "second" in kept[1]] == [True, True]


def test_a_second_writer_is_refused_and_death_frees_the_lock(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from geospot.runs.directory import RunDirectory\n"
        f"RunDirectory.open(pathlib.Path(sys.argv[1]), {CONFIG!r}, kind='rl', if_exists='resume', ask=None)\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        choices: list[IfExists] = ["resume", "delete"]
        for choice in choices:
            with pytest.raises(BusyError, match=r"Another process is writing.*Wait for it"):
                opened(tmp_path, if_exists=choice)
        child.kill()
        child.wait()
        opened(tmp_path).close("stopped")


def test_checkpoints_are_pruned_by_the_rule(tmp_path: Path) -> None:
    run = opened(tmp_path)
    for batch in (5, 10, 15, 20):
        run.add_checkpoint(checkpoint(batch))
    run.add_checkpoint(RunCheckpoint("eval-000010", 10, None, "tinker://s/e10"))
    run.add_checkpoint(
        RunCheckpoint("000002", 2, "tinker://w/2", "tinker://s/2", {"evaluation": True})
    )
    run.add_checkpoint(checkpoint(20, "final"))
    going = run.checkpoints_to_prune(2)
    assert [row.name for row in going] == ["000005", "000010"]
    assert run.checkpoints_to_prune(0) == run.checkpoints_to_prune(1)
    run.forget_checkpoints(going)
    assert [row.name for row in read_checkpoints(tmp_path)] == [
        *("000015", "000020", "eval-000010", "000002", "final")
    ]
    run.add_checkpoint(checkpoint(25))
    assert read_checkpoints(tmp_path)[-1].batch == 25
    run.close("stopped")
    assert "000005, 000010" in (tmp_path / "logs.log").read_text(encoding="utf-8")


def test_a_checkpoint_saved_again_under_its_name_is_not_pruned_by_its_older_row(
    tmp_path: Path,
) -> None:
    run = opened(tmp_path)
    for batch in (5, 10, 10, 5):
        run.add_checkpoint(checkpoint(batch))
    run.add_checkpoint(RunCheckpoint("eval", 15, None, "tinker://run/sampler_weights/000005"))
    assert run.checkpoints_to_prune(1) == []  # an evaluation's sampler is the same weights
    run.add_checkpoint(checkpoint(20))
    assert [row.name for row in run.checkpoints_to_prune(1)] == ["000010"]
    run.close("stopped")


def test_a_figure_that_is_no_number_is_null_and_numpy_is_welcome(tmp_path: Path) -> None:
    import numpy as np

    run = opened(tmp_path)
    run.metrics(1, {"nan": float("nan"), "f32": np.float32(0.5), "inf": np.inf, "n": np.int64(3)})
    run.close("stopped")
    row = json.loads((tmp_path / "metrics.jsonl").read_bytes())
    assert row == {"step": 1, "nan": None, "f32": 0.5, "inf": None, "n": 3}


def test_the_log_is_one_harmless_line_a_message(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.log("a\nb\x1b[31m\u2028", level="WARNING")
    run.close("failed", "the loss is NaN")
    lines = (tmp_path / "logs.log").read_text(encoding="utf-8").split("\n")
    assert lines[0].endswith(r"Z WARNING a\nb\x1b[31m\u2028")
    assert lines[1].endswith("Z INFO failed: the loss is NaN")


def test_a_full_disk_is_one_sentence_and_leaves_whole_lines(tmp_path: Path) -> None:
    code = (
        "import resource, sys, pathlib\n"
        "from geospot.errors import GeospotError\n"
        "from geospot.runs.directory import RunDirectory\n"
        "from tests.support.rollouts import step_rollouts\n"
        f"run = RunDirectory.open(pathlib.Path(sys.argv[1]), {CONFIG!r}, kind='rl', if_exists='raise',"
        " ask=None)\n"
        "run.start(0, 9)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))\n"
        "try:\n"
        "    for step in range(999):\n"
        "        run.metrics(step, {'a': 'b' * 100})\n"
        "        run.rollouts(step, step_rollouts(step))\n"
        "except GeospotError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 1
    assert "rollouts.jsonl can't be written: File too large. Make room on the disk" in done.stdout
    assert done.stderr == ""
    tail, reader = StepTail(tmp_path / "metrics.jsonl"), RolloutReader(tmp_path)
    assert tail.look()
    assert reader.look()
    assert len(tail.rows) == len(reader.steps) + 1 > 1
    assert all(len(reader.read(step)) == 4 for step in reader.steps)
    assert (tmp_path / "rollouts.jsonl").read_bytes().endswith(b"}\n")


def test_what_follows_a_full_disk_is_refused_too(tmp_path: Path) -> None:
    run = opened(tmp_path)
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    for _ in range(2):
        with pytest.raises(WriteError, match="No space left on device"):
            run.metrics(0, {"a": 1})
    run.close("failed", "disk full")


def test_a_failed_run_that_cannot_say_so_does_not_hide_why_it_failed(tmp_path: Path) -> None:
    states: list[State] = ["finished", "failed"]
    for state in states:
        run = opened(tmp_path)
        (tmp_path / "heartbeat.json").unlink()
        (tmp_path / "heartbeat.json").mkdir()
        with pytest.raises(WriteError) if state == "finished" else nullcontext():
            run.close(state, "the loss is NaN")
        (tmp_path / "heartbeat.json").rmdir()  # and the lock is free


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"can't be made.*another log_path"):
        opened(tmp_path / "file" / "run")


def test_the_page_s_code_reads_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened(tmp_path / "runs" / "rl")
    run.start(0, 1)
    run.rollouts(0, step_rollouts(0))
    run.metrics(0, {"env/all/reward/total": 0.5})
    run.close("finished")
    page = Path(__file__).parents[2] / "docs" / "runs.md"
    *_, code = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, str(page), "exec"), names)  # noqa: S102
    assert (names["steps"], names["reward"]) == ([0], [0.5])
    assert len(names["answers"]) == 4
    assert names["beat"].standing() == "finished"


def test_the_page_names_every_file_and_every_key_of_a_rollout(tmp_path: Path) -> None:
    main(tmp_path, 6)
    page = (Path(__file__).parents[2] / "docs" / "runs.md").read_text(encoding="utf-8")
    for entry in tmp_path.iterdir():
        assert f"`{re.sub('_[0-9]{6}', '_NNNNNN', entry.name)}" in page
    (row, *_) = (tmp_path / "rollouts.jsonl").read_bytes().splitlines()
    assert [key for key in json.loads(row) if f"`{key}`" not in page] == []


def test_closing_says_how_it_ended(tmp_path: Path) -> None:
    run = opened(tmp_path)
    beat = read_heartbeat(tmp_path)
    assert beat is not None  # it lives while the model is loaded
    assert (beat.state, beat.phase, beat.total) == ("running", "starting", 0)
    run.start(2, 7)
    run.beat("sampling", 3)
    beat = read_heartbeat(tmp_path)
    assert beat is not None
    assert (beat.state, beat.phase, beat.step, beat.total, beat.pid) == (
        *("running", "sampling", 3, 7),
        os.getpid(),
    )
    run.close("stopped", "SIGTERM")
    beat = read_heartbeat(tmp_path)
    assert beat is not None
    assert (beat.state, beat.reason, beat.step) == ("stopped", "SIGTERM", 3)
