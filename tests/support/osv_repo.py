"""OSV-5M repositories for the loopback hub: one from a folder, one with a large zip of noise."""

import csv
import random
import zipfile
from pathlib import Path

from tests.support.hub_server import Repo
from tests.support.osv_tree import HEADER

OSV5M = "osv5m/osv5m"


def repo_of(root: Path, **options: str | bool) -> Repo:
    """Every file below a folder as a repository."""
    files: dict[str, bytes | Path] = {
        path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()
    }
    repo = Repo(files)
    for name, value in options.items():
        setattr(repo, name, value)
    return repo


def make_noise_split(
    root: Path, *, images: int, image_bytes: int, split: str = "test"
) -> list[str]:
    """A CSV and one zip of incompressible members of about `image_bytes` each; returns the ids.

    The members are noise, not photos: what counts here is which bytes are fetched.
    """
    rng = random.Random(5)
    ids = [str(rng.randrange(10**14, 10**17)) for _ in range(images)]
    folder = root / "images" / split
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "00.zip", "w", zipfile.ZIP_STORED) as archive:
        for sample_id in ids:
            size = rng.randrange(image_bytes // 2, image_bytes * 3 // 2)
            archive.writestr(f"00/{sample_id}.jpg", rng.randbytes(size))
    with (root / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, HEADER, restval="")
        rows.writeheader()
        for sample_id in ids:
            place = {"latitude": rng.uniform(-60, 70), "longitude": rng.uniform(-180, 180)}
            rows.writerow({"id": sample_id, **place, "country": "NA", "city": "Windhoek"})
    return ids
