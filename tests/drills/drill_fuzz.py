"""Coverage-guided fuzzing of the parser and of the server's wire; broken run directories, read.

The fuzzers need atheris (tests/drills/requirements.txt); where it isn't, they say that they are lost.
What they found worth keeping lies in `corpus/`, and is tried again by the tests.
"""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.drills.conversations import converse
from tests.drills.drill import Session, Trial, drill
from tests.drills.run_reader import read_broken_run

CORPUS: Final = Path(__file__).with_name("corpus")
_ABSENT: Final = "atheris isn't installed: pip install -r tests/drills/requirements.txt"
_A_TIME: Final = 250_000
"""Inputs that one process tries."""
_DONE: Final = re.compile(r"Done (\d+) runs")
_LONGEST_INPUT: Final = 1500
_FIRST: Final = 300
"""Conversations that a fuzzer of the socket begins with."""


@drill("answers made up by a fuzzer, parsed", times=6_000_000, short=0)
def fuzz_parser(session: Session) -> Iterator[Trial]:
    """No crash, no hang, and what must hold of every answer."""
    yield from _fuzzed(session, "parser")


@drill("requests made up by a fuzzer, answered by the server", times=3_000_000, short=0)
def fuzz_server(session: Session) -> Iterator[Trial]:
    """Never anything but well-formed HTTP, and never a fault of the server's own."""
    yield from _fuzzed(session, "server")


@drill("bytes made up by a fuzzer, said to the server over a socket", times=500_000, short=0)
def fuzz_socket(session: Session) -> Iterator[Trial]:
    """The same, over a real connection that is cut up, half closed, closed or reset."""
    first = [
        b"\0\0" + b"".join(ask.data for ask in converse(session.chance(number)).asks)
        for number in range(_FIRST)
    ]
    yield from _fuzzed(session, "socket", first)


@drill("broken run directories, read", times=1_000_000, short=60)
def broken_runs(session: Session) -> Iterator[Trial]:
    """Files cut anywhere, changed, doubled: readers give rows or a sentence, and the same twice."""
    yield from session.repeat(read_broken_run)


def _fuzzed(session: Session, name: str, first: Sequence[bytes] = ()) -> Iterator[Trial]:
    if importlib.util.find_spec("atheris") is None:
        yield Trial(name, 0, lost=(_ABSENT,))  # what was asked for wasn't tried
        return
    found, kept = session.folder / "found", CORPUS / name
    found.mkdir(parents=True)
    for number, data in enumerate(first):
        (found / f"first-{number}").write_bytes(data[:_LONGEST_INPUT])
    done = 0
    while done < session.times:
        wanted = min(_A_TIME, session.times - done)
        command = [
            *(sys.executable, "-m", "tests.drills.fuzz", name, f"-runs={wanted}", "-timeout=20"),
            *(f"-max_len={_LONGEST_INPUT}", f"-seed={session.seed + done + 1}"),
            *(f"-artifact_prefix={session.folder}/lost-", str(found)),
            *([str(kept)] if kept.is_dir() else []),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        counted = _DONE.search(ended.stderr)
        tried = int(counted[1]) if counted else 0
        lost = () if ended.returncode == 0 and tried else (ended.stderr[-3000:],)
        done += max(tried, 1) if not lost else session.times
        yield Trial(f"{name}, {len(list(found.iterdir()))} kept", tried, lost)
