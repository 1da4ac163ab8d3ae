"""Control of runs from outside: exactly the run's process is signalled, and what is started goes on alone."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from geospot.durable import LOCK
from geospot.errors import UsageError
from geospot.runs.checkpoints import read_checkpoints
from geospot.runs.control import (
    Launched,
    branch,
    branch_settings,
    evaluate,
    evaluation_settings,
    launch,
    resume,
    resume_settings,
    stop,
    stop_now,
)
from geospot.runs.heartbeat import Beat, read_heartbeat
from geospot.runs.launching import LaunchError
from geospot.runs.processes import birth_of, this_host
from geospot.runs.rebuilding import config_of
from tests.support.learning import engine_url, small
from tests.support.vlm_server import dead_port
from tests.support.written_runs import foreign_run, write_beat, write_run

SECRET: Final = "tml-this-must-never-be-seen"  # noqa: S105
NOBODY: Final = 65534


def until(holds: Callable[[], bool], within_s: float = 120.0) -> None:
    """Waits; fails if it takes too long."""
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s, "it took too long"
        time.sleep(0.02)


def beat_of(run: Path) -> Beat:
    found = read_heartbeat(run)
    assert found is not None
    return found


@contextmanager
def running(folder: Path, *how: str) -> Generator["subprocess.Popen[str]"]:
    """A process that is a run and can be stopped."""
    command = [sys.executable, "-m", "tests.support.stoppable_child", str(folder), *how]
    quiet = subprocess.DEVNULL
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        try:
            yield child
        finally:
            child.kill()


@pytest.fixture
def ending() -> Generator[ExitStack]:
    """Closes what is entered into it, however the test ends."""
    with ExitStack() as stack:
        yield stack


@contextmanager
def _killed_at_the_end(launched: Launched) -> Generator[Launched]:
    try:
        yield launched
    finally:
        launched.process.kill()
        launched.process.wait()


@contextmanager
def bystander(user: int | None = None) -> Generator["subprocess.Popen[bytes]"]:
    """A process that has nothing to do with any run, and is still there at the end."""
    with subprocess.Popen(["sleep", "600"], user=user) as child:
        try:
            yield child
            assert child.poll() is None, "it was signalled"
        finally:
            child.kill()


def _states_of_threads(pid: int) -> set[str]:
    """The letters that Linux has for what they do: each hears of a signal when its turn comes."""
    stats = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {stat.rpartition(") ")[2][0] for stat in stats}


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def silent_server() -> Generator[str]:
    """The address of a service that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_stop_lets_a_run_save_and_says_so_meanwhile(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with running(run, "held") as child:
        asked = stop(run)
        assert asked.pid == child.pid
        until(lambda: beat_of(run).stopping)
        with pytest.raises(UsageError, match="stopping already"):
            stop(run)  # a second signal would end it before it has saved
        assert child.stdin is not None
        child.stdin.write("save\n")
        child.stdin.flush()
        assert child.wait(120) == 0
    over = beat_of(run)
    assert (over.state, over.reason) == ("stopped", "stopped by SIGTERM")
    assert read_checkpoints(run)[-1].batch == over.step
    with pytest.raises(UsageError, match="is over: stopped"):
        stop(run)


def test_a_run_that_is_still_starting_is_stopped_and_not_dead(tmp_path: Path) -> None:
    with running(tmp_path / "run", "starting") as child:
        stop(tmp_path / "run")
        assert child.wait(120) == -signal.SIGINT
    over = beat_of(tmp_path / "run")
    assert (over.standing(), over.reason) == ("stopped", "interrupted")


def test_stop_now_ends_the_process_and_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path / "a") as child, running(tmp_path / "b") as other:
        stop_now(tmp_path / "a")
        assert child.wait(120) == -signal.SIGKILL
        assert beat_of(tmp_path / "a").standing() == "died"
        with pytest.raises(UsageError, match="is gone: it died"):
            stop_now(tmp_path / "a")
        assert other.poll() is None
        assert beat_of(tmp_path / "b").standing() == "running"


