"""What a failure of the SDK means, in a sentence of ours."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from geospot.errors import BackendError, UnreachableError
from geospot.services.endpoint import Endpoint
from geospot.services.probing import key_refused
from geospot.textsafe import printable

if TYPE_CHECKING:
    import tinker


def explained(error: Exception, title: str, endpoint: Endpoint) -> BackendError:
    """The error to be raised instead.

    Args:
        title: how messages call the service.
    """
    import tinker

    if isinstance(error, tinker.AuthenticationError | tinker.PermissionDeniedError):
        return key_refused(endpoint)
    if isinstance(error, tinker.BillingError):
        return BackendError(
            f"{title} asks for payment first: {error.message}.", "Check the account."
        )
    if isinstance(error, tinker.APIConnectionError):
        return UnreachableError(f"{title} doesn't answer: {_said(error)}.", "Try again later.")
    return BackendError(f"{title} can't be used: {_said(error)}.", "Is it a Tinker service?")


def failure_of(error: "tinker.RequestFailedError") -> str:
    """Why a service carried a request out in vain, in its own words and without the SDK's ids."""
    said = str(error).partition(" for self.request_id")[0].removeprefix("Request failed: ")
    return printable(said)[:300].rstrip(". ")


def detail_of(error: "tinker.APIStatusError") -> str:
    """Why a service refuses a request, in its own words; empty where it doesn't say."""
    if not isinstance(error.body, Mapping):
        return ""
    said = cast(Mapping[str, Any], error.body).get("detail")
    return printable(said)[:300].rstrip(". ") if isinstance(said, str) else ""


def _said(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)[:300].rstrip(". ")
