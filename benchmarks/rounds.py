"""Ways to do the same work in one process, which take turns by the clock."""

import time
from collections.abc import Callable


def alternate(
    rounds: int, *ways: Callable[[], object], wait: Callable[[], None] = lambda: None
) -> list[list[float]]:
    """Seconds of each way, round by round, after one that doesn't count; a busy machine slows all alike.

    Args:
        wait: returns when what was begun is done, for work that goes on behind a call.
    """
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for way, taken in zip(ways, seconds, strict=True):
            wait()
            began_s = time.perf_counter()
            way()
            wait()
            taken.append(time.perf_counter() - began_s)
    return [taken[1:] for taken in seconds]
