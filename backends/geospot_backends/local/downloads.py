"""Files that can be fetched for an hour at an address that nobody can guess."""

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from geospot_backends.local.failures import NotFoundError

_OFFERED_S: Final = 3600.0


class Downloads:
    """Which file is at which address.

    Args:
        prefix: what every address begins with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._offered: dict[str, tuple[float, Path]] = {}

    def offer(self, files: Mapping[str, Path]) -> tuple[dict[str, str], str]:
        """An address for each file, and when they end (UTC, ISO 8601)."""
        now_s = time.time()
        self._offered = {at: what for at, what in self._offered.items() if what[0] > now_s}
        ends_s = now_s + _OFFERED_S
        addresses = {name: self._prefix + secrets.token_urlsafe(24) for name in files}
        self._offered |= {addresses[name]: (ends_s, path) for name, path in files.items()}
        return addresses, datetime.fromtimestamp(ends_s, UTC).isoformat()

    def read(self, address: str) -> bytes:
        """The file's content.

        Raises:
            NotFoundError: nothing is offered at this address, or not any more.
        """
        ends_s, path = self._offered.get(address, (0.0, Path()))
        if ends_s < time.time():
            raise NotFoundError("this address is not, or no longer, good for a download")
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError("this checkpoint was deleted or replaced") from error