def test_a_process_whose_parent_has_not_noticed_its_end_is_gone(tmp_path: Path) -> None:
    with running(tmp_path / "run") as child:
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        assert birth_of(child.pid) == ""
        assert beat_of(tmp_path / "run").standing() == "died"


@pytest.mark.parametrize("act", [stop, stop_now])
def test_a_number_that_another_process_has_got_is_not_signalled(
    tmp_path: Path, act: Callable[[Path], Beat]
) -> None:
    write_run(tmp_path).close("finished")
    with bystander() as other:
        boot, _, ticks = birth_of(other.pid).rpartition("/")
        write_beat(tmp_path, pid=other.pid, birth=f"{boot}/{int(float(ticks)) - 1}")
        with pytest.raises(UsageError, match="Nothing was signalled"):
            act(tmp_path)
        # A run of a version that noted no birth: the process is younger than the run.
        write_beat(tmp_path, pid=other.pid, started=time.time() - 3600)
        with pytest.raises(UsageError, match="Nothing was signalled"):
            act(tmp_path)


def test_a_run_of_a_version_that_noted_no_birth_can_be_stopped(tmp_path: Path) -> None:
    with running(tmp_path / "run") as child:
        os.kill(child.pid, signal.SIGSTOP)  # so that it doesn't write its own beat
        until(lambda: _states_of_threads(child.pid) == {"T"})
        write_beat(tmp_path / "run", pid=child.pid, started=time.time() + 1)
        stop_now(tmp_path / "run")
        assert child.wait(120) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"host": "gpu-17"}, "belongs to gpu-17, and can only be watched"),
        ({"birth": "another-boot/12"}, f"belongs to {this_host()}, and can only"),
        ({"state": "finished"}, "is over: finished"),
        ({"state": "failed", "reason": "NaN\x1b[31m"}, r"is over: failed, NaN\\x1b\[31m"),
        ({"pid": 0}, "is gone"),
        ({"pid": 2**22 + 5}, "is gone"),
        ({"pid": -1}, "is gone"),
    ],
)
def test_what_cannot_be_stopped_from_here(
    tmp_path: Path, changed: dict[str, Any], sentence: str
) -> None:
    write_run(tmp_path).close("finished")
    with bystander() as other:
        write_beat(tmp_path, **({"pid": other.pid, "birth": birth_of(other.pid)} | changed))
        for act in (stop, stop_now):
            with pytest.raises(UsageError, match=sentence):
                act(tmp_path)


def test_what_is_no_run_of_ours_cannot_be_stopped(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="says nothing of its process"):
        stop(foreign_run(tmp_path / "foreign"))
    with pytest.raises(UsageError, match="is no run directory"):
        stop(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start somebody else's process")
def test_another_users_process_is_not_signalled(tmp_path: Path) -> None:
    write_run(tmp_path).close("finished")
    with bystander(user=NOBODY) as other:
        write_beat(tmp_path, pid=other.pid, birth=birth_of(other.pid))
        with pytest.raises(UsageError, match="belongs to another user"):
            stop(tmp_path)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "is running: process"),
        ({"time": 5.0}, "is running: process"),  # silent: it may be asleep
        ({"host": "gpu-17"}, "belongs to gpu-17.*behavior_if_log_dir_exists=resume"),
        ({"host": "gpu-17", "time": 5.0}, "belongs to gpu-17"),
        ({"state": "finished"}, "has finished"),
    ],
)
def test_what_cannot_be_gone_on_with(
    tmp_path: Path, changed: dict[str, Any], sentence: str
) -> None:
    write_run(tmp_path).close("finished")
    write_beat(tmp_path, **({"birth": birth_of(os.getpid())} | changed))
    with pytest.raises(UsageError, match=sentence):
        resume(tmp_path)
    assert not (tmp_path / "output.log").exists()


