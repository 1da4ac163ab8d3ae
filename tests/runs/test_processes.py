"""A process is told from another that gets its number later, and no other is signalled."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator

import psutil
import pytest

from geospot.runs import processes
from geospot.runs.processes import birth_of, boot_of, created_s, owner_of, signal_process, this_boot


@pytest.fixture
def child() -> Generator["subprocess.Popen[bytes]"]:
    """A process that sleeps."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(params=["pidfd", "kill", "another system"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Linux, Linux as it was before it had descriptors of processes, and a system without /proc."""
    if request.param != "pidfd":
        monkeypatch.setattr(processes, "_HAS_PIDFD", False)
    if request.param == "another system":
        monkeypatch.setattr(processes, "this_boot", str)
    return request.param


def test_the_birth_of_a_process_stays_and_is_no_others(
    child: "subprocess.Popen[bytes]", system: str
) -> None:
    del system
    birth = birth_of(child.pid)
    assert birth
    assert birth == birth_of(child.pid)
    assert birth != birth_of(os.getpid())
    child.kill()
    deadline_s = time.monotonic() + 120
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline_s
    assert birth_of(child.pid) == ""  # over, though its parent hasn't noticed yet
    child.wait()
    assert birth_of(child.pid) == ""


def test_only_the_process_of_this_birth_is_signalled(
    child: "subprocess.Popen[bytes]", system: str
) -> None:
    del system
    birth = birth_of(child.pid)
    assert not signal_process(child.pid, birth_of(os.getpid()), signal.SIGKILL)
    assert not signal_process(child.pid, f"{birth}1", signal.SIGKILL)
    assert not signal_process(child.pid, "", signal.SIGKILL)
    time.sleep(0.1)
    assert child.poll() is None
    assert signal_process(child.pid, birth, signal.SIGTERM)
    assert child.wait(120) == -signal.SIGTERM
    assert not signal_process(child.pid, birth, signal.SIGTERM)


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**31, 2**64])
def test_numbers_that_name_no_process(pid: int, system: str) -> None:
    del system
    # A signal that does nothing: 0 and -1 mean a group of processes, and all of them.
    assert birth_of(pid) == ""
    assert not signal_process(pid, "", signal.SIGCONT)
    assert not signal_process(pid, "boot/1", signal.SIGCONT)
    assert (created_s(pid), owner_of(pid)) == (None, None) or pid == 0


def test_what_is_known_of_a_process(child: "subprocess.Popen[bytes]") -> None:
    created = created_s(child.pid)
    assert created is not None
    assert abs(created - time.time()) < 60
    assert owner_of(child.pid) == os.getuid()
    if this_boot():
        assert boot_of(birth_of(child.pid)) == this_boot()
