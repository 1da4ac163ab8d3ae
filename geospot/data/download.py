"""One image from one URL, within bounds."""

from typing import Final
from urllib.parse import urlsplit

import httpx

from geospot import __version__
from geospot.errors import ImageError, SourceUnavailableError
from geospot.images import MAX_BYTES
from geospot.textsafe import printable, shown_url

TIMEOUT_S: Final = 30.0
URL_MARK: Final = "://"
"""What tells a URL in a table from a path."""
_LOOPBACK: Final = ("all://localhost", "all://127.0.0.1", "all://[::1]")
_TRY_AGAIN: Final = frozenset([408, 425, 429])


class Downloader:
    """Fetches images over http and https; may be used from several threads at once.

    Proxies are taken from the environment as everywhere, but never for loopback addresses.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._client = httpx.Client(
            timeout=timeout_s,
            follow_redirects=True,
            max_redirects=5,
            headers={"User-Agent": f"geospot/{__version__}", "Accept": "image/*, */*;q=0.5"},
            mounts=dict.fromkeys(_LOOPBACK),
        )

    def fetch(self, url: str) -> bytes:
        """The bytes at `url`.

        Raises:
            ImageError: there is nothing there (404, 410 and other refusals), it is no URL to be
                fetched, or it is larger than an image may be.
            SourceUnavailableError: no answer, a server's failure (5xx), or a request to wait.
        """
        shown = printable(shown_url(url), limit=200)
        try:
            scheme = urlsplit(url).scheme
        except ValueError as error:
            raise ImageError(f"An image's address is no URL: {printable(str(error))}.") from error
        if scheme not in ("http", "https"):
            raise ImageError(f"{shown} is refused: images are fetched over http and https only.")
        try:
            with self._client.stream("GET", url) as response:
                _check_status(response.status_code, shown)
                return _bounded(response, shown)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
            raise ImageError(f"{shown} can't be fetched: {error}.") from error
        except httpx.DecodingError as error:
            raise ImageError(f"What {shown} sends can't be decoded.") from error
        except httpx.TransportError as error:
            raise SourceUnavailableError(
                f"{shown} doesn't answer: {printable(str(error) or type(error).__name__)}.",
                "Run again later; only what is missing is fetched.",
            ) from error

    def close(self) -> None:
        """Lets go of the connections."""
        self._client.close()


def _check_status(status: int, shown: str) -> None:
    if status >= 500 or status in _TRY_AGAIN:
        raise SourceUnavailableError(
            f"{shown} answers with status {status}.",
            "Run again later; only what is missing is fetched.",
        )
    if status != 200:
        raise ImageError(f"There is no image at {shown} (status {status}).")


def _bounded(response: httpx.Response, shown: str) -> bytes:
    data = bytearray()
    for piece in response.iter_bytes():
        data += piece
        if len(data) > MAX_BYTES:
            raise ImageError(f"{shown} sends more than {MAX_BYTES:,} bytes.")
    return bytes(data)
