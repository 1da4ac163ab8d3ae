"""OSV-5M: bytes fetched for a few images of a large zip, and what preparing a split costs.

The hub is the loopback server of the tests, which counts what it really sends. Rows and zips are
made from a seed, with columns as long as the real ones.
"""

import csv
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from geospot.data.osv5m import open_hub_osv5m
from tests.support.hub_server import HubServer, serving
from tests.support.osv_repo import OSV5M, make_noise_split, repo_of
from tests.support.osv_tree import HEADER, PLACES

NAME: Final = "OSV-5M from the hub"
TRAIN_ROWS: Final = 4_890_000
_IMAGES: Final = 20

_PREPARE: Final = """
import resource, sys, time
from pathlib import Path
from geospot.data.osv5m import open_local_osv5m, prepare
root, cache, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
started = time.perf_counter()
if what == "prepare":
    prepare("train", spec=str(root), cache_dir=cache)
else:
    dataset = open_local_osv5m(root, "train", cache_dir=cache)
    dataset.select(1000) if what == "select" else dataset.table
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(time.perf_counter() - started, peak)
"""


def main(quick: bool) -> str:
    """Both tables (two minutes; with `quick` some seconds)."""
    with tempfile.TemporaryDirectory() as folder:
        fetched = _fetched(Path(folder) / "noise", 200 if quick else 2000)
        prepared = _prepared(Path(folder) / "rows", 20_000 if quick else 500_000)
    return f"{fetched}\n\n{prepared}"


def _fetched(root: Path, images: int) -> str:
    """Bytes that left the server for 20 images, by our reader and by HfFileSystem and zipfile."""
    make_noise_split(root / "tree", images=images, image_bytes=50_000)
    path = root / "tree/images/test/00.zip"
    lines = [
        "| reader | bytes sent | × members + directory | requests |",
        "| --- | ---: | ---: | ---: |",
    ]
    with serving({OSV5M: repo_of(root / "tree")}) as server:
        os.environ["HF_ENDPOINT"] = server.url
        dataset = open_hub_osv5m("test", cache_dir=root / "cache")
        samples = list(dataset.select(_IMAGES).table)
        size = sum(len(dataset.read_image(sample)) for sample in samples)
        with zipfile.ZipFile(path) as archive:
            wanted = size + path.stat().st_size - archive.start_dir
        lines.append(_line("geospot", server, wanted))
        for block in (None, 65_536):
            server.forget()
            _by_file_system(server, [sample.id for sample in samples], block)
            lines.append(_line(f"HfFileSystem, block {block or 'default'}", server, wanted))
    mega = path.stat().st_size / 1e6
    return f"{_IMAGES} images of a zip of {mega:.0f} MB:\n\n" + "\n".join(lines)


def _line(reader: str, server: HubServer, wanted: int) -> str:
    sent, asked = server.bytes_sent("00.zip"), len(server.asked("00.zip"))
    return f"| {reader} | {sent:,} | {sent / wanted:.3f} | {asked} |"


def _by_file_system(server: HubServer, ids: list[str], block: int | None) -> None:
    from huggingface_hub import HfFileSystem

    system: Any = HfFileSystem(endpoint=server.url)
    options: Mapping[str, int] = {} if block is None else {"block_size": block}
    where = f"datasets/{OSV5M}/images/test/00.zip"
    with system.open(where, "rb", **options) as file, zipfile.ZipFile(file) as archive:
        for sample_id in ids:
            archive.read(f"00/{sample_id}.jpg")


def _prepared(root: Path, rows: int) -> str:
    """Seconds and peak memory of preparing, choosing and loading, each in a process of its own."""
    started = time.perf_counter()
    _make_rows(root / "tree", rows)
    made_s = time.perf_counter() - started
    lines = ["| step | seconds | peak MB |", "| --- | ---: | ---: |"]
    for step in ("prepare", "select", "table"):
        command = [sys.executable, "-c", _PREPARE, str(root / "tree"), str(root / "cache"), step]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, peak = done.stdout.split()
        lines.append(f"| {step} | {float(seconds):.2f} | {peak} |")
    mega = (root / "tree/train.csv").stat().st_size / 1e6
    return (
        f"{rows:,} rows, a CSV of {mega:.0f} MB, ten zips (made in {made_s:.0f} s); the train split "
        f"has {TRAIN_ROWS / rows:.1f} times as many:\n\n" + "\n".join(lines)
    )


def _make_rows(root: Path, rows: int) -> None:
    rng = random.Random(1)
    ids = [str(rng.randrange(10**14, 10**17)) for _ in range(rows)]
    folder = root / "images/train"
    folder.mkdir(parents=True)
    share = -(-rows // 10)
    for number in range(10):
        with zipfile.ZipFile(folder / f"{number:02d}.zip", "w") as archive:
            for sample_id in ids[number * share : (number + 1) * share]:
                archive.writestr(f"{number:02d}/{sample_id}.jpg", b"a few bytes")
    rng.shuffle(ids)
    with (root / "train.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, HEADER, restval="12345.678")
        table.writeheader()
        for sample_id in ids:
            place = rng.choice(PLACES)
            table.writerow(
                {
                    "id": sample_id,
                    "latitude": place.latitude + rng.uniform(-1, 1),
                    "longitude": place.longitude + rng.uniform(-0.05, 0.05),
                    "thumb_original_url": "https://photos.example/" + "u" * 200,
                    "sequence": f"{rng.getrandbits(88):022x}",
                    "country": place.country,
                    "region": place.region,
                    "sub-region": place.sub_region,
                    "city": place.city,
                    "unique_city": "_".join(part or "NaN" for part in place[2:]),
                    "unique_region": f"{place.region}_{place.country}",
                    "unique_sub-region": f"{place.sub_region}_{place.region}_{place.country}",
                }
            )
