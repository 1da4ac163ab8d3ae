"""What the server logs as its own fault, kept for who drives it."""

import logging
import threading
from typing import Final

SERVER_LOG: Final = logging.getLogger("geospot_backends")


class Faults(logging.Handler):
    """Whatever the server logs as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._lock = threading.Lock()
        self._said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps it."""
        with self._lock:
            self._said.append(f"{record.getMessage()} {record.exc_info}")

    def taken(self) -> list[str]:
        """What came since the last call."""
        with self._lock:
            said, self._said = self._said, []
        return said
