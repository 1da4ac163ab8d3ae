"""What must hold of the server's answers to bytes that come over a socket, cut up as they tell.

`check` takes any bytes: the first says how the connection ends, the second how the rest is cut; that is then
said as it is, so that a fuzzer makes up pipelines, chunks and heads of its own.
"""

import atexit
import random
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.drills.conversations import Conversation, Ending, hold
from tests.drills.drill_hostile_clients import Served, served

_ENDINGS: tuple[Ending, ...] = ("half-closed", "half-closed", "closed", "reset")
_HEALTHY = b"GET /api/v1/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_there: list[Served] = []


def _server() -> Served:
    if not _there:
        folder, stack = tempfile.mkdtemp(prefix="geospot-fuzz-"), ExitStack()
        _there.append(stack.enter_context(served(Path(folder))))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        atexit.register(stack.close)
    return _there[0]


def check(data: bytes) -> None:
    """Says the bytes, and then asks whether the server is well.

    Raises:
        AssertionError: an answer is no HTTP or a fault of the server's own, or it isn't well.
    """
    there, rest = _server(), data[2:]
    chance = random.Random(data[1] if len(data) > 1 else 0)
    cuts = sorted(chance.randrange(len(rest) + 1) for _ in range(chance.randrange(8)))
    pieces = tuple(rest[a:b] for a, b in zip([0, *cuts], [*cuts, len(rest)], strict=True))
    ending = _ENDINGS[data[0] % len(_ENDINGS)] if data else "closed"
    said = hold(there.port, Conversation((), pieces, (0.0,) * len(pieces), ending, len(rest)))
    assert not said or said.startswith(b"HTTP/1.1 "), said
    assert not said or b"HTTP/1.1 500" not in said, said
    well = hold(there.port, Conversation((), (_HEALTHY,), (0.0,), "half-closed", len(_HEALTHY)))
    assert well, "no answer"
    assert well.startswith(b"HTTP/1.1 200"), well
    assert not (faults := there.faults.taken()), faults
