"""What the SDK has to say while a run goes on: into the run's log, and a line of it to the person.

By itself it writes tracebacks to the terminal where a service is away for a moment.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from geospot.errors import GeospotError
from geospot.runs.directory import RunDirectory

LOGGER: Final = "tinker"
_TELL_EVERY_S: Final = 60.0
_SHOWN: Final = 200


@contextmanager
def sdk_speaks_into(directory: RunDirectory, tell: Callable[[str], None]) -> Generator[None]:
    """While it is open, the SDK's warnings are lines of logs.log; the person hears one a minute."""
    logger, handler = logging.getLogger(LOGGER), _IntoLog(directory, tell)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


class _IntoLog(logging.Handler):
    """One line a record, its traceback cut down to what was raised."""

    def __init__(self, directory: RunDirectory, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._directory = directory
        self._tell = tell
        self._told_s = -_TELL_EVERY_S

    def emit(self, record: logging.LogRecord) -> None:
        line = f"tinker SDK: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            raised = record.exc_info[1]
            line += f" ({type(raised).__name__}: {raised})"
        line = " ".join(line.split())[:_SHOWN]
        try:
            is_error = record.levelno >= logging.ERROR
            self._directory.log(line, level="ERROR" if is_error else "WARNING")
        except GeospotError:
            return  # a full disk: the run's own next line will say so
        if time.monotonic() - self._told_s >= _TELL_EVERY_S:
            self._told_s = time.monotonic()
            self._tell(f"{line}; logs.log has the rest.")
