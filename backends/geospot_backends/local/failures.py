"""Requests that fail for what isn't here; HTTP has a status for each."""

from geospot_backends.local.api import EngineError


class NotFoundError(LookupError):
    """Something named in a request isn't here."""


class GoneError(LookupError):
    """Something named in a request was here once."""


class EngineDiedError(EngineError):
    """The engine's thread ended; nothing will be computed any more."""