def test_a_run_that_is_over_is_gone_on_with_from_any_machine(tmp_path: Path) -> None:
    write_run(tmp_path).close("finished")
    write_beat(tmp_path, state="stopped", host="gpu-17")
    kind, settings = resume_settings(tmp_path, {"save_every": 7})
    assert (kind, settings["behavior_if_log_dir_exists"], settings["save_every"]) == (
        "rl",
        "resume",
        7,
    )
    with pytest.raises(UsageError, match="isn't a run that geospot wrote"):
        resume_settings(foreign_run(tmp_path / "foreign"))


def test_what_a_branch_and_an_evaluation_are_told(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run, coord_tau=[100.0], eval_limit=50, api_key_env="SOME_KEY").close("stopped")
    kind, settings = branch_settings(run, "000003", {"coord_tau": [25.0]}, tmp_path / "new")
    assert kind == "rl"
    assert settings["load_checkpoint_path"] == f"{run}@000003"
    assert (settings["coord_tau"], settings["log_path"]) == ([25.0], tmp_path / "new")
    assert not {"model_name", "prompt", "lora_rank", "behavior_if_log_dir_exists"} & settings.keys()
    for name, folder, sentence in (
        ("000009", tmp_path / "new", "no checkpoint '000009'.*It has 000003"),
        ("000003", run, "is there already"),
    ):
        with pytest.raises(UsageError, match=sentence):
            branch_settings(run, name, {}, folder)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / LOCK).touch()  # all that a start leaves on a full disk
    assert branch_settings(run, "000003", {}, tmp_path / "begun")[0] == "rl"
    told = evaluation_settings(run, "000003", {"limit": 20, "out": tmp_path / "result"})
    assert (told["backend"], told["model"], told["dataset"]) == ("local", f"{run}@000003", "world")
    assert (told["limit"], told["out"], told["api_key_env"]) == (
        20,
        tmp_path / "result",
        "SOME_KEY",
    )
    with pytest.raises(UsageError, match="no checkpoint 'nix'"):
        evaluation_settings(run, "nix", {})


def test_keys_stay_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", SECRET)
    with silent_server() as url:
        settings = small(url, tmp_path / "run", api_key_env="SOME_KEY")
        launched = launch("sft", settings, tmp_path / "run")
        process = psutil.Process(launched.pid)
        try:
            until(lambda: bool(process.net_connections()))
            assert process.environ()["SOME_KEY"] == SECRET
            line = Path(f"/proc/{launched.pid}/cmdline").read_bytes()
            assert b"api_key_env=SOME_KEY" in line
            assert SECRET.encode() not in line
            assert process.cwd() == str(Path.cwd())
            stdin = Path(f"/proc/{launched.pid}/fd/0").readlink()
            assert str(stdin) == "/dev/null"
        finally:
            process.kill()
            launched.process.wait()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()


LAUNCHER: Final = """
import sys
from pathlib import Path
from geospot.runs.control import launch
from tests.support.learning import small
folder = Path(sys.argv[2])
print("pid", launch("sft", small(sys.argv[1], folder), folder).pid, flush=True)
sys.stdin.read()
"""


def test_what_was_launched_survives_its_launcher_and_its_terminal(tmp_path: Path) -> None:
    with silent_server() as url:
        launcher, terminal = pty.fork()
        if launcher == 0:
            program = [sys.executable, "-c", LAUNCHER, url, str(tmp_path / "run")]
            os.execv(sys.executable, program)  # noqa: S606
        said = b""
        while b"pid" not in said or b"\n" not in said:
            said += os.read(terminal, 1024)
        process = psutil.Process(int(said.split()[1]))
        try:
            assert os.getsid(process.pid) == process.pid
            until(lambda: bool(process.net_connections()))
            os.close(
                terminal
            )  # the terminal goes, as with a lost connection: SIGHUP to its session
            _, status = os.waitpid(launcher, 0)
            assert os.waitstatus_to_exitcode(status) == -signal.SIGHUP
            time.sleep(0.3)
            assert process.is_running()
            assert process.status() != psutil.STATUS_ZOMBIE
        finally:
            process.kill()


