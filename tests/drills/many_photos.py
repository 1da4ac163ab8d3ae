"""A data set in OSV-5M's layout with as many photos as one likes, each of them tiny and none like another."""

import csv
import hashlib
import io
import random
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from geospot.images import prepare_image
from tests.support.osv_tree import HEADER

_BITS: Final = 24
_SIDE: Final = 40


def write_many_photos(root: Path, count: int, *, seed: int = 0) -> dict[str, str]:
    """Writes `test.csv` and `images/test/00.zip` below a folder.

    Returns:
        For each id the digest of its photo as it leaves the machine.
    """
    (root / "images" / "test").mkdir(parents=True)
    dice = random.Random(seed)
    digests: dict[str, str] = {}
    with (
        (root / "test.csv").open("w", newline="", encoding="utf-8") as table,
        zipfile.ZipFile(root / "images" / "test" / "00.zip", "w") as archive,
    ):
        rows = csv.DictWriter(table, HEADER, restval="")
        rows.writeheader()
        for number in range(count):
            sample_id = str(10**14 + number * 7919)
            photo = _photo(number)
            archive.writestr(f"00/{sample_id}.jpg", photo)
            digests[sample_id] = hashlib.sha256(photo).hexdigest()
            rows.writerow(
                {
                    "id": sample_id,
                    "latitude": f"{dice.uniform(-60.0, 70.0):.6f}",
                    "longitude": f"{dice.uniform(-180.0, 180.0):.6f}",
                    "country": dice.choice(("DE", "FR", "JP", "BR", "KE", "US")),
                    "sequence": str(number),
                }
            )
    if prepare_image(_photo(0)).data != _photo(0) or len(set(digests.values())) < count:
        raise ValueError("The photos don't tell which they are.")
    return digests


def _photo(number: int) -> bytes:
    """A number in black and white, as a JPEG: a bit is a square of eight pixels."""
    bits_B = np.array([number >> bit & 1 for bit in range(_BITS + 1)], dtype=np.uint8) * 255
    pixels_H_W = np.kron(bits_B.reshape(5, 5), np.ones((8, 8), dtype=np.uint8))
    out = io.BytesIO()
    Image.fromarray(pixels_H_W).resize((_SIDE, _SIDE)).save(out, "JPEG", quality=50)
    return out.getvalue()
