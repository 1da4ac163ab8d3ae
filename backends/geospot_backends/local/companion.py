"""The embedded engine in a process of its own, which ends with the one that started it.

In one process with its client it shares Python's interpreter lock, and with it one core: a supervised
step of the tiny model took 0.20 s there, with 0.08 s of the engine's own work. The two speak over pipes:
one line of JSON says what is wanted, one comes back with the address, and when the first pipe closes,
as it does however the parent ends, the engine stops. What the engine prints from then on comes through
the second pipe, and out at the parent's `sys.stderr`, where a live screen makes room for it.

    python -m geospot_backends.local.companion
"""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, cast

from geospot.errors import BackendError, GeospotError, UsageError
from geospot.services.endpoint import ServiceOptions
from geospot.textsafe import printable

_ENDS_WITHIN_S: Final = 15.0
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}
"""As torch has here (`embedded.make_engine`); numpy's library reads it when it is loaded."""
_SIGNATURE: Final = "geospot-engine "
"""In front of the answer, should a library print something of its own before it."""


class Companion:
    """A running engine. `base_url` is where it answers."""

    def __init__(self, options: ServiceOptions) -> None:
        """Starts it and waits until its models are there: some seconds.

        Raises:
            UsageError: the state folder can't be made, or a model can't be loaded.
            BackendError: the process ended before it answered.
        """
        wanted = {
            "state_dir": str(options.state_dir) if options.state_dir else None,
            "models": list(options.models),
        }
        # Its own session: Ctrl-C is for the parent, which still has something to save.
        # -P: a folder of that name where the person stands is not the engine.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "geospot_backends.local.companion"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=_ONE_THREAD | os.environ,
        )
        try:
            self.base_url = self._ask(wanted)
        except BaseException:
            self._stop()
            if self._process.stdout is not None:
                self._process.stdout.close()
            raise
        self._output = threading.Thread(
            target=_pass_on, args=(self._process.stdout,), name="geospot-engine", daemon=True
        )
        self._output.start()

    @property
    def pid(self) -> int:
        """Of the engine's process."""
        return self._process.pid

    def died(self) -> str | None:
        """A sentence on how the process ended; None while it is there."""
        code = self._process.poll()
        if code is None:
            return None
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was ended by signal {-code} ({signal.strsignal(-code)})"
        return f"The embedded engine {how}."

    def close(self) -> None:
        """Stops it; a second call does nothing."""
        self._stop()
        self._output.join(_ENDS_WITHIN_S)

    def _stop(self) -> None:
        process = self._process
        assert process.stdin is not None  # noqa: S101 - a pipe
        process.stdin.close()
        try:
            process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ask(self, wanted: dict[str, Any]) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - both are pipes
        assert stdout is not None  # noqa: S101
        with suppress(BrokenPipeError):  # it has ended already: there is no answer then
            os.write(stdin.fileno(), json.dumps(wanted).encode() + b"\n")
        for line in stdout:
            text = line.decode(errors="replace")
            if text.startswith(_SIGNATURE):
                answer = cast(dict[str, str], json.loads(text.removeprefix(_SIGNATURE)))
                if "error" in answer:
                    raise UsageError(answer["error"], answer["advice"])
                return answer["base_url"]
        raise BackendError(
            "The embedded engine ended while it was starting "
            f"(exit code {self._process.wait(_ENDS_WITHIN_S)}).",
            "What it printed may say why; is there memory enough?",
        )


def _pass_on(output: IO[bytes]) -> None:
    """Says what the engine prints, until it ends."""
    with output:
        for line in output:
            text = printable(line.decode(errors="replace").rstrip("\n"))
            sys.stderr.write(f"{text}\n")


def main() -> None:
    """What the process does: starts the engine, tells where, and waits for the parent's end."""
    line = sys.stdin.readline()
    if not line:
        return  # the parent has gone
    started, gone = threading.Event(), threading.Event()
    threading.Thread(target=_await_parents_end, args=(started, gone), daemon=True).start()
    gc.disable()  # what torch and transformers make while they are imported stays: 0.7 s of looking
    try:
        server = _serve(cast(dict[str, Any], json.loads(line)))
    except GeospotError as error:
        _tell({"error": error.message, "advice": error.advice})
        return
    gc.freeze()
    gc.enable()
    started.set()
    _tell({"base_url": server.base_url})
    os.dup2(1, 2)  # progress of a download went to the terminal itself
    gone.wait()
    server.close()


def _await_parents_end(started: threading.Event, gone: threading.Event) -> None:
    while os.read(0, 4096):  # nothing is ever sent: it returns when the parent has gone
        pass
    gone.set()
    if not started.is_set():
        os._exit(1)  # an import or a download can't be interrupted, and nobody waits for them


def _serve(wanted: dict[str, Any]) -> Any:
    from geospot_backends.local.api import EngineError
    from geospot_backends.local.embedded import cannot_start, make_engine

    folder = wanted["state_dir"]
    engine = make_engine(Path(folder) if folder else None, wanted["models"])
    from geospot_backends.local.server import EmbeddedServer

    try:
        return EmbeddedServer(engine, engine.checkpoints)
    except EngineError as error:
        raise cannot_start(error) from error


def _tell(answer: dict[str, str]) -> None:
    with suppress(BrokenPipeError):  # the parent has gone
        os.write(1, f"{_SIGNATURE}{json.dumps(answer)}\n".encode())


if __name__ == "__main__":
    main()
