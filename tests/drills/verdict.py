"""How a command ended: with nothing, or with one clear sentence, what to do, and its exit code."""

import re
from typing import Final

TRACES: Final = ("Traceback (most recent call last)", "Exception ignored", "Exception in thread")
_FAILED: Final = (1, 2, 3)
_SPEAKS: Final = ("geospot: ", "Warning: Stopped before the end: ")
_ADVISES: Final = re.compile(r"[.:)] +[A-Z`]")
"""A second sentence, which says what to do."""


def said_wrongly(code: int, said: str, *, may_fail: bool) -> list[str]:
    """What is wrong with how a command ended.

    Args:
        said: all that it printed.
        may_fail: whether it may end with a sentence.
    """
    if any(trace in said for trace in TRACES):
        return [f"a traceback: {said[-3000:]}"]
    if code == 0:
        return []
    if not may_fail or code not in _FAILED:
        return [f"exit code {code}: {said[-2000:]}"]
    sentences = [line for line in said.splitlines() if line.startswith(_SPEAKS)]
    if not any(_ADVISES.search(sentence) for sentence in sentences):
        return [f"no sentence with advice: {said[-1000:]}"]
    return []
