"""WebDataset tars: every image found by one pass, and none lost quietly."""

import tarfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import pytest

from geospot.data import GeoDataset, open_dataset
from geospot.data.webdataset import open_webdataset
from geospot.errors import ColumnsError, DataError, ImageError
from tests.support.photos import make_photo
from tests.support.tars import Member, write_tar


def pairs(*keys: str, kind: str = "jpg") -> list[Member]:
    """An image and its JSON for each key; the latitude is the key's place in the list."""
    members: list[Member] = []
    for number, key in enumerate(keys):
        members.append((f"{key}.{kind}", key.encode()))
        members.append((f"{key}.json", {"lat": number % 80 + 1, "lng": -number % 80 - 1}))
    return members


def images(dataset: GeoDataset) -> dict[str, bytes]:
    return {sample.id: dataset.read_image(sample) for sample in dataset.table}


def test_several_hundred_samples_in_three_tars(tmp_path: Path) -> None:
    """Long names, names that aren't ASCII, `./` in front, folders: whatever tars have."""
    keys = [f"./a/{n:04d}" for n in range(200)]
    keys += [f"{'deep/' * 30}é{n}" for n in range(100)]
    keys += [f"{n:06d}" for n in range(100)]
    for shard in range(3):
        write_tar(tmp_path / f"test-{shard:03d}.tar", pairs(*keys[shard::3]))

    dataset = open_dataset(str(tmp_path), "test")

    assert dataset.name == tmp_path.name
    assert dataset.table.dropped == {}
    assert len(dataset.table) == 400
    assert set(dataset.table.ids) == {key.removeprefix("./") for key in keys}
    assert images(dataset) == {key.removeprefix("./"): key.encode() for key in keys}


def test_an_image_is_read_from_several_threads_at_once(tmp_path: Path) -> None:
    keys = [f"{n:04d}" for n in range(50)]
    photos = {key: make_photo(key) for key in keys}
    members: list[Member] = []
    for key in keys:
        members.append((f"{key}.jpg", photos[key]))
        members.append((f"{key}.json", {"latitude": 1, "longitude": 1}))
    dataset = open_dataset(str(write_tar(tmp_path / "one.tar", members)))

    samples = list(dataset.table) * 4
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(dataset.read_image, samples))

    assert read == [photos[sample.id] for sample in samples]


def test_what_datasets_would_change_is_kept(tmp_path: Path) -> None:
    meta: dict[str, object] = {
        "id": 12345678901234567,
        "latitude": "-22.5",
        "longitude": 17.0,
        "country": "NA",
        "sub-region": "Khomas",
        "sequence": "abc",
    }
    write_tar(tmp_path / "t.tar", [("k.png", b"png"), ("k.json", meta)])

    (sample,) = open_dataset(str(tmp_path / "t.tar")).table

    assert sample.id == "12345678901234567"
    assert (sample.latitude, sample.longitude) == (-22.5, 17.0)
    assert (sample.country, sample.sub_region, sample.sequence) == ("NA", "Khomas", "abc")


