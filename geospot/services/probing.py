"""Is anything there at all, and does it take the key? Asked before the SDK is let near it.

The SDK tries for minutes to reach a server that isn't there, and a client of it that waits holds up every
other in the process.
"""

import os
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from geospot.errors import KeyMissingError, UnreachableError
from geospot.services.endpoint import KEY_VARIABLE, URL_VARIABLE, Endpoint
from geospot.services.loopback import is_loopback
from geospot.services.waiting import Allowance, within

if TYPE_CHECKING:
    import httpx

_ATTEMPT_S: Final = 3.0
_PAUSES_S: Final = (0.2, 0.6, 1.2)
_PASSING: Final = (500, 502, 503, 504)
"""What a server, or the proxy in front of it, says while it starts."""


def probe(endpoint: Endpoint, allowance: Allowance) -> None:
    """Asks for the server's health and, where a key is known, for what the SDK asks first.

    A request that is lost is sent again while the allowance lasts; a refused connection is final.

    Raises:
        UnreachableError: nothing answers, or something else does.
        KeyMissingError: the key is refused.
    """
    import httpx

    host = urlsplit(endpoint.base_url).hostname or ""

    def ask() -> None:
        with httpx.Client(trust_env=not is_loopback(host), timeout=_ATTEMPT_S) as client:
            _persist(client, endpoint, "GET", "healthz")
            if endpoint.api_key is not None:
                _persist(client, endpoint, "POST", "client/config")

    advice = (
        "Start one there with `geospot serve`, or check the address."
        if is_loopback(host)
        else "Check the address and the network, or use `local`, which needs neither."
    )
    limit_s = allowance.left_s
    done = within(allowance, ask)
    if done is None:
        raise UnreachableError(
            f"Nothing answers at {endpoint.base_url}: silent for {limit_s:.0f} s.", advice
        )
    try:
        done()
    except httpx.TimeoutException:
        raise UnreachableError(
            f"Nothing answers at {endpoint.base_url}: it stays silent.", advice
        ) from None
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise UnreachableError(
            f"Nothing answers at {endpoint.base_url}: {reason}.", advice
        ) from None


def key_refused(endpoint: Endpoint) -> KeyMissingError:
    """The service doesn't take the key."""
    if endpoint.api_key_env:
        return KeyMissingError(
            f"{endpoint.base_url} refuses the key in {endpoint.api_key_env}.",
            "Is it the right one, and still valid?",
        )
    not_sent = ""
    if os.environ.get(KEY_VARIABLE, "").strip():
        not_sent = (
            f" {KEY_VARIABLE} is sent to no other address than the hosted service's and that in "
            f"{URL_VARIABLE}."
        )
    return KeyMissingError(
        f"{endpoint.base_url} asks for a key.{not_sent}",
        "Name the environment variable that holds it: --api-key-env NAME, or api_key_env=NAME for "
        "geospot sft and rl.",
    )


def _persist(client: "httpx.Client", endpoint: Endpoint, method: str, path: str) -> None:
    """One question, asked again where a connection breaks, an answer stays out, or a server starts."""
    import httpx

    headers = {"X-API-Key": endpoint.api_key} if endpoint.api_key else {}
    body = {"sdk_version": "geospot"} if method == "POST" else None
    url = f"{endpoint.base_url}/api/v1/{path}"
    for pause_s in (*_PAUSES_S, None):
        try:
            status = client.request(method, url, headers=headers, json=body).status_code
        except httpx.ConnectError:
            raise
        except httpx.TransportError:
            if pause_s is None:
                raise
        else:
            if status not in _PASSING or pause_s is None:
                _judge(endpoint, status)
                return
        time.sleep(pause_s)


def _judge(endpoint: Endpoint, status: int) -> None:
    if status in (401, 403):
        raise key_refused(endpoint)
    if status != 200:
        raise UnreachableError(
            f"What answers at {endpoint.base_url} is no healthy Tinker service (HTTP {status}).",
            "Check the address; it goes without /api/v1.",
        )
