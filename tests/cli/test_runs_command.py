"""`geospot runs`: what it prints, what it refuses, and what the shell completes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geospot.cli import app
from geospot.errors import UsageError
from geospot.evaluation.results import EVENTS
from geospot.runs import processes
from geospot.runs.heartbeat import read_heartbeat
from geospot.runs.processes import birth_of, this_host
from tests.support.evaluating import geospot
from tests.support.result_dirs import answered, write_result
from tests.support.vlm_server import dead_port
from tests.support.written_runs import foreign_run, write_beat, write_run


def told(*arguments: str) -> str:
    """What a command prints on standard output."""
    done = CliRunner().invoke(app, ["runs", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs of ours and one of tinker-cookbook's, in the usual folder."""
    monkeypatch.chdir(tmp_path)
    write_run(Path("runs/rl"), "rl").close("finished")
    write_run(Path("runs/sft"), "sft").close("failed", "a loss that is\x1b[31m no number")
    foreign_run(Path("runs/book"), steps=10, final=True)
    for at, name in enumerate(("rl", "sft", "book")):
        os.utime(f"runs/{name}/config.json", (1000 - at, 1000 - at))
    return tmp_path / "runs"


def test_the_list_is_a_table_that_lines_up(runs: Path) -> None:
    del runs
    lines = told("list").splitlines()
    assert lines[0].split() == [
        *("STATE", "STEP", "SCORE", "MED", "KM", "ELAPSED", "LEFT", "RUN", "KIND", "MODEL")
    ]
    assert [line.split()[0] for line in lines[1:]] == ["finished", "failed", "finished"]
    at = lines[0].index("RUN")
    assert [line[at:].split()[0] for line in lines[1:]] == ["rl", "sft", "book"]
    assert all(line[at - 1] == " " for line in lines)
    assert "0.3  reward" in lines[1]
    assert "7  NLL" in lines[2]
    assert "10/10" in lines[3]


def test_a_result_is_no_run_to_be_shown(tmp_path: Path) -> None:
    write_result(tmp_path / "result", [answered("a", (1.0, 2.0), (3.0, 4.0))])
    done = geospot("runs", "show", tmp_path / "result")
    assert done.returncode == 2
    assert "holds an evaluation, and no run" in done.stderr
    assert "leaderboard show" in done.stderr


def test_the_list_for_scripts(runs: Path) -> None:
    rows = json.loads(told("list", str(runs), "--json"))
    assert [row["name"] for row in rows] == ["rl", "sft", "book"]
    assert rows[0]["folder"] == str(runs / "rl")
    assert (rows[0]["standing"], rows[0]["step"], rows[0]["score_name"]) == (
        "finished",
        3,
        "reward",
    )
    assert rows[1]["reason"] == "a loss that is\x1b[31m no number"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("kind:rl", ["rl", "book"]),
        ("kind:rl reward>0.4", ["book"]),
        ("-state:finished", ["sft"]),
        ("has:nll", ["sft"]),
        ("nll<8", ["sft"]),
        ("QWEN", ["book"]),
        ("model:tiny -nll>100", ["rl", "sft"]),
        ("paris", []),
    ],
)
def test_the_list_is_filtered(runs: Path, query: str, names: list[str]) -> None:
    del runs
    rows = json.loads(told("list", "--json", f"--filter={query}"))
    assert [row["name"] for row in rows] == names


def test_an_empty_place_says_how_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = geospot("runs", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "There are no runs in runs or results. `geospot sft --help` starts one." in done.stderr
    assert json.loads(geospot("runs", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["list", "--filter", "stat:running"], "Did you mean 'state'?"),
        (["list", "--filter", "reward>much"], "wants a number"),
        (["list", "nowhere"], "There is no folder nowhere."),
        (["show", "nowhere"], "There is no run directory nowhere."),
        (["stop", "nowhere"], "nowhere is no run directory."),
        (["stop", "runs/rl"], "runs/rl is over: finished. There is nothing to stop."),
        (["stop", "--now", "runs/rl"], "runs/rl is over: finished."),  # and nobody is asked
        (["resume", "runs/rl"], "runs/rl has finished"),
        (["resume", "runs/book"], "isn't a run that geospot wrote"),
        (["branch", "runs/rl"], "names no checkpoint of a run. Write DIR@NAME"),
        (["branch", "runs/rl@first"], "no checkpoint 'first'"),
        (["branch", "runs/rl@000003", "batchsize=3"], "Did you mean 'batch_size'"),
        (["branch", "runs/rl@000003", "log_path=runs/sft"], "runs/sft is there already"),
        (["branch", "runs/rl@000003", "batch_size"], "is no setting"),
    ],
)
def test_what_makes_no_sense_is_told(runs: Path, arguments: list[str], sentence: str) -> None:
    del runs
    with pytest.raises(UsageError) as raised:
        CliRunner().invoke(app, ["runs", *arguments], catch_exceptions=False)
    assert sentence in str(raised.value)


