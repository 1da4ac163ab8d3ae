"""Small photos made from a seed: no two alike, real JPEGs, with or without GPS in EXIF."""

import io
import random
from typing import Any

import numpy as np
from PIL import Image

_GPS_IFD = 0x8825


def make_photo(
    seed: str,
    *,
    size: tuple[int, int] | None = None,
    gps: tuple[float, float] | None = None,
    kind: str = "JPEG",
) -> bytes:
    """A blurred pattern of colours, different for each seed, in the format `kind`.

    Args:
        size: width and height in pixels; drawn from the seed if None.
        gps: latitude and longitude in degrees, to be written into EXIF.
    """
    rng = random.Random(f"photo:{seed}")
    width, height = size or (rng.randrange(96, 176), rng.randrange(72, 128))
    colours = np.random.default_rng(rng.getrandbits(63)).integers(0, 256, (9, 12, 3), np.uint8)
    image = Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    if gps is None:
        image.save(out, kind)
    else:
        image.save(out, kind, exif=gps_exif(*gps))
    return out.getvalue()


def gps_exif(latitude: float, longitude: float) -> Image.Exif:
    """EXIF that says so: degrees, minutes and seconds to a hundred-thousandth, and hemispheres."""
    exif = Image.Exif()
    gps: dict[int, Any] = {
        1: "S" if latitude < 0 else "N",
        2: _degrees_minutes_seconds(latitude),
        3: "W" if longitude < 0 else "E",
        4: _degrees_minutes_seconds(longitude),
    }
    exif[_GPS_IFD] = gps
    return exif


def _degrees_minutes_seconds(degrees: float) -> tuple[float, float, float]:
    whole = int(abs(degrees))
    minutes = (abs(degrees) - whole) * 60
    return float(whole), float(int(minutes)), round((minutes - int(minutes)) * 60, 5)
