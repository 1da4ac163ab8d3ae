"""Thumbnails: small, within the budget, without metadata, under names that no id can choose."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from geospot.durable import WriteError
from geospot.runs.thumbnails import THUMBNAILS, ThumbnailStore, find_thumbnail
from tests.support.run_child import photo


def test_the_longest_side_is_256_and_the_shape_stays(tmp_path: Path) -> None:
    assert ThumbnailStore(tmp_path, 1.0).add("a", photo(0, (600, 300)))
    path = find_thumbnail(tmp_path, "a")
    assert path is not None
    with Image.open(path) as image:
        assert image.size == (256, 128)


@pytest.mark.parametrize(("size", "small"), [((600, 1), (256, 1)), ((1, 5000), (1, 256))])
def test_a_line_is_a_photo_too(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    assert ThumbnailStore(tmp_path, 1.0).add("a", photo(0, size))
    path = find_thumbnail(tmp_path, "a")
    assert path is not None
    with Image.open(path) as image:
        assert image.size == small


def test_nothing_says_where_the_photo_was_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET-PLACE"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 7.0)
    for side in (64, 900):
        out = io.BytesIO()
        Image.new("RGB", (side, side)).save(out, "JPEG", exif=exif, comment=b"SECRET-PLACE")
        assert b"SECRET-PLACE" in out.getvalue()
        ThumbnailStore(tmp_path, 1.0).add(f"side-{side}", out.getvalue())
        path = find_thumbnail(tmp_path, f"side-{side}")
        assert path is not None
        assert b"SECRET" not in path.read_bytes()
        with Image.open(path) as image:
            assert not image.getexif()


@pytest.mark.parametrize(
    "sample_id", ["../../escape", "/absolute", "a\0b", "x" * 5000, "", "\ud800", ".", "a.jpg"]
)
def test_an_id_leads_nowhere_else(tmp_path: Path, sample_id: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert ThumbnailStore(run, 1.0).add(sample_id, photo(0))
    path = find_thumbnail(run, sample_id)
    assert path is not None
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    assert list((run / THUMBNAILS).iterdir()) == [path]


def test_the_newest_are_kept_within_the_budget(tmp_path: Path) -> None:
    photos = {f"photo-{i}": photo(i) for i in range(8)}
    size = max(map(len, photos.values()))
    budget_mb = 4.5 * size / 1e6
    store = ThumbnailStore(tmp_path, budget_mb)
    for name in list(photos)[:4]:
        store.add(name, photos[name])
    store.add("photo-0", photos["photo-0"])  # seen again, it is the newest
    store.add("photo-4", photos["photo-4"])
    assert kept(tmp_path) == {"photo-0", "photo-2", "photo-3", "photo-4"}
    age(tmp_path, ["photo-3", "photo-2", "photo-4", "photo-0"])
    resumed = ThumbnailStore(tmp_path, budget_mb)
    resumed.add("photo-5", photos["photo-5"])
    assert kept(tmp_path) == {"photo-0", "photo-2", "photo-4", "photo-5"}
    for name in photos:
        resumed.add(name, photos[name])
    assert sum(path.stat().st_size for path in (tmp_path / THUMBNAILS).iterdir()) <= 4.5 * size


def test_no_budget_no_folder_and_no_image_no_thumbnail(tmp_path: Path) -> None:
    assert not ThumbnailStore(tmp_path, 0).add("a", photo(0))
    assert not ThumbnailStore(tmp_path, 0.0001).add("a", photo(0))
    assert not ThumbnailStore(tmp_path, 1.0).add("a", b"no image")
    assert not (tmp_path / THUMBNAILS).exists()


def test_one_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path, 1.0)
    store.add("a", photo(0))
    path = find_thumbnail(tmp_path, "a")
    assert path is not None
    path.unlink()
    assert store.add("a", photo(0))
    assert path.is_file()


def test_no_room_on_the_disk_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / THUMBNAILS).symlink_to("/proc")
    with pytest.raises(WriteError, match=r"can't be written.*Make room"):
        ThumbnailStore(tmp_path, 1.0).add("a", photo(0))


def kept(folder: Path) -> set[str]:
    return {f"photo-{i}" for i in range(9) if find_thumbnail(folder, f"photo-{i}")}


def age(folder: Path, oldest_first: list[str]) -> None:
    for place, name in enumerate(oldest_first):
        path = find_thumbnail(folder, name)
        assert path is not None
        os.utime(path, (1000 + place, 1000 + place))
