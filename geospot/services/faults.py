"""What a failed call of the SDK means for a run that makes thousands of them."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from geospot.errors import BackendError, GeospotError, KeyMissingError
from geospot.services.failures import failure_of
from geospot.textsafe import printable

RESUME: Final = (
    "Start the same command again with behavior_if_log_dir_exists=resume to go on from the last "
    "checkpoint."
)
"""The advice where a run ends and its service is, or will be, there again."""

Gravity = Literal["again", "lost", "fatal"]
"""`again`: another try may work. `lost`: this request never will. `fatal`: none ever will."""

_SHOWN: Final = 300
_FORGOTTEN: Final = re.compile(r"^promise expired/broken", re.IGNORECASE)
"""What the SDK says of a request that a restarted server has never heard of."""

FORGOTTEN: Final = "the service has forgotten the request, as after a restart"
"""The message of such a fault. A sample may be asked for again; a step of training is lost."""

_RESTARTED: Final = "the service has forgotten the session, as after a restart"


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
    if isinstance(error, RetryableException) and _FORGOTTEN.search(message):
        return Fault("again", FORGOTTEN)
    if isinstance(error, tinker.RequestFailedError):
        is_ours = error.category is tinker.types.RequestErrorCategory.User
        return Fault("lost" if is_ours else "again", failure_of(error))
    if isinstance(error, tinker.AuthenticationError | tinker.PermissionDeniedError):
        return Fault("fatal", f"the key is refused ({message})")
    if isinstance(error, tinker.BillingError):
        return Fault("fatal", f"the service asks for payment ({message})")
    if isinstance(error, tinker.NotFoundError):
        return Fault("fatal", _RESTARTED)
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
    if fault.message in (_RESTARTED, FORGOTTEN):
        return BackendError(
            "The service was restarted, or has given the session up: it has forgotten this run's "
            "model, and the run ends here.",
            RESUME,
        )
    return BackendError(f"The service can't be used any more: {fault.message}.", RESUME)
