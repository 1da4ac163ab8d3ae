"""The engine killed under a run that trains on it; or the run, and the engine has to follow.

Three victims: the engine that a run with `service=local` has started, that run itself, and `geospot serve`.
A run whose engine has gone ends by itself, with a sentence and no traceback. The same command then goes on
from the last checkpoint that the engine had saved, and comes to what an uninterrupted run does. An engine
whose run has gone ends.
"""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final, Literal

import psutil

from tests.drills.drill import Attempt, Session, Trial, drill
from tests.drills.killing import (
    TOO_EARLY,
    TOO_LATE,
    Life,
    Process,
    finish,
    left_over,
    start,
    unended_lines,
    whole_life,
)
from tests.drills.processes import Marked
from tests.drills.trained import settings, standing, unlike, unreadable
from tests.support.learning import rows_of

Victim = Literal["engine", "run", "server"]

_VICTIMS: Final[tuple[Victim, ...]] = ("engine", "run", "server")
_NO_ENGINE: Final = "no kill: there was no engine yet"
_GIVES_UP_WITHIN_S: Final = 120.0
_SERVES_WITHIN_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class _Ground:
    """The run that nobody killed, and how long such a run lives."""

    whole: Path
    life: Life


@drill("kill -9 of the engine, of its run, or of the server", times=150, short=0)
def kill_engine(session: Session) -> Iterator[Trial]:
    """A run and an engine of its own in each trial, which costs seconds; so there is no short form."""
    run, marked = session.folder / "whole" / "run", _marked(session.folder)
    life = whole_life(start(marked, *_command("local", run)), run)
    ground = _Ground(run, life)
    yield from session.repeat(lambda attempt: _killed(attempt, ground), side_by_side=2)


def _command(service: str, run: Path) -> list[str | Path]:
    """Thirty-six steps, and a checkpoint every third: the engine is often killed while it saves."""
    return settings("sft", service, run, num_epochs=6)


def _marked(folder: Path) -> Marked:
    """Products of one thread, as a run's own engine computes them: `geospot serve` adds up otherwise."""
    return Marked(GEOSPOT_STATE_DIR=folder / "state", OPENBLAS_NUM_THREADS="1")


def _killed(attempt: Attempt, ground: _Ground) -> Trial:
    victim = _VICTIMS[attempt.number % len(_VICTIMS)]
    marked, run = _marked(attempt.folder), attempt.folder / "run"
    port = _free_port()
    service = f"http://127.0.0.1:{port}" if victim == "server" else "local"
    command = _command(service, run)
    server = _serve(marked, port) if victim == "server" else None
    moment = ground.life.moment(attempt.chance)
    process = start(marked, *command)
    moment.wait(process)
    hit = _kill(victim, process, server)
    if victim == "server" and hit:
        time.sleep(attempt.chance.uniform(0.0, 2.0))
        server = _serve(marked, port)
    state = _state(victim, run) if hit else TOO_LATE if process.poll() is not None else _NO_ENGINE
    lost = [*_ended_badly(process), *unreadable(run)]
    if victim != "server":
        lost += marked.orphans()
    aside = state if "no kill" in state else ""
    if not aside:
        lost += _gone_on_with(marked, command, run, ground)
    if server is not None:
        server.terminate()
        server.communicate(timeout=60)
    lost += marked.orphans()
    return Trial(f"{victim}, {moment}, {state}", lost=tuple(lost), aside=aside)


def _kill(victim: Victim, process: Process, server: "subprocess.Popen[str] | None") -> bool:
    """Kills the victim; False where it wasn't there, or its run had ended."""
    if process.poll() is not None:
        return False
    if victim == "run":
        process.kill()
        return True
    if server is not None:
        server.kill()
        server.communicate()
        return True
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children():
            if "companion" in " ".join(child.cmdline()):
                child.kill()
                return True
    return False


def _ended_badly(process: Process) -> Iterator[str]:
    """What is wrong with how a run ended, whose engine has gone, or which was killed itself."""
    try:
        _, error = process.communicate(timeout=_GIVES_UP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        yield f"the run didn't notice within {_GIVES_UP_WITHIN_S:.0f} s that its engine had gone"
        return
    if "Traceback" in error:
        yield f"a traceback: {error[-2000:]}"
    elif process.wait() > 0 and "geospot: " not in error:
        yield f"exit code {process.returncode} without a sentence: {error[-500:]}"


def _gone_on_with(
    marked: Marked, command: list[str | Path], run: Path, ground: _Ground
) -> list[str]:
    wrong = finish(start(marked, *command))
    lost = [wrong] if wrong else list(unlike(run, ground.whole, "sft"))
    return [*lost, *unreadable(run), *unended_lines(run), *left_over(run)]


def _serve(marked: Marked, port: int) -> "subprocess.Popen[str]":
    """`geospot serve`, once it answers.

    It listens from its first second, and answers when torch and transformers are imported. A training that
    is started between the two waits for 7 s and then says so, as a person would see it.
    """
    server = start(marked, "serve", "--port", str(port))
    end_s = time.monotonic() + _SERVES_WITHIN_S
    while time.monotonic() < end_s and server.poll() is None:
        with suppress(OSError, HTTPException):
            asking = HTTPConnection("127.0.0.1", port, timeout=_SERVES_WITHIN_S)
            asking.request("GET", "/api/v1/healthz")
            if asking.getresponse().status == 200:
                return server
        time.sleep(0.05)
    server.kill()
    raise RuntimeError(f"The server didn't start: {server.communicate()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _state(victim: Victim, run: Path) -> str:
    """How far the run had got."""
    if not (run / "config.json").exists():
        return TOO_EARLY if victim == "run" else "before the run's directory"
    if not (run / "metrics.jsonl").exists():
        return "before its first step"
    steps = f"with {len(rows_of(run))} steps on record"
    return "after its end" if standing(run) == "finished" else steps
