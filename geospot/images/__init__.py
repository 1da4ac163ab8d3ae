"""What leaves the machine: the photo, without anything that says where it was taken.

EXIF, XMP, IPTC, comments and whatever is hidden behind the end of a file are cut out losslessly;
the picture's own bytes and its colour profile go out as they are. Only an image that must change is
encoded again: one that is too large, lies on its side (EXIF orientation), or is in a form that vision
servers don't take.
"""

from geospot.images.opening import (
    MAX_BYTES,
    MAX_PIXELS,
    PILLOW_ERRORS,
    open_image,
    pillow_reason,
)
from geospot.images.preparing import PreparedImage, as_rgb, prepare_decoded, prepare_image

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "PILLOW_ERRORS",
    "PreparedImage",
    "as_rgb",
    "open_image",
    "pillow_reason",
    "prepare_decoded",
    "prepare_image",
]
