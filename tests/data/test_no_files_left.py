"""A photo that can't be opened for want of descriptors isn't blamed: it may be fine."""

import os
import resource
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geospot.data import open_dataset
from geospot.data.dataset import GeoDataset
from geospot.data.folder import has_photos, open_folder
from geospot.errors import ExhaustedError
from tests.support.osv_tree import make_osv_tree
from tests.support.parquet import write_parquet
from tests.support.photos import make_photo
from tests.support.tars import write_tar


@contextmanager
def no_files_left() -> Generator[None]:
    """Within the block this process can open nothing more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)  # the lowest number that isn't in use
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def osv_tree(folder: Path) -> Path:
    make_osv_tree(folder, images=2, extracted=True)  # a zip stays open
    return folder


def photos(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.jpg").write_bytes(make_photo("a"))
    (folder / "metadata.csv").write_text("file_name,latitude,longitude\na.jpg,1,2\n")
    return folder


def table(folder: Path) -> Path:
    return photos(folder) / "metadata.csv"


def tars(folder: Path) -> Path:
    folder.mkdir()
    members = [("a.jpg", make_photo("a")), ("a.json", b'{"latitude": 1, "longitude": 2}')]
    write_tar(folder / "test-0.tar", members)
    return folder


def parquet(folder: Path) -> Path:
    folder.mkdir()
    columns = {"image": [make_photo("a")], "latitude": [1.0], "longitude": [2.0]}
    write_parquet(folder / "test-0.parquet", columns)
    return folder


@pytest.mark.parametrize("make", [osv_tree, photos, table, tars, parquet])
def test_a_photo_is_not_blamed(make: Callable[[Path], Path], tmp_path: Path) -> None:
    data = str(make(tmp_path / "data"))
    dataset = open_dataset(data, "test", cache_dir=tmp_path / "cache")
    try:
        sample = next(iter(dataset.select(1, 0).table))
        with no_files_left(), pytest.raises(ExhaustedError, match="No more files can be opened"):
            dataset.read_image(sample)
        assert dataset.read_image(sample)
    finally:
        dataset.close()


def photos_of_the_test_split(folder: Path) -> GeoDataset:
    return open_folder(folder, "test")


@pytest.mark.parametrize("reads", [photos_of_the_test_split, has_photos])
def test_a_folder_does_not_become_smaller(reads: Callable[[Path], object], tmp_path: Path) -> None:
    folder = photos(tmp_path / "data")
    with no_files_left(), pytest.raises(ExhaustedError, match="No more files can be opened"):
        reads(folder)
    assert reads(folder)
