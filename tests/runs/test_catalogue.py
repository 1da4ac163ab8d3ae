"""The catalogue of runs: which directories are runs, and what is said of each from a part of its files."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from geospot.config.recipes import TINY_SCRATCH
from geospot.durable import set_aside
from geospot.runs.catalogue import FILTER_KEYS, Catalogue, RunSummary
from geospot.runs.heartbeat import QUIET_S
from geospot.runs.processes import this_boot
from tests.support.approx import approx
from tests.support.written_runs import foreign_run, row_of, write_beat, write_run

BLOCKS = 600_000
"""Bytes that a summary may read of a long run."""


def summed(run: Path) -> RunSummary:
    return Catalogue([run.parent]).summary(run)


def read_bytes() -> int:
    """Bytes that this thread has read from files so far; others may still end what a test before began."""
    lines = Path("/proc/thread-self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


def test_runs_are_found_at_any_depth_those_started_last_first(tmp_path: Path) -> None:
    for at, name in enumerate(("old", "deep/er/new", "between")):
        write_run(tmp_path / name).close("finished")
        os.utime(tmp_path / name / "config.json", (10_000 + at, 10_000 + at))
    os.utime(tmp_path / "old" / "config.json", (10_003, 10_003))
    os.utime(tmp_path / "old" / "metrics.jsonl", (1, 1))  # age is that of the start
    catalogue = Catalogue([tmp_path, tmp_path / "deep"])
    runs = catalogue.scan()
    assert [run.relative_to(tmp_path).as_posix() for run in runs] == [
        "old",
        "between",
        "deep/er/new",
    ]
    assert [catalogue.summary(run).name for run in runs] == ["old", "between", "deep/er/new"]
    assert Catalogue([tmp_path / "old"]).scan() == [tmp_path / "old"]
    assert summed(tmp_path / "old").name == "old"


def test_what_is_no_run_is_not_listed(tmp_path: Path) -> None:
    write_run(tmp_path / "run").close("finished")
    for inside in ("evals/step-000000", "nested"):
        foreign_run(tmp_path / "run" / inside)
    write_run(tmp_path / "aside").close("finished")
    set_aside(tmp_path / "aside", "")
    foreign_run(tmp_path / ".hidden" / "run")
    (tmp_path / "model").mkdir()  # a model of Hugging Face has a config.json, too
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "odd" / "metrics.jsonl").mkdir(parents=True)
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "eval.json").write_text("{}")
    assert Catalogue([tmp_path, tmp_path / "nowhere"]).scan() == [tmp_path / "run"]


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    foreign_run(tmp_path / "scratch" / "run")
    home = tmp_path / "home"
    home.mkdir()
    (home / "linked").symlink_to(tmp_path / "scratch")
    (home / "again").symlink_to(tmp_path / "scratch" / "run")
    (home / "loop").symlink_to(home)
    (tmp_path / "scratch" / "up").symlink_to(tmp_path)
    (home / "dangling").symlink_to(tmp_path / "gone")
    found = Catalogue([home]).scan()
    assert [run.resolve() for run in found] == [tmp_path / "scratch" / "run"]


def test_the_search_gives_up_in_too_many_folders(tmp_path: Path) -> None:
    for name in range(20):
        foreign_run(tmp_path / str(name))
    few, all_of_them = Catalogue([tmp_path], most=5), Catalogue([tmp_path])
    assert len(few.scan()) == 4
    assert few.is_cut
    assert len(all_of_them.scan()) == 20
    assert not all_of_them.is_cut


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    summary = summed(tmp_path / "run")
    assert (summary.kind, summary.model, summary.standing) == ("rl", TINY_SCRATCH, "running")
    assert (summary.step, summary.total, summary.phase) == (3, 10, "sampling")
    assert (summary.score_name, summary.score) == ("reward", approx(0.3))
    assert summary.spark == approx((0.1, 0.2, 0.3))
    assert summary.median_km == 898.0
    assert summary.eta_s == 14.0  # seven steps of two seconds
    assert summary.tokens == 303
    assert (summary.pid, summary.is_here) == (os.getpid(), True)
    run.stops("SIGTERM: finishing the step and saving.")
    assert summed(tmp_path / "run").phase == "stopping"
    run.close("stopped", "stopped by SIGTERM")
    over = summed(tmp_path / "run")
    assert (over.standing, over.reason, over.phase, over.eta_s) == (
        "stopped",
        "stopped by SIGTERM",
        "",
        None,
    )


def test_supervised_training_has_an_nll_and_the_median_of_its_newest_evaluation(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path / "run", "sft")
    assert summed(tmp_path / "run").median_km is None
    for step, median_km in ((0, 5000.0), (2, 700.0), (4, None)):
        folder = tmp_path / "run" / "evals" / f"step-{step:06d}"
        folder.mkdir(parents=True)
        if median_km is not None:  # the newest is under way
            (folder / "summary.json").write_text(json.dumps({"all": {"median_km": median_km}}))
    summary = summed(tmp_path / "run")
    assert (summary.kind, summary.score_name, summary.score) == ("sft", "NLL", 7.0)
    assert (summary.median_km, summary.evaluations) == (700.0, 3)
    run.metrics(4, {"eval/median_km": 650.0, "cost/usd": 1.5})
    summary = summed(tmp_path / "run")
    assert (summary.median_km, summary.cost_usd, summary.score) == (650.0, 1.5, 7.0)
    run.close("finished")


def test_a_foreign_run_is_judged_by_its_files(tmp_path: Path) -> None:
    fresh, old = foreign_run(tmp_path / "fresh"), foreign_run(tmp_path / "old")
    done = foreign_run(tmp_path / "done", steps=10, final=True)
    long_ago = time.time() - 2 * QUIET_S
    for file in (*old.iterdir(), *done.iterdir()):
        os.utime(file, (long_ago, long_ago))
    standings = {run: summed(run).standing for run in (fresh, old, done)}
    assert standings == {fresh: "running", old: "unknown", done: "finished"}
    summary = summed(fresh)
    assert (summary.kind, summary.model) == ("rl", "Qwen/Qwen3-VL")
    assert (summary.step, summary.total, summary.score) == (3, 10, 0.5)
    assert not summary.is_here
    assert (summed(done).step, summed(done).total) == (10, 10)


def test_a_long_run_is_read_in_part(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "sft", steps=0, total=1_000_000)
    count = 1_000_000
    rows = (
        f'{{"step":{n},"train_mean_nll":{count - n},"tokens/train":{n}}}\n' for n in range(count)
    )
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(rows))
    before = read_bytes()
    summary = summed(tmp_path / "run")
    assert read_bytes() - before < BLOCKS
    assert (summary.score, summary.tokens) == (1.0, count - 1)
    assert len(summary.spark) >= 24
    assert list(summary.spark) == sorted(summary.spark, reverse=True)
    assert summary.spark[0] > 0.99 * count
    assert summary.spark[-1] < 0.01 * count
    run.close("finished")


def test_nothing_is_read_again_until_it_changes(tmp_path: Path) -> None:
    for name in "abcdef":
        write_run(tmp_path / name, steps=50).close("finished")
    catalogue = Catalogue([tmp_path])
    runs = catalogue.scan()
    first = [catalogue.summary(run) for run in runs]
    before = read_bytes()
    assert [catalogue.summary(run) for run in catalogue.scan()] == first
    assert read_bytes() - before < 2_000  # but for this very file
    with (tmp_path / "a" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 50} | row_of("rl", 99)) + "\n")
    assert catalogue.summary(tmp_path / "a").score == approx(10.0)
    (tmp_path / "b" / "metrics.jsonl").unlink()
    assert catalogue.summary(tmp_path / "b").score is None


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\x00\xff\xfe",
        b"[" * 100_000,
        b'{"step": 1e999, "env/all/reward/total": NaN, "progress/done_frac": 1e-300}\n',
        b'{"step": ' + b"9" * 4000 + b', "env/all/reward/total": ' + b"9" * 4000 + b"}\n",
        b'{"step": %s, "env/all/reward/total": 0.5, "progress/done_frac": 0.5, "time/total": 1.0}\n'
        b'{"name": "000001", "batch": %s, "state_path": "tinker://a/weights/b"}\n'
        % (b"9" * 400, b"9" * 400),
        b'{"env/all/reward/total": 1e308, "step": true, "time/total": -Infinity, "tokens/train": 1e400}\n'
        * 9,
        b'{"all": [], "kind": ["rl"], "model_name": {"a": 1}, "state": "running", "pid": NaN, '
        b'"started": 1e400, "step": -1e999, "host": 7, "birth": 9}\n',
        b'{"name": 7}\n{"name": "final", "batch": "x"}\n{"name": "final", "batch": -5}\nnull\n',
        b'{"step": 3, "env/all/reward/total": 0.25',
        b"x" * 300_000,
    ],
)  # fmt: skip
def test_hostile_files_are_summed_up_as_well(tmp_path: Path, junk: bytes) -> None:
    run = tmp_path / "run"
    (run / "evals" / "step-000001").mkdir(parents=True)
    names = ("config.json", "metrics.jsonl", "checkpoints.jsonl", "heartbeat.json", "logs.log")
    for name in (*names, "evals/step-000001/summary.json"):
        (run / name).write_bytes(junk)
    catalogue = Catalogue([tmp_path])
    assert catalogue.scan() == [run]
    summary = catalogue.summary(run)
    assert json.dumps(dict(summary.fields), allow_nan=False)
    assert summary.model == ""


def test_pipes_and_folders_in_the_place_of_files(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    run.close("finished")
    for name in ("metrics.jsonl", "config.json", "heartbeat.json"):
        (tmp_path / "run" / name).unlink()
    os.mkfifo(tmp_path / "run" / "metrics.jsonl")  # to read it would wait for a writer
    (tmp_path / "run" / "config.json").mkdir()
    (tmp_path / "run" / "heartbeat.json").symlink_to("/dev/zero")
    catalogue = Catalogue([tmp_path])
    assert catalogue.scan() == [tmp_path / "run"]
    assert catalogue.summary(tmp_path / "run").standing == "running"  # by its checkpoints


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    summary = summed(tmp_path / "never")
    assert (summary.standing, summary.step, summary.spark) == ("unknown", 0, ())
    assert "nothing in the directory" in summary.reason


def test_a_machine_of_the_same_name_is_told_by_its_boot(tmp_path: Path) -> None:
    if not this_boot():
        pytest.skip("this system doesn't name its boots")
    write_run(tmp_path / "run").close("finished")
    write_beat(tmp_path / "run", birth="another-boot/17")
    summary = summed(tmp_path / "run")
    assert (summary.standing, summary.is_here) == ("running", False)
    write_beat(tmp_path / "run", birth="another-boot/17", time=time.time() - 3600)
    assert summed(tmp_path / "run").standing == "died"  # or this machine was started anew since


def test_every_field_can_be_asked_for(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    fields: dict[str, Any] = dict(summed(tmp_path / "run").fields)
    run.close("finished")
    assert fields.keys() == FILTER_KEYS
    assert (fields["state"], fields["reward"], fields["nll"]) == ("running", approx(0.3), None)
    assert (fields["done"], fields["eval"]) == (approx(0.3), None)
