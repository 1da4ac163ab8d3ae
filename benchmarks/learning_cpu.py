"""Processor time of `geospot rl` for a step as its rollouts grow, beside tinker-cookbook's `rl/train.py`.

The service answers at once, so that nothing is left but the client's work: photos, prompts, requests,
answers, rewards, datums. Below both lie the SDK's own calls, measured alone on prepared prompts and datums.
"""

import os
import shutil
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Final

from benchmarks.clock import services
from benchmarks.learning import COOKBOOK, cookbook_versions, interpreters
from benchmarks.photos import make_photos
from benchmarks.records import Figure, Table
from benchmarks.training_loops import Measured, measure, settings
from geospot.config.learning import RLConfig

NAME: Final = "Processor time of learning"

_GROUP: Final = 8
_WARM_UP: Final = 2
_LOOPS: Final = {"ours": "geospot", "bare": "the SDK's calls alone", "cookbook": COOKBOOK}
_NOTES: Final = """\
The client's process alone, service at once, on the same photos in the same order; the first two steps of a
run are left out. "JPEGs" are of 683 × 512, 65 kB, shrunk to 512 px by all alike; "world" are photos of 96
px that are drawn when they are asked for. The SDK's calls alone are what no loop on it can go below. The
loops take turns, run by run: a value is the median of a run's steps, and the ranges are over rounds.
"""


def main(quick: bool) -> Table:
    """The table. A full run takes about seven minutes."""
    count, sizes, rounds = (5, (4,), 1) if quick else (5, (8, 24, 64), 3)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, services((0.0, 0.0)) as (url,):
        photos = {"JPEGs": str(_folder(Path(folder), count * max(sizes))), "world": "world"}
        for title, source in photos.items():
            for groups in sizes:
                out = Path(folder) / f"{title}-{groups}"
                config = settings(url, out, count, groups, _GROUP, hf_repo=source)
                figures += _step(config, rounds, title)
    return Table(figures, cookbook_versions(), _NOTES)


def _step(config: RLConfig, rounds: int, title: str) -> list[Figure]:
    """A line for each of the others, in processor time and in memory."""
    pythons = interpreters()
    measured: dict[str, list[Measured]] = {who: [] for who in _LOOPS if who in pythons}
    for number in range(rounds):
        for who, taken in measured.items():
            place = config.log_path / f"{who}-{number}"
            taken.append(measure(who, config.model_copy(update={"log_path": place}), pythons[who]))
    lines = {
        (f"a step, {title}", "CPU s"): {
            who: [statistics.median(_steps_s(who, one)) for one in taken]
            for who, taken in measured.items()
        },
        (f"most memory, {title}", "MB"): {
            who: [one.peak_mb for one in taken] for who, taken in measured.items()
        },
    }
    return [
        Figure(
            task=task,
            unit=unit,
            ours=values["ours"],
            peer=_LOOPS[who],
            theirs=theirs,
            size=config.batch_size * _GROUP,
            axis="rollouts",
        )
        for (task, unit), values in lines.items()
        for who, theirs in values.items()
        if who != "ours"
    ]


def _steps_s(who: str, measured: Measured) -> list[float]:
    """Of each step but the first ones and the last; the cookbook's are marked where they begin."""
    taken_s = [after - before for before, after in pairwise(measured.cpu_s)]
    first = _WARM_UP if who == "cookbook" else _WARM_UP - 1
    last = len(measured.cpu_s) - (1 if who == "cookbook" else 2)
    return taken_s[first : last if who != "bare" else last - 1]


def _folder(folder: Path, count: int) -> Path:
    """A folder of as many photos, each with a place."""
    made, photos = folder / "made", folder / "photos"
    made.mkdir()
    photos.mkdir()
    make_photos(made)
    sources = sorted(made.iterdir())
    with (photos / "metadata.csv").open("w") as table:
        table.write("file_name,latitude,longitude\n")
        for number in range(count):
            os.link(sources[number % len(sources)], photos / f"{number:05d}.jpg")
            table.write(f"{number:05d}.jpg,{number % 120 - 60},{number % 340 - 170}\n")
    shutil.rmtree(made)
    return photos
