"""JPEGs as large as those of OSV-5M, made from a seed."""

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.evaluation_task import IMAGES

_IMAGE_BYTES: Final = 65_000


def make_photos(folder: Path) -> None:
    """JPEGs of about 65 kB: noise of a strength that gives that size."""
    for index in range(IMAGES):
        noise = np.random.default_rng(index).integers(0, 256, (512, 683, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((170, 128)).resize((683, 512))
        for quality in range(95, 40, -1):
            path = folder / f"{index:03d}.jpg"
            picture.save(path, quality=quality)
            if path.stat().st_size <= _IMAGE_BYTES:
                break
