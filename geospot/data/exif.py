"""The position that a camera or phone wrote into a photo (EXIF 2.32, section 4.6.6)."""

import math
from pathlib import Path
from typing import Any, Final, cast

from geospot.errors import refuse_if_exhausted

GPS_IFD: Final = 0x8825
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4


def gps_position(path: Path) -> tuple[float, float] | None:
    """Latitude and longitude in degrees; None where the photo doesn't say both, and say them whole.

    A position without its hemisphere letters, with a zero denominator or of other than one to three
    parts is no position: guessing a hemisphere would make a truth that may be false. Reads the
    header of the file only.
    """
    from PIL import Image

    from geospot.images import PILLOW_ERRORS

    try:
        with Image.open(path) as image:
            gps = image.getexif().get_ifd(GPS_IFD)
    except (*PILLOW_ERRORS, Image.DecompressionBombError) as error:
        refuse_if_exhausted(error)
        return None  # a broken photo says nothing
    latitude = _signed(gps.get(_LATITUDE), gps.get(_LATITUDE_REF), "N", "S")
    longitude = _signed(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REF), "E", "W")
    return None if latitude is None or longitude is None else (latitude, longitude)


def _signed(parts: Any, reference: Any, positive: str, negative: str) -> float | None:
    """Degrees, minutes and seconds with a hemisphere letter, as signed degrees."""
    if isinstance(reference, bytes):
        reference = reference.decode("ascii", "replace")
    letter = str(reference or "").strip("\0 ").upper()[:1]
    if letter not in (positive, negative):
        return None
    numbers = _numbers(parts)
    if not 1 <= len(numbers) <= 3 or not all(math.isfinite(n) and n >= 0 for n in numbers):
        return None
    degrees = sum(number / 60**power for power, number in enumerate(numbers))
    return -degrees if letter == negative else degrees


def _numbers(parts: Any) -> list[float]:
    """Rationals as floats, NaN for a zero denominator; nothing for what are no numbers."""
    listed = cast(list[Any], parts if isinstance(parts, tuple | list) else [parts])
    try:
        return [float(part) for part in listed]
    except ZeroDivisionError:
        return [math.nan]
    except (TypeError, ValueError):
        return []
