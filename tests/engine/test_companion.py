"""The embedded engine's own process: it answers, and it never outlives who started it."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from geospot.errors import UsageError
from geospot.services.endpoint import ServiceOptions
from geospot_backends.local.companion import Companion
from geospot_backends.local.embedded import service
from tests.support.evaluating import wait_for

_PARENT = """
import sys, time
from pathlib import Path
from geospot.services.endpoint import ServiceOptions
from geospot_backends.local.companion import Companion
companion = Companion(ServiceOptions(state_dir=Path(sys.argv[1])))
print(companion.pid, companion.base_url, flush=True)
time.sleep(600)
"""

_COMPANION = "from geospot_backends.local import companion"
_STUCK = "import time; companion._serve = lambda wanted: time.sleep(600)"
_NOISY = """
import os, sys
from geospot_backends.local import companion, server

class Noisy(server.EmbeddedServer):
    def close(self):
        sys.stderr.write("a bell\\a\\n")
        for _ in range(2000):
            os.write(1, b"x" * 99 + b"\\n")  # more than a pipe holds
        super().close()

server.EmbeddedServer = Noisy
companion.main()
"""


def _is_healthy(url: str) -> bool:
    return httpx.get(f"{url}/api/v1/healthz", timeout=60.0).status_code == 200


def _is_there(pid: int) -> bool:
    """Whether the process lives; one that only waits to be collected doesn't."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # gone, or gone while it was read
        return False
    return state != "Z"


def _ends(pid: int, within_s: float = 120.0) -> bool:
    ends_s = time.monotonic() + within_s
    while _is_there(pid) and time.monotonic() < ends_s:
        time.sleep(0.05)
    return not _is_there(pid)


def test_it_answers_until_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a folder of the person's has its name; and numpy multiplies on one thread there."""
    (tmp_path / "geospot_backends").mkdir()
    (tmp_path / "geospot_backends" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    companion = Companion(ServiceOptions(state_dir=tmp_path / "state"))
    assert companion.pid != os.getpid()
    assert _is_healthy(companion.base_url)
    environment = Path(f"/proc/{companion.pid}/environ")
    if environment.exists():  # not every system shows environments
        assert b"OPENBLAS_NUM_THREADS=1" in environment.read_bytes().split(b"\0")
    companion.close()
    companion.close()
    assert not _is_there(companion.pid)


def test_it_ends_when_its_parent_is_killed_and_not_by_its_ctrl_c(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    assert os.getpgid(int(pid)) != os.getpgid(parent.pid)  # Ctrl-C goes to the terminal's group
    assert _is_healthy(url)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert _ends(int(pid))


@pytest.mark.parametrize("changed", ["", _STUCK])
def test_it_ends_without_a_word_when_its_parent_goes_while_it_starts(
    changed: str, tmp_path: Path
) -> None:
    engine = subprocess.Popen(
        [sys.executable, "-c", f"{_COMPANION}\n{changed}\ncompanion.main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert engine.stdin is not None
    assert engine.stdout is not None
    assert engine.stderr is not None
    engine.stdin.write(b'{"state_dir": "%s", "models": []}\n' % bytes(tmp_path / "state"))
    engine.stdin.close()
    engine.stdout.close()
    engine.wait(120)
    assert engine.stderr.read() == b""
    engine.stderr.close()


def test_what_it_prints_is_read_and_comes_out_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    started = subprocess.Popen
    monkeypatch.setattr(
        "subprocess.Popen",
        lambda _command, **more: started([sys.executable, "-c", _NOISY], **more),  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    )
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    companion = Companion(ServiceOptions(state_dir=tmp_path / "state"))
    companion.close()
    assert companion.died() == "The embedded engine ended with exit code 0."
    assert "a bell\\x07\n" in screen.getvalue()
    assert screen.getvalue().count("x" * 99 + "\n") == 2000
    assert capfd.readouterr().err == ""  # nothing past the screen


def test_what_it_cannot_serve_is_said_in_a_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="config"):
        Companion(ServiceOptions(state_dir=tmp_path / "state", models=(str(empty),)))
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(UsageError, match="state folder"):
        Companion(ServiceOptions(state_dir=taken))


def test_whoever_asks_for_the_same_engine_shares_it_until_the_last_lets_go_or_it_dies(
    tmp_path: Path,
) -> None:
    options = ServiceOptions(state_dir=tmp_path / "state")
    first, second = service(options), service(options)
    assert first.base_url == second.base_url
    first.stop()
    first.stop()  # lets go once
    assert _is_healthy(second.base_url)
    elsewhere = service(ServiceOptions(state_dir=tmp_path / "other"))
    assert elsewhere.base_url != second.base_url
    elsewhere.stop()
    second.stop()
    with pytest.raises(httpx.ConnectError):
        _is_healthy(second.base_url)

    before = _engines()
    third = service(options)
    assert third.died() is None
    assert _is_healthy(third.base_url)
    [pid] = _engines() - before  # other tests' engines may be there
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: third.died() is not None)  # its last threads may end later than it seems gone
    assert third.died() == "The embedded engine was ended by signal 9 (Killed)."
    fourth = service(options)
    assert fourth.died() is None
    third.stop()
    assert _is_healthy(fourth.base_url)
    fourth.stop()


def _engines() -> set[int]:
    """Engines' processes that this one started."""
    engines: set[int] = set()
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # others of its children may be ending just now
            if "companion" in " ".join(child.cmdline()):
                engines.add(child.pid)
    return engines
