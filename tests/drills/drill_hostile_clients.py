"""Clients that speak HTTP badly, over real sockets: many at once to one server, which has to outlive them.

Half of them say what is HTTP, in pieces, pipelined, in chunks, slowly, or cut off, and get the answers that
are due. The other half's bytes were broken on the way: whatever answer comes has to be well-formed. In the
end the server is well, has logged no fault of its own, and holds no connection.
"""

import random
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.drills.conversations import (
    ANSWERED_WITHIN_S,
    Conversation,
    converse,
    hold,
    request,
    wrong_with,
)
from tests.drills.drill import Attempt, Session, Trial, drill
from tests.drills.faults import SERVER_LOG, Faults
from tests.drills.run_reader import broken
from tests.support.scripted_engine import ScriptedEngine

_AT_ONCE: Final = 8
_FILES_SPARE: Final = 4


@dataclass(frozen=True, slots=True)
class Served:
    """A real server on a real socket, and what it said of its own faults."""

    server: EmbeddedServer
    port: int
    faults: Faults

    def connections(self) -> int:
        """How many it holds open."""
        return len(self.server._server._http._connections)  # pyright: ignore[reportPrivateUsage]


@contextmanager
def served(folder: Path) -> Generator[Served]:
    """Serves a scripted engine until the block ends."""
    faults = Faults()
    SERVER_LOG.addHandler(faults)
    try:
        with EmbeddedServer(ScriptedEngine(), CheckpointStore(folder)) as server:
            yield Served(server, urlsplit(server.base_url).port or 0, faults)
    finally:
        SERVER_LOG.removeHandler(faults)


@drill("clients over sockets that speak HTTP badly", times=200_000, short=400)
def hostile_clients(session: Session) -> Iterator[Trial]:
    """Each trial is a conversation; the server is the same for all."""
    folder = session.folder / "state"
    folder.mkdir(parents=True)
    with served(folder) as there:
        files = _open_files()
        yield from session.repeat(lambda attempt: _talked(attempt, there), side_by_side=_AT_ONCE)
        yield Trial("the server in the end", 0, tuple(_left(there, files)))


def _talked(attempt: Attempt, there: Served) -> Trial:
    chance = attempt.chance
    made = converse(chance)
    is_broken = chance.random() < 0.5
    try:
        if is_broken:
            lost = _wrong_when_broken(hold(there.port, _broken(made, chance)))
        else:
            said = hold(there.port, made)
            lost = [] if said is None else wrong_with(said, made)
    except TimeoutError:
        lost = [f"no answer, and no end, within {ANSWERED_WITHIN_S:.0f} s"]
    lost += _unwell(there, chance)
    data = b"".join(made.pieces)
    what = f"{len(made.asks)} requests, {made.ending}{', broken' * is_broken}"
    return Trial(what, 1, (*lost, *([f"said: {data[:2000]!r}"] if lost else [])))


def _broken(made: Conversation, chance: random.Random) -> Conversation:
    """The same with accidents in its bytes."""
    return replace(made, pieces=tuple(broken(piece, chance) for piece in made.pieces))


def _wrong_when_broken(said: bytes | None) -> list[str]:
    """Nobody knows what was asked: each answer has a head, and none is the server's own fault."""
    if not said:
        return []
    if not said.startswith(b"HTTP/1.1 "):
        return [f"no HTTP: {said[:300]!r}"]
    return [f"the server's own fault: {said[:300]!r}"] * (b"HTTP/1.1 500" in said)


def _unwell(there: Served, chance: random.Random) -> list[str]:
    """Whether a client who behaves is still served, and what the server says of itself."""
    data = request(chance, b"GET", b"healthz", b"")
    said = hold(there.port, Conversation((), (data,), (0.0,), "half-closed", len(data))) or b""
    lost = [f"a fault of the server's own: {fault}" for fault in there.faults.taken()]
    return lost + [f"it isn't well: {said[:200]!r}"] * (not said.startswith(b"HTTP/1.1 200"))


def _left(there: Served, files: int) -> Iterator[str]:
    end_s = time.monotonic() + ANSWERED_WITHIN_S
    while there.connections() and time.monotonic() < end_s:
        time.sleep(0.02)
    if left := there.connections():
        yield f"{left} connections are still open"
    if (now := _open_files()) > files + _FILES_SPARE:
        yield f"{now} files are open, {files} before"


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
