"""Reverse geocoding equals the package's own, and OSV-5M's labels come out of it."""

import csv
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geospot.places import Place, reverse_geocode, unique_labels


def test_equals_the_package_in_the_mode_that_osv5m_used() -> None:
    package: Any = import_module("reverse_geocoder")

    rng = np.random.default_rng(7)
    latitude_N, longitude_N = rng.uniform(-90, 90, 5000), rng.uniform(-180, 180, 5000)
    ours = reverse_geocode(latitude_N, longitude_N)
    points = list(zip(latitude_N.tolist(), longitude_N.tolist(), strict=True))
    theirs = package.search(points, mode=1, verbose=False)
    for index, row in enumerate(theirs):
        assert ours[index] == Place(row["name"], row["admin1"], row["admin2"], row["cc"])


def test_a_failure_has_no_place() -> None:
    with pytest.raises(ValueError, match="finite"):
        reverse_geocode([1.0, float("nan")], [2.0, 3.0])


def test_no_points_no_places() -> None:
    assert len(reverse_geocode([], [])) == 0


def test_loading_prints_nothing() -> None:
    code = "from geospot.places import reverse_geocode; assert reverse_geocode(52.5, 13.4)[0].country == 'DE'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_composition_of_the_labels() -> None:
    place = Place(city="Waitangi", region="Chatham Islands", sub_region="", country="NZ")
    official, fixed = unique_labels(place, fixed=False), unique_labels(place, fixed=True)
    assert official.unique_city == "Waitangi__Chatham Islands_NZ"
    assert official.unique_sub_region == "_Chatham Islands_NZ"
    assert fixed.unique_city == "Waitangi_NaN_Chatham Islands_NZ"
    assert fixed.unique_sub_region is None
    assert official.unique_region == fixed.unique_region == "Chatham Islands_NZ"
    assert official.country == fixed.country == "NZ"


def test_real_osv5m_labels() -> None:
    folder = os.environ.get("GEOSPOT_OSV5M")
    if not folder:
        pytest.skip("GEOSPOT_OSV5M is not set: no real OSV-5M files to read")
    with (Path(folder) / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:38]
    places = reverse_geocode(
        [float(row["latitude"]) for row in rows], [float(row["longitude"]) for row in rows]
    )
    right: dict[tuple[bool, str], int] = {}
    for fixed in (False, True):
        labels = [unique_labels(places[i], fixed=fixed) for i in range(len(places))]
        for column in ("unique_city", "unique_sub-region", "unique_region", "unique_country"):
            name = column.replace("-", "_").replace("unique_country", "country")
            truth = [row[column] or None for row in rows]
            said = [getattr(label, name) for label in labels]
            right[fixed, name] = sum(
                t is not None and t == p for t, p in zip(truth, said, strict=True)
            )
    assert right[False, "country"] == right[True, "country"] == 38
    assert right[False, "unique_region"] == right[True, "unique_region"] == 38
    assert right[False, "unique_city"] == 15
    assert right[True, "unique_city"] == 32
