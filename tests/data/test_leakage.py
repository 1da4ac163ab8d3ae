"""Leakage between splits: found completely, without comparing everything with everything."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from geospot.data import GeoSample, SampleTable, open_dataset
from geospot.data.leakage import (
    MAX_DISTANCE,
    Hashes,
    near_duplicates,
    nearest_rows,
    perceptual_hashes,
    shared_rows,
)
from geospot.errors import UsageError
from tests.support.photos import make_photo


def as_hashes(numbers: list[int]) -> tuple[Hashes, Hashes]:
    """These as phashes, with dhashes that all agree."""
    return np.array(numbers, dtype=np.uint64), np.zeros(len(numbers), dtype=np.uint64)


def names(count: int, prefix: str) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


BITS = st.integers(0, 2**64 - 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(BITS, max_size=12), st.lists(BITS, max_size=12), st.data())
def test_the_search_finds_what_comparing_all_pairs_finds(
    ours: list[int], theirs: list[int], data: st.DataObject
) -> None:
    for number in ours:  # neighbours at every distance, that random numbers would never have
        flips = data.draw(st.sets(st.integers(0, 63), max_size=MAX_DISTANCE + 2))
        theirs.append(number ^ sum(1 << bit for bit in flips))
    max_distance = data.draw(st.integers(0, MAX_DISTANCE))

    found = near_duplicates(
        names(len(ours), "a"),
        as_hashes(ours),
        names(len(theirs), "b"),
        as_hashes(theirs),
        max_distance,
    )

    expected: dict[str, tuple[int, str]] = {}
    for i, one in enumerate(ours):
        nearest, j = min(((one ^ other).bit_count(), j) for j, other in enumerate(theirs))
        if nearest <= max_distance:
            expected[f"a{i}"] = (nearest, f"b{j}")
    assert {pair.id: (pair.distance_bits, pair.other_id) for pair in found} == expected
    assert len(found) == len(expected)
    assert [pair.distance_bits for pair in found] == sorted(pair.distance_bits for pair in found)


def test_no_pair_at_the_largest_distance_is_missed() -> None:
    rng = np.random.default_rng(1)
    ours = rng.integers(0, 2**64, 500, dtype=np.uint64)
    flips = [
        sum(1 << int(bit) for bit in rng.choice(64, MAX_DISTANCE, replace=False)) for _ in ours
    ]
    theirs = ours ^ np.array(flips, dtype=np.uint64)
    none = np.zeros(500, dtype=np.uint64)

    found = near_duplicates(names(500, "a"), (ours, none), names(500, "b"), (theirs, none), 7)

    assert {(pair.id, pair.other_id) for pair in found} == {(f"a{n}", f"b{n}") for n in range(500)}


def test_fifty_thousand_by_fifty_thousand_is_no_matter() -> None:
    rng = np.random.default_rng(0)
    ours = rng.integers(0, 2**64, 50_000, dtype=np.uint64)
    theirs = rng.integers(0, 2**64, 50_000, dtype=np.uint64)
    theirs[777] = ours[333] ^ np.uint64(0b1001_0000_0001)
    none = np.zeros(50_000, dtype=np.uint64)

    (pair,) = near_duplicates(
        names(50_000, "a"), (ours, none), names(50_000, "b"), (theirs, none), 6
    )

    assert (pair.id, pair.other_id, pair.distance_bits) == ("a333", "b777", 3)


def test_many_black_photos_are_no_matter() -> None:
    same = as_hashes([0] * 20_000)

    found = near_duplicates(names(20_000, "a"), same, names(20_000, "b"), same, 0)

    assert [pair.id for pair in found] == names(20_000, "a")
    assert {pair.other_id for pair in found} == {"b0"}


def test_a_second_opinion_keeps_fog_apart() -> None:
    ours, theirs = as_hashes([5]), (np.array([5], np.uint64), np.array([2**40 - 1], np.uint64))

    assert near_duplicates(["a"], ours, ["b"], theirs) == []


def test_distances_that_would_be_found_in_part_are_refused() -> None:
    with pytest.raises(UsageError, match="0 to 7 bits"):
        near_duplicates(["a"], as_hashes([1]), ["b"], as_hashes([1]), 8)


def as_jpeg(image: Image.Image, quality: int = 90) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


def hashes_of(photos: list[bytes]) -> tuple[Hashes, Hashes]:
    pairs = [perceptual_hashes(Image.open(io.BytesIO(photo))) for photo in photos]
    return (
        np.array([pair[0] for pair in pairs], np.uint64),
        np.array([pair[1] for pair in pairs], np.uint64),
    )


def test_photos_that_look_the_same_are_found_and_others_are_not() -> None:
    photos = [make_photo(f"{n}", size=(640, 480)) for n in range(40)]
    first = Image.open(io.BytesIO(photos[0]))
    changed = [
        as_jpeg(first, quality=40),
        as_jpeg(first.resize((320, 240))),
        as_jpeg(ImageEnhance.Brightness(first).enhance(1.15)),
    ]
    others = [make_photo(f"other {n}", size=(640, 480)) for n in range(40)]

    found = near_duplicates(
        names(43, "b"), hashes_of([*changed, *others]), names(40, "a"), hashes_of(photos)
    )

    assert {(pair.id, pair.other_id) for pair in found} == {
        ("b0", "a0"),
        ("b1", "a0"),
        ("b2", "a0"),
    }


def sample(
    sample_id: str, latitude: float, longitude: float, sequence: str | None = None
) -> GeoSample:
    return GeoSample(sample_id, latitude, longitude, f"{sample_id}.jpg", sequence=sequence)


def test_shared_ids_and_sequences_are_listed() -> None:
    ours = SampleTable.from_samples(
        [sample("1", 1, 1, "s"), sample("2", 1, 1, "s"), sample("3", 1, 1, "t"), sample("4", 1, 1)]
    )
    theirs = SampleTable.from_samples(
        [sample("9", 1, 1, "s"), sample("3", 1, 1, "u"), sample("8", 1, 1)]
    )

    shared = shared_rows(ours, theirs)

    assert shared.ids == ["3"]
    assert shared.sequences == ["s"]
    assert shared.images_in_shared_sequences == 2


def test_the_nearest_rows_are_looked_at_also_across_the_date_line() -> None:
    ours = SampleTable.from_samples([sample("a", -16.8, 179.99), sample("b", 48.85, 2.35)])
    theirs = SampleTable.from_samples(
        [
            sample("far", 0, 0),
            sample("fiji", -16.8, -179.99),
            sample("rome", 41.9, 12.5),
            sample("paris", 48.86, 2.35),
        ]
    )

    assert [theirs[int(i)].id for i in nearest_rows(ours, theirs, 2)] == ["fiji", "paris"]
    assert nearest_rows(ours, theirs, 10).tolist() == [0, 1, 2, 3]


@pytest.mark.skipif(
    "GEOSPOT_OSV5M" not in os.environ, reason="GEOSPOT_OSV5M names no folder of real OSV-5M files"
)
def test_the_threshold_suits_real_photos(tmp_path: Path) -> None:
    """On real street photos: different ones stay apart, re-encoded and halved ones are found."""
    dataset = open_dataset(os.environ["GEOSPOT_OSV5M"], cache_dir=tmp_path)
    photos = [dataset.read_image(one) for one in dataset.table]
    halved = [Image.open(io.BytesIO(photo)) for photo in photos]
    again = [as_jpeg(image.resize((image.width // 2, image.height // 2)), 60) for image in halved]
    ids = dataset.table.ids

    found = near_duplicates(ids, hashes_of(photos), ids, hashes_of(again))

    assert {(pair.id, pair.other_id) for pair in found} == {(one, one) for one in ids}
