"""Which images are asked, and the fingerprint of the choice: pinned, since results of years hang on it.

The literal hashes were computed with `sha256sum` and `sort` in a shell, not with this library.
"""

import hashlib
from pathlib import Path

import pytest

from geospot.data import open_dataset
from geospot.data.sample import GeoSample, SampleTable
from geospot.data.selection import (
    Selection,
    fingerprint,
    ranked_indices,
    select_by_hash,
    sorted_sha256,
)
from tests.support.osv_tree import make_osv_tree

IDS = ["b/2.jpg", "a", "Zürich-北", "00123", "x:y", "9007199254740993", "São Paulo", "-1"]
ORDER = {
    0: ["-1", "x:y", "Zürich-北", "a", "b/2.jpg", "9007199254740993", "São Paulo", "00123"],
    7: ["9007199254740993", "x:y", "b/2.jpg", "-1", "a", "Zürich-北", "São Paulo", "00123"],
}
"""Every id, by SHA-256 of `seed:id`."""


def choose(limit: int | None, seed: int, ids: list[str] = IDS) -> Selection:
    table = SampleTable.from_samples([GeoSample(name, 1.5, 2.5, "") for name in ids])
    return select_by_hash(table, dataset="street", split="test", limit=limit, seed=seed)


def by_definition(dataset: str, split: str, ids: list[str]) -> str:
    """SHA-256 of name, split and the sorted ids, one a line, UTF-8; sorted as bytes here."""
    lines = [dataset.encode(), split.encode(), *sorted(name.encode() for name in ids)]
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def ranked_by_definition(ids: list[str], seed: int) -> list[str]:
    return sorted(ids, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())


@pytest.mark.parametrize("seed", [0, 7])
def test_the_chosen_ids_are_pinned(seed: int) -> None:
    assert ranked_by_definition(IDS, seed) == ORDER[seed]
    for limit in range(1, len(IDS) + 1):
        assert choose(limit, seed).table.ids == ORDER[seed][:limit]  # so a larger limit has it all
        assert choose(limit, seed, IDS[::-1]).table.ids == ORDER[seed][:limit]
    for everything in (None, 100):
        assert choose(everything, seed).table.ids == ORDER[seed]


@pytest.mark.parametrize(
    ("seed", "limit", "expected"),
    [
        (0, 3, "f889d82d4e6e31975af46b1a97e4db0ee07aee1002470cddbb5298f0997a2920"),
        (0, 5, "0ece2604d52e202901ad8d87dde8d26ab7ee4d7700858c2aed0dcdc2acb3f3b8"),
        (7, 3, "36c0bb22985d01b1ba7177f14368988b189988ca0ad4d2f6296b6048e4efcb8a"),
        (7, 5, "94989c2ff75d897771c77305e196a78c78d6c8a812e164438f5533c805ede25f"),
        (0, None, "62eb6c4686ecd2f389021b0b88ee9725d2869ff927f3d37436a77e01bb50df4c"),
        (7, None, "62eb6c4686ecd2f389021b0b88ee9725d2869ff927f3d37436a77e01bb50df4c"),
    ],
)
def test_the_fingerprint_of_a_choice_is_pinned(seed: int, limit: int | None, expected: str) -> None:
    chosen = choose(limit, seed)

    assert chosen.fingerprint == expected
    assert by_definition("street", "test", ORDER[seed][:limit]) == expected
    assert (chosen.order, chosen.available) == ("hash", len(IDS))


def test_name_split_ids_and_order_each_make_another_fingerprint() -> None:
    pinned = "d76b481fa6b72735e03158a6d0f8843a099cc0c8f0d735cf0186a7fe8e435919"

    assert fingerprint("street", "test", ["a", "00123"], order="hash") == pinned
    assert fingerprint("street", "test", ["00123", "a"], order="hash") == pinned
    assert fingerprint("street", "test", ["a", "00123"], order="stream") == f"order=stream:{pinned}"
    others = [
        fingerprint("streets", "test", ["a", "00123"], order="hash"),
        fingerprint("street", "train", ["a", "00123"], order="hash"),
        fingerprint("street", "test", ["a", "123"], order="hash"),
        fingerprint("street", "test", ["a"], order="hash"),
    ]
    assert len({pinned, *others}) == 5
    assert others[0] == by_definition("streets", "test", ["a", "00123"])


@pytest.mark.parametrize("count", [0, 1, 7, 1024, 2500])
def test_lines_are_hashed_in_the_order_of_code_points(count: int) -> None:
    """UTF-16 would sort U+1F600 before U+FFFF; a prefix comes before what it begins."""
    stems = ["", "a", "a,", "a b", "Zürich", "é", "e\u0301", "北京", "\uffff", "\U0001f600"]
    lines = [f"{stems[i % len(stems)]}{i // len(stems) or ''}" for i in range(count)]

    for head in ([], ["name"], ["name", "split"]):
        by_hand = "\n".join([*head, *sorted(lines)]).encode()
        assert sorted_sha256(reversed(lines), head) == hashlib.sha256(by_hand).hexdigest()


def test_a_stream_of_ids_is_ranked_like_a_list() -> None:
    for limit in (1, 3, None):
        places = ranked_indices(iter(IDS), limit=limit, seed=7)
        assert [IDS[place] for place in places] == ORDER[7][:limit]


@pytest.mark.parametrize("seed", [0, 3])
def test_every_way_to_open_files_chooses_by_the_definition(tmp_path: Path, seed: int) -> None:
    """A table and OSV-5M's layout choose by different code: the latter holds no table."""
    truth = make_osv_tree(tmp_path / "osv", images=12)
    rows = "".join(f"{name},1.5,2.5,x.jpg\n" for name in IDS)
    (tmp_path / "street.csv").write_text(f"id,lat,lon,image\n{rows}", encoding="utf-8")

    for spec, name, ids in (
        (tmp_path / "osv", "osv5m", [sample.id for sample in truth]),
        (tmp_path / "street.csv", "street", IDS),
    ):
        opened = open_dataset(str(spec), "test", cache_dir=tmp_path / "cache")
        chosen = opened.select(5, seed)
        expected = ranked_by_definition(ids, seed)[:5]
        assert chosen.table.ids == expected
        assert chosen.fingerprint == by_definition(name, "test", expected)
        assert chosen.seed == seed
        opened.close()
