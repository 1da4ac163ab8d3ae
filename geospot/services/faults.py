"""What a failed call of the SDK means for a run that makes thousands of them."""

from dataclasses import dataclass
from typing import Literal

from geospot.errors import BackendError, GeospotError, KeyMissingError
from geospot.textsafe import printable

Gravity = Literal["again", "lost", "fatal"]
"""`again`: another try may work. `lost`: this request never will. `fatal`: none ever will."""

_SHOWN: int = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed call."""

    gravity: Gravity
    message: str


def fault_of(error: Exception) -> Fault:
    """How bad an error of the SDK, or of the network below it, is.

    The SDK has already repeated what it knows to be passing when it raises.
    """
    import tinker
    from tinker.lib.retryable_exception import RetryableException

    message = printable(str(error) or type(error).__name__)[:_SHOWN].rstrip(". ")
    if isinstance(error, tinker.RequestFailedError):
        # "for self.request_id=…" and what follows are the SDK's own bookkeeping.
        message = message.partition(" for self.request_id")[0].removeprefix("Request failed: ")
        is_ours = error.category is tinker.types.RequestErrorCategory.User
        return Fault("lost" if is_ours else "again", message)
    if isinstance(error, tinker.AuthenticationError | tinker.PermissionDeniedError):
        return Fault("fatal", f"the key is refused ({message})")
    if isinstance(error, tinker.BillingError):
        return Fault("fatal", f"the service asks for payment ({message})")
    if isinstance(error, tinker.NotFoundError):
        return Fault("fatal", f"the service has forgotten the session ({message})")
    if isinstance(error, tinker.BadRequestError | tinker.UnprocessableEntityError):
        return Fault("lost", message)
    if isinstance(error, GeospotError):
        return Fault("lost", str(error))
    if isinstance(error, tinker.TinkerError | RetryableException | RuntimeError | OSError):
        return Fault("again", message)
    raise error


def fatal_error(fault: Fault) -> BackendError:
    """What a run ends with when no further call can work."""
    if fault.message.startswith("the key is refused"):
        return KeyMissingError(
            f"The service can't be used: {fault.message}.", "Mend the key, then resume."
        )
    return BackendError(
        f"The service can't be used any more: {fault.message}.",
        "Start the same command again to go on from the last checkpoint.",
    )
