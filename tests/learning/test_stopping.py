"""A signal asks for the end, a second one makes it; in a process of its own, since it dies of it."""

import signal
import subprocess
import sys
from typing import IO

import pytest

PROGRAM = """
import asyncio, sys
from geospot.learning.stopping import stop_on_signals

async def main():
    with stop_on_signals(lambda line: print(line, flush=True)) as stop:
        print("ready", flush=True)
        while not (stop.is_set and sys.argv[1] == "finish"):
            await asyncio.sleep(0.01)
        return stop.exit_code

sys.exit(asyncio.run(main()))
"""


def _started(how: str, *under: str) -> tuple[subprocess.Popen[str], IO[str]]:
    child = subprocess.Popen(
        [*under, sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child, child.stdout


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_first_signal_lets_the_step_be_finished(number: signal.Signals, code: int) -> None:
    child, out = _started("finish")
    child.send_signal(number)
    assert child.wait(120) == code
    assert out.read().startswith(f"{number.name}: finishing the step and saving")
    out.close()


def test_a_terminal_that_goes_is_told_of_twice_and_the_step_is_finished() -> None:
    child, out = _started("never")
    for _ in range(2):  # by the kernel and by the shell
        child.send_signal(signal.SIGHUP)
    assert "finishing" in out.readline()
    child.send_signal(signal.SIGHUP)
    child.send_signal(signal.SIGTERM)
    assert child.wait(120) == -signal.SIGTERM
    out.close()


def test_the_second_signal_ends_at_once() -> None:
    child, out = _started("never")
    child.send_signal(signal.SIGTERM)
    assert "finishing" in out.readline()
    child.send_signal(signal.SIGTERM)
    assert child.wait(120) == -signal.SIGTERM
    out.close()


def test_what_was_started_to_outlive_its_terminal_does() -> None:
    child, out = _started("finish", "nohup")
    child.send_signal(signal.SIGHUP)
    child.send_signal(signal.SIGTERM)
    assert child.wait(120) == 128 + signal.SIGTERM
    assert out.read().startswith("SIGTERM: finishing the step and saving")
    out.close()
