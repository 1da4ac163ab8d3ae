"""OSV-5M: the first image beside downloading a zip, bytes of a few images, and preparing a split.

The hub is the loopback server of the tests, which counts what it really sends. Rows and zips are
made from a seed, with columns as long as the real ones.
"""

import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.records import Figure, Table
from geospot.data.osv5m import open_hub_osv5m
from tests.support.hub_server import HubServer, serving
from tests.support.osv_repo import OSV5M, make_noise_split, repo_of
from tests.support.osv_tree import HEADER, PLACES

NAME: Final = "OSV-5M from the hub"
_IMAGES: Final = 20
_IMAGE_BYTES: Final = 50_000
_ROOT: Final = Path(__file__).parents[1]
_WHOLE: Final = "the whole zip"
_STEPS: Final = {
    "prepare": "a split prepared",
    "select": "1,000 rows chosen",
    "table": "all rows loaded",
}
_NOTES: Final = """\
First image: a fresh program with empty caches, until an image and its label are there, interpreter and
imports included. The server is on loopback and sends as fast as it is read: on a line of 100 Mbit/s each
100 MB take 8 s more. The zips of OSV-5M have some gigabytes each. Requests and bytes of the 20 images are
those for the zip alone; downloading it is one request. Rows: a CSV with columns as long as the real ones
and ten zips; the real train split has 4,890,000.
"""

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


def main(quick: bool) -> Table:
    """The table. A full run takes about three minutes."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        figures: list[Figure] = []
        for images in (100, 200) if quick else (200, 2000, 10_000):
            figures += _first(place / str(images), images, 1 if quick else 3)
        figures += _few(place / "few", 200 if quick else 2000)
        figures += _prepared(place / "rows", 20_000 if quick else 500_000)
    return Table(figures, {"huggingface_hub": version("huggingface_hub")}, _NOTES)


def _first(root: Path, images: int, rounds: int) -> list[Figure]:
    """What it takes until the first image is there, in fresh processes with empty caches."""
    make_noise_split(root / "tree", images=images, image_bytes=_IMAGE_BYTES)
    taken: dict[str, list[_Took]] = {"ours": [], "download": []}
    with serving({OSV5M: repo_of(root / "tree")}) as server:
        server.etag(OSV5M, "images/test/00.zip")  # the hub knows it, and doesn't compute it first
        for round_ in range(rounds):
            for who, took in taken.items():
                took.append(_fetch_first(who, server, root / f"{who}-{round_}"))
    size_mb = (root / "tree/images/test/00.zip").stat().st_size / 1e6
    shutil.rmtree(root)
    values: Mapping[tuple[str, str], Callable[[_Took], float]] = {
        ("first image", "s"): lambda took: took.wall_s,
        ("first image, bytes sent", "kB"): lambda took: took.sent_bytes / 1000,
    }
    return [
        Figure(
            task=task,
            unit=unit,
            ours=[value(one) for one in taken["ours"]],
            peer="downloading CSV and zip",
            theirs=[value(one) for one in taken["download"]],
            size=round(size_mb),
            axis="MB of zip",
        )
        for (task, unit), value in values.items()
    ]


@dataclass(frozen=True, slots=True)
class _Took:
    wall_s: float
    sent_bytes: int


def _fetch_first(who: str, server: HubServer, cache: Path) -> _Took:
    server.forget()
    settings = {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(cache / "home"),
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-m", "benchmarks.osv5m_first", who, str(cache / "cache")]
    began_s = time.perf_counter()
    subprocess.run(command, env=os.environ | settings, cwd=_ROOT, check=True, capture_output=True)
    return _Took(time.perf_counter() - began_s, server.bytes_sent())


def _few(root: Path, images: int) -> list[Figure]:
    """Bytes that left the server for 20 images of a zip, by our reader and by the hub's file system."""
    make_noise_split(root / "tree", images=images, image_bytes=_IMAGE_BYTES)
    size = (root / "tree/images/test/00.zip").stat().st_size
    with serving({OSV5M: repo_of(root / "tree")}) as server:
        os.environ["HF_ENDPOINT"] = server.url
        dataset = open_hub_osv5m("test", cache_dir=root / "cache")
        samples = list(dataset.select(_IMAGES).table)
        for sample in samples:
            dataset.read_image(sample)
        ours = _sent(server)
        theirs: dict[str, tuple[float, float]] = {_WHOLE: (size / 1000, 1.0)}
        for block in (None, 65_536):
            server.forget()
            _by_file_system(server, [sample.id for sample in samples], block)
            theirs[f"HfFileSystem, {block or 'default'} block"] = _sent(server)
    task = f"{_IMAGES} images of a zip of {size / 1e6:.0f} MB"
    return [
        Figure(f"{task}, {what}", unit, [ours[place]], name, [sent[place]])
        for place, (what, unit) in enumerate((("bytes sent", "kB"), ("requests", "1")))
        for name, sent in theirs.items()
        if (name, what) != (_WHOLE, "requests")
    ]


def _sent(server: HubServer) -> tuple[float, float]:
    """kB and requests for the zip."""
    return server.bytes_sent("00.zip") / 1000, float(len(server.asked("00.zip")))


def _by_file_system(server: HubServer, ids: list[str], block: int | None) -> None:
    from huggingface_hub import HfFileSystem

    system: Any = HfFileSystem(endpoint=server.url)
    options: Mapping[str, int] = {} if block is None else {"block_size": block}
    where = f"datasets/{OSV5M}/images/test/00.zip"
    with system.open(where, "rb", **options) as file, zipfile.ZipFile(file) as archive:
        for sample_id in ids:
            archive.read(f"00/{sample_id}.jpg")


def _prepared(root: Path, rows: int) -> list[Figure]:
    """Seconds and peak memory of preparing, choosing and loading, each in a process of its own."""
    _make_rows(root / "tree", rows)
    figures: list[Figure] = []
    for step, what in _STEPS.items():
        command = [sys.executable, "-c", _PREPARE, str(root / "tree"), str(root / "cache"), step]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, peak_mb = map(float, done.stdout.split())
        at: Mapping[str, Any] = {"size": rows, "axis": "rows"}
        figures.append(Figure(what, "s", [seconds], **at))
        figures.append(Figure(f"{what}, most memory", "MB", [peak_mb], **at))
    return figures


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
