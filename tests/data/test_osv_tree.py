"""The generated tree is what the tests believe it is."""

import csv
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.support.osv_tree import BAD_ROWS, HEADER, make_osv_tree


def test_it_has_the_official_header_and_readable_photos(tmp_path: Path) -> None:
    samples = make_osv_tree(tmp_path, images=13, zips=3, bad_rows=7, exif=True)

    with (tmp_path / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == HEADER
    assert len(HEADER) == 32
    assert len(rows) == 1 + 13 + 7
    members: dict[str, bytes] = {}
    for path in sorted((tmp_path / "images" / "test").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            members |= {name: archive.read(name) for name in archive.namelist()}
    assert sorted(members) == sorted(sample.image for sample in samples)
    assert len(set(members.values())) == 13
    for data in members.values():
        with Image.open(BytesIO(data)) as image:
            image.load()
            assert image.getexif().get_ifd(0x8825)


def test_it_has_namibia_missing_parts_and_long_ids(tmp_path: Path) -> None:
    samples = make_osv_tree(tmp_path)

    assert samples[0].country == "NA"
    assert samples[0].unique_city == "Windhoek_NaN_Khomas_NA"
    assert {len(sample.id) for sample in samples} == {15, 16, 17}


def test_it_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    one = make_osv_tree(tmp_path / "one", seed=1, extracted=True)
    same = make_osv_tree(tmp_path / "same", seed=1, extracted=True)
    other = make_osv_tree(tmp_path / "other", seed=2, extracted=True)

    assert one == same != other
    first = Path("images/test") / one[0].image
    assert (tmp_path / "one" / first).read_bytes() == (tmp_path / "same" / first).read_bytes()


def test_its_bad_rows_are_dealt_in_turn(tmp_path: Path) -> None:
    from geospot.data import open_dataset

    make_osv_tree(tmp_path / "osv", images=4, bad_rows=6)

    dataset = open_dataset(str(tmp_path / "osv"), cache_dir=tmp_path / "cache")

    assert len(dataset.table) == 4
    assert dataset.table.dropped == {**dict.fromkeys(BAD_ROWS, 1), "missing_coordinates": 2}


def test_it_opens_as_osv5m_zipped_and_extracted(tmp_path: Path) -> None:
    from geospot.data import open_dataset

    zipped = make_osv_tree(tmp_path / "zipped", seed=5)
    extracted = make_osv_tree(tmp_path / "extracted", seed=5, extracted=True)

    for root, truth in ((tmp_path / "zipped", zipped), (tmp_path / "extracted", extracted)):
        dataset = open_dataset(str(root), cache_dir=tmp_path / "cache")
        found = {sample.id: sample for sample in dataset.table}
        assert found.keys() == {sample.id for sample in truth}
        for sample in truth:
            same = found[sample.id]
            assert (same.latitude, same.longitude) == (sample.latitude, sample.longitude)
            assert same.labels() == sample.labels()
            assert (
                dataset.read_image(same)
                == (tmp_path / "extracted" / "images" / "test" / sample.image).read_bytes()
            )
        dataset.close()


def test_a_split_that_is_not_there_is_said(tmp_path: Path) -> None:
    from geospot.data import open_dataset
    from geospot.errors import DataError

    make_osv_tree(tmp_path)

    with pytest.raises(DataError, match=r"no split 'train'.*test"):
        open_dataset(str(tmp_path), "train")
