"""Every error that geospot raises on purpose.

One root, `GeospotError`. Each error carries a sentence that says what is wrong and, in `advice`, a
sentence that says what to do next; the command line prints both and no traceback. Each also inherits
the matching standard error, so that callers who don't know geospot can catch what they expect.
"""

import errno
from typing import Final

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Error numbers of a system that has nothing left to give, whatever was asked for."""

MORE_FILES: Final = (
    "Raise the limit, for example with `ulimit -n 4096`, and run the same command again; nothing "
    "written so far is lost."
)


class GeospotError(Exception):
    """Root of the errors that a person can do something about.

    `exit_code` is what the command line ends with: 1 failed, 2 wrong usage, 3 finished but
    incomplete.
    """

    exit_code = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


class UsageError(GeospotError, ValueError):
    """Something asked for on the command line or in a configuration makes no sense."""

    exit_code = 2


class ResultMismatchError(UsageError):
    """A result directory holds an evaluation of another configuration."""


class PluginError(GeospotError, LookupError):
    """A backend or service that isn't installed, or whose entry point doesn't load."""

    exit_code = 2


class DataError(GeospotError, ValueError):
    """A data set that can't be found, opened or understood."""


class ColumnsError(DataError):
    """The columns with image or coordinates couldn't be told."""

    exit_code = 2


class TooManyFilesError(DataError):
    """To find a data set's files, more would have to be looked through than the caller allows."""


class SourceUnavailableError(DataError, ConnectionError):
    """A remote data source didn't answer: the image may be fine, ask again later."""


class ImageError(GeospotError, ValueError):
    """One image that can't be read, decoded or sent. Costs that sample, never the run."""


class ExhaustedError(GeospotError, OSError):
    """The system has no file or memory left to give: it says nothing of what was to be read."""


class RenderError(GeospotError, ValueError):
    """A conversation that can't be put into a model's tokens, or a renderer that doesn't fit."""


class ResultFormatError(GeospotError, ValueError):
    """A result or prediction file that isn't in the format it should be in."""


class BackendError(GeospotError):
    """A backend can't be used at all: wrong key, unknown model, unreachable host."""


class KeyMissingError(BackendError, PermissionError):
    """The environment variable that should hold the key is unset or refused by the server."""


class ModelNotFoundError(BackendError, LookupError):
    """The server is there but doesn't serve this model."""


class UnreachableError(BackendError, ConnectionError):
    """Nothing answers at this address."""


class BlindModelError(BackendError):
    """Photos don't reach the model: whatever it is trained on, it would guess."""


class DivergedError(GeospotError, ArithmeticError):
    """A loss or gradient that is no finite number: further training would only spoil the weights.

    `weights_intact`: the service refused the step, so the weights are those before it.
    """

    def __init__(
        self,
        message: str,
        advice: str = (
            "Start a new run with load_checkpoint_path at an earlier checkpoint and a lower "
            "learning_rate."
        ),
        *,
        weights_intact: bool = False,
    ) -> None:
        super().__init__(message, advice)
        self.weights_intact = weights_intact


class TooFewRolloutsError(BackendError):
    """Service or network lost so many rollouts of a step that nothing sound can be learned from it."""


def refuse_if_exhausted(error: BaseException) -> None:
    """Raises where a file couldn't be opened for want of descriptors or memory.

    To be called before a photo is blamed: it may be fine, and would count as broken for ever.

    Raises:
        ExhaustedError: it is so.
    """
    if isinstance(error, ExhaustedError):
        raise error
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        raise ExhaustedError(
            f"No more files can be opened: {error.strerror}.", MORE_FILES
        ) from error
