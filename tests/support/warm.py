"""`geospot` again and again, each time in a process of its own that has its imports behind it.

A command spends most of a small task's time on imports (tinker brings torch: 1.6 s). One interpreter imports
them once, starts no thread of Python's, and forks for each command. The child runs the program as
`python -m geospot` does, and what is to be done at the end; it only doesn't take the interpreter apart.
"""

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

_IMPORTS: Final = ("tinker", "openai", "geospot.sft", "geospot.train", "geospot.cli.eval")


class Warm:
    """Runs commands. Its environment, and each command's, are the person's; keys are given by name."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._files = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
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
        files = {name: Path(self._files.name) / name for name in ("in", "out", "err")}
        for path in files.values():
            path.write_text("")
        files["in"].write_text(given)
        order = {"words": [*map(str, words)], "cwd": str(cwd), "env": dict(env)}
        order |= {name: str(path) for name, path in files.items()}
        told = _pipe(self._process.stdin)
        told.write(json.dumps(order) + "\n")
        told.flush()
        code = int(_pipe(self._process.stdout).readline())
        out, err = (files[name].read_text(errors="replace") for name in ("out", "err"))
        return subprocess.CompletedProcess(["geospot", *map(str, words)], code, out, err)


def _pipe(end: IO[str] | None) -> IO[str]:
    assert end is not None
    return end


def main() -> None:
    """Forks for each line that comes, and answers with the exit code."""
    for name in _IMPORTS:
        import_module(name)
    assert threading.active_count() == 1
    gc.freeze()  # a child's collector would copy every page
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_run(order))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


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
