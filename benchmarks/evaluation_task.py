"""What every side of the evaluation's benchmark is given; nothing here needs more than Python."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CONCURRENCY: Final = 64
MAX_TOKENS: Final = 512
MODEL: Final = "some-vlm"
IMAGES: Final = 50
_LATITUDE: Final = re.compile(r"latitude\W+(-?\d+(?:\.\d+)?)", re.IGNORECASE)
_LONGITUDE: Final = re.compile(r"longitude\W+(-?\d+(?:\.\d+)?)", re.IGNORECASE)


def rows(folder: Path, n: int) -> Iterator[tuple[str, float, float]]:
    """Path, latitude and longitude of n photos; there are fewer files, and they come again."""
    for number in range(n):
        path = str(folder / f"{number % IMAGES:03d}.jpg")
        yield path, float(number % 80 + 1), float(number % 170 + 1)


def distance_km(answer: str, truth: str) -> float:
    """How far an answer is from `latitude,longitude`, as somebody writes it who needs it once."""
    latitude, longitude = _LATITUDE.search(answer), _LONGITUDE.search(answer)
    if latitude is None or longitude is None:
        return math.pi * 6371.0
    phi, lam = math.radians(float(latitude[1])), math.radians(float(longitude[1]))
    true_phi, true_lam = (math.radians(float(part)) for part in truth.split(","))
    h = (
        math.sin((true_phi - phi) / 2) ** 2
        + math.cos(phi) * math.cos(true_phi) * math.sin((true_lam - lam) / 2) ** 2
    )
    return 2 * 6371.0 * math.asin(math.sqrt(h))


def peak_mb() -> float:
    """The most memory that this process has had, in MB; what its parent had isn't counted."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) / 1024
