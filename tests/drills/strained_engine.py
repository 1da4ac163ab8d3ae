"""The embedded engine where its checkpoints can't be written, and a server that can open nothing more."""

import re
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final
from urllib.parse import urlsplit

import httpx

from tests.drills.drill import Attempt
from tests.drills.errands import Ground, litter, training
from tests.drills.killing import finish, start, torn_files
from tests.drills.processes import Marked
from tests.drills.troubles import FewFiles, FullDisk, until
from tests.drills.verdict import said_wrongly
from tests.support.evaluating import start_geospot
from tests.support.learning import embedded_url

_CONNECTIONS: Final = 30
_SERVES: Final = re.compile(r"at (http://\S+)")
_ANSWERS_WITHIN_S: Final = 120.0


def full_disk_of_the_checkpoints(attempt: Attempt, made: Ground) -> list[str]:
    """The engine's disk is full while a run saves there; the run's own isn't."""
    disk, marked, out = FullDisk(attempt.folder, attempt.chance), Marked(), attempt.folder / "out"
    whole = made.whole(made.errands["sft"])
    disk.open()
    try:
        with embedded_url(disk.place / "state") as service:
            what = training("sft", lambda: service)
            process = start(marked, *what.command(out))
            until(lambda: what.is_under_way is None or what.is_under_way(out), process)
            disk.begin(process)
            said = "".join(process.communicate(timeout=180))
            lost = said_wrongly(process.returncode, said, may_fail=True)
            disk.end()
            wrong = finish(start(marked, *what.command(out)))
            lost += [wrong] if wrong else what.differs(out, whole)
        return [*lost, *torn_files(attempt.folder), *litter(attempt.folder), *marked.orphans()]
    finally:
        disk.close()


def no_files_for_connections(attempt: Attempt, made: Ground) -> list[str]:
    """More connections are made to a server than it can open; later it can open them again."""
    del made
    marked, few = Marked(), FewFiles(attempt.folder, attempt.chance)
    command = ("serve", "--port", "0", "--state-dir", attempt.folder / "state")
    process = start_geospot(*command, env=marked.environment)
    assert process.stderr is not None
    lines = iter(process.stderr)
    found = next(filter(None, map(_SERVES.search, lines)), None)
    if found is None:
        return [f"it doesn't serve: {process.communicate()}"]
    few.begin(process)
    address = urlsplit(found[1])
    with ExitStack() as stack:
        for _ in range(_CONNECTIONS):
            place = (address.hostname or "", address.port or 0)
            stack.enter_context(socket.create_connection(place, timeout=60.0))
        time.sleep(attempt.chance.uniform(0.5, 2.0))
    _, hardest = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (hardest, hardest))
    lost = list(_silent(found[1]))
    process.terminate()
    said = "".join(process.communicate(timeout=120))
    lost += said_wrongly(process.returncode, said, may_fail=False)
    return [*lost, *litter(attempt.folder), *marked.orphans()]


def _silent(base_url: str) -> Iterator[str]:
    """Says so where a server doesn't answer any more."""
    try:
        answer = httpx.get(f"{base_url}/api/v1/healthz", trust_env=False, timeout=_ANSWERS_WITHIN_S)
    except httpx.HTTPError as error:
        yield f"it answers no more: {error!r}"
        return
    if answer.status_code != 200:
        yield f"it answers {answer.status_code}"
