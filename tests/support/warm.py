"""`geospot` again and again, each time in a process of its own that has its imports behind it.

A command spends most of a small task's time on imports (tinker brings torch: 1.6 s). One interpreter imports
them once, starts no thread of Python's, and forks for each command. The child runs the program as
`python -m geospot` does, and what is to be done at the end; it only doesn't take the interpreter apart.
"""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

CLIENT: Final = (
    "tinker",
    "openai",
    "geospot.sft",
    "geospot.train",
    "geospot.cli.eval",
    "geospot.data.world.render",
    "geospot_backends.tinker_sampler",
    "scipy.spatial",
    "transformers.models.auto.tokenization_auto",
)
"""What commands import that speak to a service, some of it late."""
ENGINE: Final = (
    "geospot.cli.serve",
    "geospot_backends.local.engine",
    "geospot_backends.local.server",
    "peft",
    "transformers.models.qwen3_vl.modeling_qwen3_vl",
)
"""What `geospot serve` imports, with all that the tiny model needs of transformers."""


class Started:
    """A command under way, with the parts of `subprocess.Popen` that tests use; what it says is in files.

    It isn't this process's child, so its end is told by whoever waits for it, in one more file.
    """

    def __init__(self, pid: int, files: Mapping[str, Path]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._files = files

    def poll(self) -> int | None:
        """Its exit code; None while it is there."""
        if self.returncode is None and self._files["end"].exists():
            self.returncode = int(self._files["end"].read_text())
        return self.returncode

    def wait(self, timeout: float = 600.0) -> int:
        """Its exit code, once it has ended; raises TimeoutExpired where it doesn't in time."""
        end_s = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end_s:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Sends it a signal; nothing if it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended just now
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 600.0) -> tuple[str, str]:
        """Waits for its end; all that it said, on its output and its standard error."""
        self.wait(timeout)
        out, err = (self._files[name].read_text(errors="replace") for name in ("out", "err"))
        return out, err

    def error_lines(self) -> Generator[str]:
        """Lines of its standard error as they come, until it ends."""
        with self._files["err"].open(errors="replace") as file:
            while True:
                is_over = self.poll() is not None
                yield from iter(file.readline, "")  # the program writes whole lines
                if is_over:
                    return
                time.sleep(0.01)


class Warm:
    """Runs commands. Its environment, and each command's, are the person's; keys are given by name.

    Args:
        imports: what is imported beforehand.
    """

    def __init__(self, env: Mapping[str, str], imports: Sequence[str] = CLIENT) -> None:
        self._files = tempfile.TemporaryDirectory()
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *imports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )

    def __enter__(self) -> "Warm":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _pipe(self._process.stdin).close()
        self._process.wait()
        _pipe(self._process.stdout).close()
        self._files.cleanup()

    def run(
        self, words: Sequence[str | Path], cwd: Path, env: Mapping[str, str], *, given: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """`geospot` with these words, run to its end.

        Args:
            given: what it reads at its standard input.
        """
        started = self.start(words, cwd, env, given=given)
        try:
            out, err = started.communicate()
        except BaseException:  # the time of the test that asked is over
            started.kill()
            raise
        return subprocess.CompletedProcess(["geospot", *map(str, words)], started.wait(), out, err)

    def start(
        self, words: Sequence[str | Path], cwd: Path, env: Mapping[str, str], *, given: str = ""
    ) -> Started:
        """The same, running on."""
        place = Path(tempfile.mkdtemp(dir=self._files.name))
        files = {name: place / name for name in ("in", "out", "err", "end")}
        for name in ("in", "out", "err"):
            files[name].write_text("")
        files["in"].write_text(given)
        order = {"words": [*map(str, words)], "cwd": str(cwd), "env": dict(env)}
        order |= {name: str(path) for name, path in files.items()}
        told = _pipe(self._process.stdin)
        with self._asking:
            told.write(json.dumps(order) + "\n")
            told.flush()
            pid = int(_pipe(self._process.stdout).readline())
        return Started(pid, files)


def _pipe(end: IO[str] | None) -> IO[str]:
    assert end is not None
    return end


def main() -> None:
    """Forks for each line that comes, and answers with the new process's number."""
    for name in sys.argv[1:]:
        import_module(name)
    assert threading.active_count() == 1
    gc.freeze()  # a child's collector would copy every page
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who wait are not waited for
    for line in sys.stdin:
        order = json.loads(line)
        if os.fork() == 0:
            _wait_for_one(order)
            os._exit(0)


def _wait_for_one(order: Mapping[str, Any]) -> None:
    """Starts the command, says which process it is, and writes down how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        os._exit(_run(order))
    print(child, flush=True)  # noqa: T201
    # Written down first, then collected: while it isn't known to have ended, its number is nobody else's.
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    draft = Path(order["end"]).with_suffix(".draft")
    draft.write_text(str(code))
    draft.replace(order["end"])


def _run(order: Mapping[str, Any]) -> int:
    """The program, to its end; its exit code."""
    from geospot.cli import main as program

    _become(order)
    code: object = 0
    try:
        program()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code if isinstance(code, int) else int(code is not None)


def _become(order: Mapping[str, Any]) -> None:
    """The child's own folder, environment, words and streams."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["geospot", *order["words"]]
    sys.modules["__main__"].__package__ = ""  # or help would name this module as the program
    modes = {"in": os.O_RDONLY, "out": os.O_WRONLY, "err": os.O_WRONLY}
    for number, (name, mode) in enumerate(modes.items()):
        opened = os.open(order[name], mode)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    main()