def test_a_refusal_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    write_run(tmp_path / "run").close("stopped")
    write_beat(tmp_path / "run", host="gpu-17")
    done = geospot("runs", "stop", str(tmp_path / "run"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"geospot: {tmp_path / 'run'} belongs to gpu-17")
    assert done.stderr.count("\n") == 1


def test_one_run_is_shown_and_its_texts_are_harmless(runs: Path) -> None:
    (runs / "sft" / "evals" / "step-000000").mkdir(parents=True)
    shown = told("show", "runs/sft")
    assert "state        failed: a loss that is\\x1b[31m no number\n" in shown
    assert "steps        3 of 10\n" in shown
    assert "  000003  to train on and to sample\n" in shown
    assert "  runs/sft/evals/step-000000\n" in shown
    assert "running: from step 0 to 10" in shown
    assert "\x1b" not in shown
    row = json.loads(told("show", "runs/sft", "--json"))
    assert row["checkpoints"][0]["name"] == "000003"
    assert row["evaluation_results"] == ["runs/sft/evals/step-000000"]


def test_a_run_is_stopped_and_waited_for(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "tests.support.stoppable_child", str(run)]
    for arguments, code, state in ((["--wait"], 0, "stopped"), (["--now", "--yes"], -9, "running")):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            refused = CliRunner().invoke(app, ["runs", "stop", str(run), "--now"], input="n\n")
            assert refused.exit_code == 1
            assert child.poll() is None
            said = told("stop", str(run), *arguments)
            beat = read_heartbeat(run)
            assert child.wait(120) == code
        assert beat is not None
        assert beat.state == state
        assert str(run) in said
        run.rename(tmp_path / f"was-{state}")


def test_an_evaluation_is_waited_for_and_no_later_process_of_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[int] = []

    def born(pid: int) -> str:
        """Once the evaluation is gone, another process has its number."""
        if birth := birth_of(pid):
            return birth
        later.append(pid)
        assert len(later) == 1, "it is waited for"
        return "another/1"

    monkeypatch.setattr(processes, "birth_of", born)
    result = write_result(tmp_path / "r", [answered("p", (1.0, 1.0), (2.0, 1.0))])
    with subprocess.Popen(["sleep", "60"]) as child:
        noted = {"pid": child.pid, "host": this_host(), "birth": birth_of(child.pid)}
        line = json.dumps({"event": "session", "process": noted})
        (result / EVENTS).write_text(f"{line}\n")
        assert f"Asked process {child.pid}" in told("stop", str(result), "--wait")
    assert later == [child.pid]


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["resume", "run", "save_every=7"], "run/output.log"),
        (["branch", "run@000003", "coord_tau=25"], "run-branch-1.output.log"),
    ],
)
def test_what_is_started_is_told_and_so_is_its_early_end(
    tmp_path: Path, arguments: list[str], output: str
) -> None:
    command, which, changed = arguments
    with dead_port() as port:
        nobody = f"http://127.0.0.1:{port}"
        write_run(tmp_path / "run", service=nobody, max_retries=0).close("stopped")
        done = geospot("runs", command, str(tmp_path / which), changed)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"geospot rl service={nobody} ")
    assert f" {changed}" in lines[0]
    assert lines[1].endswith(f"what it prints is in {tmp_path / output}")
    assert done.stderr.startswith("geospot: `geospot rl` ended at once: ")
    assert nobody in done.stderr
    assert nobody in (tmp_path / output).read_text()


def test_help_teaches() -> None:
    shown = CliRunner().invoke(app, ["runs", "list", "--help"], env={"COLUMNS": "100"}).output
    assert "geospot runs list --json --filter state:running" in shown
    for word in ("silent", "died", "has:key", "reward", "eta"):
        assert word in shown


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("geospot runs stop ", ["runs/book", "runs/rl", "runs/sft"]),
        ("geospot runs show runs/s", ["runs/sft"]),
        ("geospot runs branch runs/r", ["runs/rl@"]),
        ("geospot runs branch runs/rl@", ["runs/rl@000003"]),
        ("geospot tui runs/b", ["runs/book"]),
    ],
)
def test_run_directories_are_completed(runs: Path, typed: str, offered: list[str]) -> None:
    del runs
    env = {
        "_GEOSPOT_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    done = CliRunner().invoke(app, prog_name="geospot", env=env)
    assert sorted(done.stdout.split()) == offered