def test_json_nested_under_json(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", [("k.webp", b"w"), ("k.json", {"json": {"lat": 1, "lon": 2}})])

    (sample,) = open_dataset(str(tmp_path / "t.tar")).table

    assert (sample.latitude, sample.longitude) == (1.0, 2.0)


HEADINGS = ("000", "090", "180", "270")
PLACE: dict[str, object] = {"lat": 1.5, "lng": 2.5, "country": "NA"}


@pytest.mark.parametrize(
    "members",
    [
        [*((f"KEY.{h}.jpg", h.encode()) for h in HEADINGS), ("KEY.json", PLACE)],
        [("KEY.json", PLACE), *((f"KEY.{h}.jpg", h.encode()) for h in HEADINGS)],
        [*((f"KEY/{h}.jpg", h.encode()) for h in HEADINGS), ("KEY.json", PLACE)],
        [*((f"KEY/{h}.jpg", h.encode()) for h in HEADINGS), ("KEY/meta.json", PLACE)],
        [
            *chain.from_iterable(
                [(f"KEY/{h}.jpg", h.encode()), (f"KEY/{h}.json", PLACE)] for h in HEADINGS
            )
        ],
    ],
    ids=["dotted", "json first", "folder", "json in the folder", "json each"],
)
def test_each_heading_is_a_sample(tmp_path: Path, members: list[Member]) -> None:
    write_tar(tmp_path / "t.tar", [*members, *pairs("other")])

    dataset = open_dataset(str(tmp_path / "t.tar"))

    assert dataset.table.dropped == {}
    assert images(dataset) == {**{f"KEY/{h}": h.encode() for h in HEADINGS}, "other": b"other"}
    assert {(s.latitude, s.longitude, s.country) for s in dataset.table if s.id != "other"} == {
        (1.5, 2.5, "NA")
    }


def test_two_places_of_headings_keep_their_own_truth(tmp_path: Path) -> None:
    members: list[Member] = []
    for number, key in enumerate(["a/one", "a/two"]):
        members += [(f"{key}/{h}.jpg", f"{key}{h}".encode()) for h in HEADINGS]
        members.append((f"{key}/info.json", {"lat": number + 1, "lng": 5}))
    dataset = open_dataset(str(write_tar(tmp_path / "t.tar", members)))

    assert {s.id: s.latitude for s in dataset.table} == {
        **{f"a/one/{h}": 1.0 for h in HEADINGS},
        **{f"a/two/{h}": 2.0 for h in HEADINGS},
    }


def test_masks_and_other_members_are_no_photos(tmp_path: Path) -> None:
    extra: list[Member] = [
        ("x.seg.png", b"mask"),
        ("x.txt", b"text"),
        ("README", b""),
        ("._x.jpg", b"mac"),
    ]
    dataset = open_dataset(str(write_tar(tmp_path / "t.tar", [*extra, *pairs("x")])))

    assert images(dataset) == {"x": b"x"}
    assert dataset.table.dropped == {}


def test_rows_leave_by_reason_and_a_missing_image_stays(tmp_path: Path) -> None:
    members: list[Member] = [
        ("lonely.jpg", b"no json"),
        ("empty.jpg", b"x"),
        ("empty.json", {"lat": None, "lng": ""}),
        ("far.jpg", b"x"),
        ("far.json", {"lat": 95, "lng": 1}),
        ("broken.jpg", b"x"),
        ("broken.json", b"{nope"),
        ("list.jpg", b"x"),
        ("list.json", b"[1, 2]"),
        ("lost.json", {"lat": 1, "lng": 1}),
    ]
    dataset = open_dataset(str(write_tar(tmp_path / "t.tar", [*members, *pairs("fine")])))

    assert dataset.table.ids == ["fine", "lost"]
    assert dataset.table.dropped == {
        "missing_coordinates": 4,
        "out_of_range": 1,
        "unreadable_json": 2,
    }
    with pytest.raises(ImageError, match="no image of lost"):
        dataset.read_image(dataset.table[1])


def test_columns_can_be_told_and_are_asked_for(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", [("k.jpg", b"x"), ("k.json", {"Breite": 1, "Länge": 2})])

    with pytest.raises(ColumnsError, match=r"Breite, Länge.*--columns latitude=Breite"):
        open_dataset(str(path))
    told = open_dataset(str(path), columns={"lat": "Breite", "lon": "länge"})
    assert (told.table[0].latitude, told.table[0].longitude) == (1.0, 2.0)
    with pytest.raises(ColumnsError, match="no column 'Höhe'"):
        open_dataset(str(path), columns={"lat": "Höhe", "lon": "Länge"})


def test_a_compressed_tar_is_refused_with_advice(tmp_path: Path) -> None:
    for name in ("t.tar.gz", "t.tgz", "named-wrongly.tar"):
        path = write_tar(tmp_path / name, pairs("a"), mode="w:gz")
        with pytest.raises(DataError, match=r"compressed.*gunzip"):
            open_dataset(str(path))


def damaged(path: Path, change: str) -> None:
    """Changes a good tar of 60 members as disks and downloads do."""
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        middle = tar.getmembers()[30]
    if change == "cut in a body":
        data = data[: middle.offset_data + 100]
    elif change == "cut in a header":
        data = data[: middle.offset + 100]
    elif change == "cut between members":
        data = data[: middle.offset]
    elif change == "cut before the end mark":
        data = data[: len(data) - len(data) % 512].rstrip(b"\0")
        data += bytes(-len(data) % 512)
    elif change == "header overwritten":
        data[middle.offset : middle.offset + 512] = b"\xaa" * 512
    elif change == "size changed":
        data[middle.offset + 124 : middle.offset + 135] = b"77777777777"
    elif change == "no tar":
        data = bytearray(b"<html>not found</html>" * 100)
    elif change == "empty":
        data = bytearray()
    path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        "cut in a body",
        "cut in a header",
        "cut between members",
        "cut before the end mark",
        "header overwritten",
        "size changed",
        "no tar",
        "empty",
    ],
)
def test_a_damaged_tar_is_never_taken_for_a_shorter_one(tmp_path: Path, change: str) -> None:
    members: list[Member] = []
    for number in range(30):
        members.append((f"k{number:02d}.jpg", bytes([65 + number]) * 700))
        members.append((f"k{number:02d}.json", {"lat": 1, "lng": 1}))
    path = write_tar(tmp_path / "t.tar", members)
    assert len(open_dataset(str(path)).table) == 30

    damaged(path, change)

    with pytest.raises(DataError, match=r"t\.tar is damaged after") as caught:
        open_dataset(str(path))
    if change in ("cut in a body", "cut in a header", "header overwritten", "size changed"):
        assert "k1" in str(caught.value)


def test_a_tar_that_shrinks_later_costs_images_and_not_the_run(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", pairs("a", "b"))
    dataset = open_dataset(str(path))
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(ImageError, match="shorter"):
        dataset.read_image(dataset.table[1])
    path.unlink()
    with pytest.raises(ImageError, match="can't be read"):
        dataset.read_image(dataset.table[1])


def test_links_and_folders_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    write_tar(path, pairs("a"))
    with tarfile.open(path, "a") as tar:
        for name, kind in (("evil.jpg", tarfile.SYMTYPE), ("folder.jpg", tarfile.DIRTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "/etc/passwd"
            tar.addfile(info)

    table = open_dataset(str(path)).table
    assert table.ids == ["a"]
    assert table.dropped == {}


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    tars = [write_tar(tmp_path / f"{n}.tar", pairs("a", "b")) for n in range(2)]
    told: list[tuple[str, int, int | None]] = []

    def listen(what: str, done: int, of: int | None) -> None:
        told.append((what, done, of))

    open_webdataset(tars, "test", progress=listen)

    total = sum(path.stat().st_size for path in tars)
    assert told[-1] == ("indexing tars", total, total)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_keys_are_those_that_datasets_reads(tmp_path: Path) -> None:
    """`datasets` takes the test tars for WebDataset too, so they are what people have."""
    path = write_tar(
        tmp_path / "t.tar", [("k.jpg", make_photo("k")), ("k.json", {"lat": 1, "lng": 2})]
    )
    untyped: Any = datasets
    rows = untyped.load_dataset(
        "webdataset", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )

    assert rows[0]["__key__"] == open_dataset(str(path)).table.ids[0] == "k"
