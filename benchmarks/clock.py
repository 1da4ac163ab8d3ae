"""How a clocked service keeps time, what it saw, and how one is started (`benchmarks.clocked_service`)."""

import hashlib
import json
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

MODEL: Final = "Qwen/Qwen3-VL-30B-A3B-Instruct"
"""Its renderer, image sizes and recipe are used; the tokenizer is the tiny model's."""

_FAST_S: Final = 6.0
_SPREAD_S: Final = 2.0
_SIGMA: Final = 0.8


def latency_s(photo: bytes, first: int, count: int) -> float:
    """How long a call about a photo takes: the slowest of its answers.

    An answer takes 6 s and a log-normal time with a median of 2 s: 8 s at the median, 13 s for one in
    ten, 20 s for one in a hundred. The answers about a photo are numbered, and so one call of G samples
    takes as long as the slowest of G calls of one.
    """
    digest = hashlib.sha256(photo).digest()
    return max(_answer_s(digest, number) for number in range(first, first + count))


def _answer_s(digest: bytes, number: int) -> float:
    draw = random.Random(digest + number.to_bytes(4, "big"))
    return _FAST_S + _SPREAD_S * draw.lognormvariate(0.0, _SIGMA)


@dataclass(frozen=True, slots=True)
class Clock:
    """How time passes. `origin_s`: of the first tick, on the system's monotonic clock."""

    cycle_s: float
    scale: float
    origin_s: float = field(default_factory=time.monotonic)

    def tick_after(self, moment_s: float) -> float:
        """The first tick after a moment, on the same clock."""
        if not self.cycle_s:
            return moment_s
        return self.origin_s + self.cycle_s * ((moment_s - self.origin_s) // self.cycle_s + 1)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a service saw; moments are seconds on the system's monotonic clock.

    `requests` are moment, route and bytes of the body; `answered_s` when each sample call was answered.
    """

    clock: Clock
    requests: list[tuple[float, str, int]]
    answered_s: list[float]

    def count(self, route: str) -> int:
        """How many requests there were."""
        return sum(1 for _, to, _ in self.requests if to == route)

    def up_bytes(self, route: str | None = None) -> int:
        """Bytes of the requests' bodies; of all routes if none is named."""
        return sum(size for _, to, size in self.requests if route in (None, to))

    def moments_s(self, route: str) -> list[float]:
        """When they came."""
        return [moment for moment, to, _ in self.requests if to == route]


def look(url: str) -> Seen:
    """What the service at the URL has seen so far."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/bench") as answer:
        found: dict[str, Any] = json.load(answer)
    requests = [(at, route, size) for at, route, size in found["requests"]]
    return Seen(Clock(**found["clock"]), requests, found["answered_s"])


@contextmanager
def services(*clocks: tuple[float, float]) -> Generator[list[str]]:
    """The addresses of services in processes of their own, given cycle in seconds and scale."""
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.clocked_service", str(cycle), str(scale)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for cycle, scale in clocks
        ]
        urls: list[str] = []
        for one in running:
            assert one.stdout is not None
            urls.append(one.stdout.readline().strip())
        yield urls
        for one in running:
            assert one.stdin is not None
            one.stdin.close()
