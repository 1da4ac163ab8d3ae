"""What the SDK has to say, line by line, to somebody of ours.

By itself it writes tracebacks to the terminal where a service is away for a moment.
"""

import logging
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

LOGGER: Final = "tinker"
_SPEAK_LAST: Final = ("asyncio", f"{LOGGER}.lib.internal_client_holder", f"{LOGGER}.lib.telemetry")
_TELL_EVERY_S: Final = 60.0
_SHOWN: Final = 200
_ENDED: Final = re.compile("cannot schedule new futures after (interpreter )?shutdown")
_FAILED: Final = "Request failed with non-retryable error"
"""So begins what the SDK logs of an error that it raises as well."""


def leave_the_end_unsaid() -> None:
    """No traceback on the terminal of what the SDK still had to do when the process ended.

    Its loop has a thread that isn't waited for. What it begins after Python has closed its threads, such
    as telling its server about errors, fails in a task that nobody looks at, or is a warning. Who writes
    one at that moment may hold the lock of the terminal's stream, and Python ends by SIGABRT.
    """
    for name in _SPEAK_LAST:
        logging.getLogger(name).addFilter(_is_said)


@contextmanager
def sdk_heard(hear: Callable[[str, bool], None]) -> Generator[None]:
    """While it is open, each of the SDK's warnings is told in a line, and nothing goes to the terminal.

    Args:
        hear: told the line, and whether it is an error.
    """
    logger, handler = logging.getLogger(LOGGER), _Lines(hear)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def now_and_then(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Tells one line a minute, and leaves out the rest."""
    told_s = -_TELL_EVERY_S

    def tell_rarely(line: str) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= _TELL_EVERY_S:
            told_s = time.monotonic()
            tell(line)

    return tell_rarely


def unless_raised(tell: Callable[[str], None]) -> Callable[[str, bool], None]:
    """Tells a line now and then; for callers that report themselves what the SDK raises."""
    rarely = now_and_then(tell)

    def hear(line: str, is_error: bool) -> None:
        del is_error
        if _FAILED not in line:
            rarely(line)

    return hear


def _is_said(record: logging.LogRecord) -> bool:
    raised = record.exc_info[1] if record.exc_info else None
    return not (isinstance(raised, RuntimeError) and _ENDED.fullmatch(str(raised)))


class _Lines(logging.Handler):
    """One line a record, its traceback cut down to what was raised."""

    def __init__(self, hear: Callable[[str, bool], None]) -> None:
        super().__init__(logging.WARNING)
        self._hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        line = f"tinker SDK: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            raised = record.exc_info[1]
            line += f" ({type(raised).__name__}: {raised})"
        line = " ".join(line.split())[:_SHOWN]
        self._hear(line, record.levelno >= logging.ERROR)