def test_an_early_death_tells_its_reason(tmp_path: Path) -> None:
    output = tmp_path / "run.output.log"
    output.write_text("geospot: an older process's last words\n")
    with dead_port() as port:
        settings = small(f"http://127.0.0.1:{port}", tmp_path / "run", max_retries=0)
        launched = launch("sft", settings, tmp_path / "run")
        assert launched.output == output
        with pytest.raises(LaunchError, match=r"ended at once: .*127\.0\.0\.1") as told:
            launched.wait_until_live(240)
    assert "older" not in str(told.value)
    assert "Traceback" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_a_silent_death_is_told_as_well(tmp_path: Path) -> None:
    (tmp_path / "run.output.log").write_text("geospot: an older process's last words\n")
    with silent_server() as url:
        launched = launch("sft", small(url, tmp_path / "run"), tmp_path / "run")
        assert launched.trouble() is None
        launched.process.kill()
        launched.process.wait()
    assert launched.trouble() == "It ended with signal 9, Killed, and said nothing."


def test_what_does_not_fit_starts_nothing(tmp_path: Path) -> None:
    for settings in ({"batch_size": 0}, {"batchsize": 3}, {"group_size": 4}, {"prompt": "a\0b"}):
        with pytest.raises(UsageError):
            launch("sft", settings, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LaunchError, match="Argument list too long"):
        launch("sft", {"prompt": "where " * 100_000}, tmp_path / "run")


@pytest.mark.timeout(900)
def test_a_real_run_is_stopped_gone_on_with_ended_branched_and_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: ExitStack
) -> None:
    """The embedded engine's process ends with the run's, however that ends.

    What branches off, and its evaluation, ask an engine that is here already, with the same checkpoints.
    """
    monkeypatch.setenv("GEOSPOT_STATE_DIR", str(tmp_path / "state"))
    here = ending.enter_context(engine_url(tmp_path / "state"))
    run = tmp_path / "run"
    settings = small("local", run, max_samples=100, num_epochs=400, save_every=1000, nll_every=1000)
    first = ending.enter_context(_killed_at_the_end(launch("sft", settings, run)))
    assert first.wait_until_live(240)
    until(lambda: beat_of(run).step >= 3)
    assert beat_of(run).pid == first.pid
    stop(run)
    assert first.process.wait(240) == 128 + signal.SIGTERM
    assert first.trouble() is None
    stopped = beat_of(run)
    assert stopped.state == "stopped"
    saved = read_checkpoints(run)[-1].batch or 0
    assert saved >= stopped.step  # a step was under way

    second = ending.enter_context(_killed_at_the_end(resume(run)))
    assert second.output == run / "output.log"
    assert second.wait_until_live(240)
    with pytest.raises(UsageError, match="is running"):
        resume(run)
    until(lambda: beat_of(run).step > saved)
    assert beat_of(run).pid == second.pid
    engines = psutil.Process(second.pid).children(recursive=True)
    assert engines
    stop_now(run)
    assert second.process.wait(120) == -signal.SIGKILL
    until(lambda: not any(_is_running(engine) for engine in engines))
    assert beat_of(run).standing() == "died"

    name = read_checkpoints(run)[-1].name
    changes = {"service": here, "max_steps": 2, "learning_rate": 1e-5}
    third = ending.enter_context(_killed_at_the_end(branch(run, name, changes, tmp_path / "new")))
    assert third.process.wait(300) == 0
    assert beat_of(tmp_path / "new").state == "finished"
    config = config_of(tmp_path / "new")
    assert (config["load_checkpoint_path"], config["learning_rate"]) == (f"{run}@{name}", 1e-5)
    last = read_checkpoints(tmp_path / "new")[-1].name
    result = tmp_path / "result"
    told = {"limit": 4, "out": result, "canary": False}
    fourth = ending.enter_context(_killed_at_the_end(evaluate(tmp_path / "new", last, told)))
    assert fourth.wait_until_live(240)
    assert fourth.process.wait(300) == 0
    summary = json.loads((result / "summary.json").read_text())
    assert (summary["n"], summary["complete"]) == (4, True)
