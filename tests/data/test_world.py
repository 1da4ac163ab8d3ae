"""The procedural world: the same everywhere, at real places, with honest splits."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geospot.data.sample import GeoSample
from geospot.data.world import SPLITS, contact_sheet, open_world
from geospot.data.world.customs import customs
from geospot.data.world.scene import Scene, imagine
from geospot.errors import DataError
from geospot.geo import haversine_km, is_on_globe
from geospot.places import continent, country_code, reverse_geocode

GOLDEN_PLACES = [
    (35.45776, 66.66426, "AF"),
    (-18.12028, 178.47745, "FJ"),
    (-4.99219, 12.90975, "CD"),
]
GOLDEN_COLOURS = [(156.4, 150.9, 171.0), (136.1, 148.8, 160.2), (128.9, 157.6, 143.1)]


def _pixels(image: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(Image.open(BytesIO(image)), dtype=np.float64)


def test_splits_have_their_default_sizes_and_ids() -> None:
    for split, size in SPLITS.items():
        world = open_world(split, seed=3)
        assert (world.name, world.split, len(world.table)) == ("world", split, size)
        assert world.table[0].id == f"world2-3-{split}-0000000"
        assert len(set(world.table.ids)) == size


def test_an_unknown_split_is_refused_with_the_three_names() -> None:
    with pytest.raises(DataError, match="train, test, test-places"):
        open_world("validation")
    with pytest.raises(DataError, match="at least one"):
        open_world("test", size=0)


def test_a_larger_world_begins_with_the_smaller_one() -> None:
    small, large = open_world("train", size=50).table, open_world("train", size=500).table
    assert list(small) == list(large)[:50]
    assert list(open_world("train", seed=1, size=50).table) != list(small)


def test_labels_are_those_of_the_coordinates() -> None:
    table = open_world("test", size=300).table
    found = reverse_geocode(table.latitude_N, table.longitude_N)
    countries: set[str | None] = set()
    for index, sample in enumerate(table):
        assert is_on_globe(sample.latitude, sample.longitude)
        assert sample.city == found[index].city
        assert (sample.sub_region or "") == found[index].sub_region
        assert sample.unique_region in {None, f"{sample.region}_{sample.country}"}
        assert sample.country is not None
        assert country_code(sample.country) == sample.country
        countries.add(sample.country)
    assert len(countries) > 60
    assert {continent(c) for c in countries if c} >= {"AF", "AS", "EU", "NA", "OC", "SA"}


def test_test_places_are_far_from_whatever_any_seed_trains_on() -> None:
    held_out = open_world("test-places", seed=5, size=400).table
    for split, seed in (("train", 0), ("test", 9)):
        known = open_world(split, seed=seed, size=3000).table
        distance_km = haversine_km(
            held_out.latitude_N[:, None],
            held_out.longitude_N[:, None],
            known.latitude_N[None],
            known.longitude_N[None],
        )
        assert distance_km.min() > 700.0


def test_test_stands_at_the_places_of_train_but_is_drawn_anew() -> None:
    train, test = open_world("train").table, open_world("test", size=300).table
    distance_km = haversine_km(
        test.latitude_N[:, None],
        test.longitude_N[:, None],
        train.latitude_N[None],
        train.longitude_N[None],
    ).min(axis=1)
    assert np.median(distance_km) < 30.0
    assert (distance_km > 0.0).all()


def test_an_image_is_a_small_jpeg_without_metadata() -> None:
    world = open_world("test", size=2)
    first = world.read_image(world.table[0])
    picture = Image.open(BytesIO(first))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (96, 96))
    assert not picture.getexif()
    assert len(first) < 10_000
    assert first != world.read_image(world.table[1])


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, Any]:
    """What another process sees, whose sets of words are in another order."""
    code = """
