"""Requests about something that isn't here; HTTP has a status for each."""


class NotFoundError(LookupError):
    """Something named in a request isn't here."""


class GoneError(LookupError):
    """Something named in a request was here once."""
