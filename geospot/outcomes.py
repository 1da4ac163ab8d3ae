"""What can become of one question put to a model.

Every answer has exactly one outcome, and none is dropped from a score: whatever is not `OK` counts
as a failure at the worst distance.
"""

from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """The outcome of one sample."""

    OK = "ok"
    """Coordinates were read."""
    REFUSAL = "refusal"
    """The model, or a content filter, declined to answer."""
    UNPARSED = "unparsed"
    """An answer without coordinates that could be read; also an empty or cut-off one."""
    PLACE_ONLY = "place_only"
    """Place names, but no coordinates."""
    OUT_OF_RANGE = "out_of_range"
    """Coordinates that aren't on the globe; never clamped, never swapped."""
    IMAGE_ERROR = "image_error"
    """The image couldn't be read or sent, so the model was not asked."""
    TRANSPORT_ERROR = "transport_error"
    """The server or the network failed; the sample is asked again by the next run."""
    MISSING = "missing"
    """A finished prediction file has no row for this selected id."""


OUTCOMES: Final = tuple(map(str, Outcome))
"""All of them: arrays hold an outcome as its place in here."""