import hashlib, json, sys
from geospot.data.world import open_world
world = open_world("test", size=9)
picked = len(open_world("train").select(100).table)
is_loaded = "PIL" in sys.modules
painted = hashlib.sha256(b"".join(map(world.read_image, world.table))).hexdigest()
print(json.dumps({"picked": picked, "rendering was loaded": is_loaded, "painted": painted}))
"""
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": other},
    )
    return json.loads(done.stdout)


def test_another_process_and_other_threads_paint_the_same_bytes(elsewhere: dict[str, Any]) -> None:
    world = open_world("test", size=24)
    samples = list(world.table)
    painted = [world.read_image(sample) for sample in samples]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(world.read_image, samples)) == painted
    assert elsewhere["painted"] == hashlib.sha256(b"".join(painted[:9])).hexdigest()


def test_opening_renders_nothing(elsewhere: dict[str, Any]) -> None:
    assert elsewhere["picked"] == 100
    assert not elsewhere["rendering was loaded"]


def test_the_world_is_the_one_that_results_were_measured_on() -> None:
    """Changing places or looks makes every recorded result incomparable: then raise `VERSION`."""
    world = open_world("test", size=3)
    assert [(s.latitude, s.longitude, s.country) for s in world.table] == GOLDEN_PLACES
    means = [_pixels(world.read_image(s)).mean(axis=(0, 1)) for s in world.table]
    assert np.abs(np.array(means) - np.array(GOLDEN_COLOURS)).max() < 1.0


def _scenes(latitude: float, longitude: float, country: str, count: int = 400) -> list[Scene]:
    return [imagine(latitude, longitude, country, f"a test {i}") for i in range(count)]


def test_overcast_days_and_hidden_signs_have_their_shares() -> None:
    scenes = _scenes(48.0, 11.0, "DE", 3000)
    assert abs(sum(s.overcast for s in scenes) / 3000 - 0.12) < 0.03
    assert abs(sum(not s.signs for s in scenes) / 3000 - 0.3) < 0.03


def test_the_sun_is_south_in_the_north_and_higher_near_the_equator() -> None:
    north, south = _scenes(52.0, 10.0, "DE"), _scenes(-38.0, 145.0, "AU")
    assert np.mean([s.sun.bearing for s in north]) > 15.0  # right of an eastward road is south
    assert np.mean([s.sun.bearing for s in south]) < -15.0
    heights = [
        np.mean([s.sun.height for s in _scenes(latitude, 20.0, "CD")])
        for latitude in (0.0, 35.0, 60.0)
    ]
    assert heights[0] > heights[1] > heights[2]


def test_snow_falls_in_cold_winters_only() -> None:
    assert not any(s.snow for s in _scenes(1.0, 104.0, "SG"))
    share = sum(s.snow for s in _scenes(62.0, 129.7, "RU")) / 400
    assert 0.3 < share < 0.8


@pytest.mark.parametrize(
    ("codes", "left"),
    [
        (
            ["GB", "IE", "AU", "NZ", "JP", "IN", "TH", "ID", "ZA", "KE", "NA", "HK", "MT", "CY"],
            True,
        ),
        (["US", "DE", "FR", "CN", "BR", "RU", "KR", "PH", "NG", "EG", "MM", "GI", "XK"], False),
    ],
)
def test_the_side_of_the_road(codes: list[str], left: bool) -> None:
    assert [customs(code).drive_left for code in codes] == [left] * len(codes)


def test_a_countrys_road_looks_like_its_own() -> None:
    assert (customs("US").warning, customs("US").centre_line) == ("diamond", "yellow")
    assert (customs("DE").warning, customs("DE").centre_line) == ("triangle", "white")
    assert (customs("SE").warning, customs("CN").warning) == ("yellow_triangle", "black_triangle")
    assert customs("ZA").edge_line == "yellow"
    assert customs("DE").accent != customs("FR").accent


def test_the_side_of_the_road_can_be_seen() -> None:
    """The centre line's yellow lies right of the middle where people drive on the left."""
    world = open_world("test", size=1)
    sample = world.table[0]

    def yellow_columns(country: str) -> float:
        columns: list[float] = []
        for i in range(30):
            row = replace(sample, image=f"x{i}", country=country, latitude=13.7, longitude=100.5)
            picture = _pixels(world.read_image(row))[60:, :, :]
            yellow = (picture[:, :, 0] > 190) & (picture[:, :, 2] < 90) & (picture[:, :, 1] > 130)
            columns += np.flatnonzero(yellow.any(axis=0)).tolist()
        return float(np.mean(columns))

    assert yellow_columns("TH") > 52.0
    assert yellow_columns("CN") < 44.0


def test_nearby_places_look_more_alike_than_distant_ones() -> None:
    def colours(latitude: float, longitude: float) -> list[float]:
        scene = imagine(latitude, longitude, "KZ", "one and the same day")
        return [*scene.wall, *scene.asphalt, *scene.soil, *scene.leaf]

    here = np.array(colours(48.0, 68.0))
    near, far = np.array(colours(49.0, 69.5)), np.array(colours(48.0, -100.0))
    assert np.abs(near - here).max() < 12.0
    assert np.abs(far - here).max() > 25.0


def test_the_contact_sheet_is_made_by_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["contact_sheet", str(out)])
    contact_sheet.main()
    assert out.stat().st_size < 400_000
    assert Image.open(out).width > 800


def test_a_sample_of_another_handle_is_another_day() -> None:
    world = open_world("test", size=1)
    sample: GeoSample = world.table[0]
    assert world.read_image(replace(sample, image="tomorrow")) != world.read_image(sample)
