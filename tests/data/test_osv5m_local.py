"""OSV-5M in a folder: zips, extracted images, both, and what can be wrong with them."""

import csv
import errno
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from geospot.data.osv5m import LocalFile, open_local_osv5m, prepare
from geospot.data.prepared import ROWS
from geospot.errors import ColumnsError, DataError, ImageError
from tests.support.osv_tree import BAD_ROWS, HEADER, make_osv_tree

# Prepares the folder, and says by how many MB the process has grown at most.
_GROWTH = """
import resource, sys
from pathlib import Path
from geospot.data.osv5m import prepare
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak_mb()
prepare("test", spec=sys.argv[1], cache_dir=Path(sys.argv[1]) / "cache")
print(peak_mb() - before)
"""


def rewrite_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER, restval="")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("extracted", [False, True])
def test_everything_of_the_tree_is_read_as_it_was_written(tmp_path: Path, extracted: bool) -> None:
    truth = make_osv_tree(tmp_path, images=24, zips=3, extracted=extracted, bad_rows=10)
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    assert (dataset.name, dataset.split, dataset.order) == ("osv5m", "test", "hash")
    assert dataset.table.dropped == dict.fromkeys(BAD_ROWS, 2)
    for sample, true in zip(dataset.table, truth, strict=True):
        assert (sample.id, sample.latitude, sample.longitude) == (
            *(true.id, true.latitude, true.longitude),
        )
        assert sample.labels() == true.labels()
        assert sample.sequence == true.sequence
        data = dataset.read_image(sample)
        if extracted:
            assert data == (tmp_path / "images/test" / true.image).read_bytes()
        else:
            with zipfile.ZipFile(tmp_path / "images/test" / f"{true.image[:2]}.zip") as archive:
                assert data == archive.read(true.image)
    dataset.close()


def test_labels_keep_namibia_and_missing_parts(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=12)
    table = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache").table
    countries = {sample.country for sample in table}
    assert "NA" in countries
    assert any((sample.unique_city or "").startswith("Waitangi_NaN_") for sample in table)
    assert any(sample.sub_region is None for sample in table)


def test_ids_keep_their_digits(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=2)
    ids = ["00123", "9007199254740993", "18446744073709551617"]
    rows = [{"id": i, "latitude": "1.5", "longitude": "2.5"} for i in ids]
    rewrite_csv(tmp_path / "test.csv", rows)
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    assert dataset.table.ids == ids


def test_a_mixed_folder_reads_zips_and_extracted_images(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path, images=12, zips=2)
    images = tmp_path / "images/test"
    with zipfile.ZipFile(images / "01.zip") as archive:
        archive.extractall(images)
    (images / "01.zip").unlink()
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    assert all(dataset.read_image(sample)[:2] == b"\xff\xd8" for sample in dataset.table)
    assert len(dataset.table) == len(truth)


def test_selection_is_the_one_of_the_table(tmp_path: Path) -> None:
    from geospot.data.selection import select_by_hash

    make_osv_tree(tmp_path, images=60, bad_rows=5)
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    for limit in (0, 1, 7, 60, 1000, None):
        direct = select_by_hash(dataset.table, dataset="osv5m", split="test", limit=limit, seed=4)
        lean = dataset.select(limit, seed=4)
        assert lean.table.arrow.equals(direct.table.arrow)
        assert lean.table.dropped == dataset.table.dropped
        assert (lean.fingerprint, lean.available) == (direct.fingerprint, direct.available)


def test_a_row_without_an_image_stays_and_is_an_image_error(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=4)
    with (tmp_path / "test.csv").open("a", encoding="utf-8") as file:
        file.write("777,1.5,2.5" + "," * 29 + "\n")
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    assert len(dataset.select(None)) == 5
    [sample] = [sample for sample in dataset.table if sample.id == "777"]
    with pytest.raises(ImageError, match="no image of 777 in images/test"):
        dataset.read_image(sample)


def test_hostile_ids_never_leave_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    make_osv_tree(root, images=2, extracted=True)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    hostile = ["../../../secret", str(tmp_path / "secret"), "..", "a\\b"]
    rewrite_csv(
        root / "test.csv", [{"id": i, "latitude": "1.5", "longitude": "2.5"} for i in hostile]
    )
    dataset = open_local_osv5m(root, "test", cache_dir=tmp_path / "cache")
    for sample in dataset.table:
        with pytest.raises(ImageError, match="refused"):
            dataset.read_image(sample)


def test_an_image_that_cannot_be_opened_costs_its_sample_only(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=2, extracted=True)
    strange = ["9" * 300, "777"]
    (tmp_path / "images/test/00/777.jpg").mkdir()
    rewrite_csv(
        tmp_path / "test.csv", [{"id": i, "latitude": "1.5", "longitude": "2.5"} for i in strange]
    )
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    for sample in dataset.table:
        with pytest.raises(ImageError, match=r"can't be read"):
            dataset.read_image(sample)


def test_a_member_that_is_there_twice_is_ambiguous(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path, images=6, zips=2)
    images = tmp_path / "images/test"
    with zipfile.ZipFile(images / "00.zip", "a") as archive:
        archive.writestr(f"00/{truth[-1].id}.jpg", b"another")  # it is in 01.zip already
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(images / "01.zip", "a") as archive,
    ):
        archive.writestr(truth[-2].image, b"another")
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    twice = {truth[-1].id, truth[-2].id}
    for sample in dataset.table:
        if sample.id in twice:
            with pytest.raises(ImageError, match="more than once"):
                dataset.read_image(sample)
        else:
            assert dataset.read_image(sample)


def test_a_member_that_leaves_its_root_is_refused(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=2)
    with zipfile.ZipFile(tmp_path / "images/test/05.zip", "w") as archive:
        archive.writestr("../../777.jpg", b"x")
    with (tmp_path / "test.csv").open("a", encoding="utf-8") as file:
        file.write("777,1.5,2.5" + "," * 29 + "\n")
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    [sample] = [sample for sample in dataset.table if sample.id == "777"]
    with pytest.raises(ImageError, match="leaves the archive's root, and is refused"):
        dataset.read_image(sample)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=4)
    before = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    shutil.rmtree(tmp_path / "images")
    make_osv_tree(tmp_path, images=9, seed=1)
    after = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    assert (len(before.table), len(after.table)) == (4, 9)
    assert all(after.read_image(sample) for sample in after.table)


def test_the_second_opening_reads_nothing_again(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=4)
    told: list[str] = []
    for _ in range(2):
        told.clear()
        open_local_osv5m(
            tmp_path,
            "test",
            cache_dir=tmp_path / "cache",
            progress=lambda what, done, total: told.append(what),
        )
    assert told == []


def test_prepare_returns_the_parquet_file(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=4)
    path = prepare("test", spec=str(tmp_path), cache_dir=tmp_path / "cache")
    assert path.suffix == ".parquet"
    leftovers = {p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()}
    assert leftovers == {path.name, "lock"}


def test_a_spoilt_cache_says_what_to_delete(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=2)
    path = prepare("test", spec=str(tmp_path), cache_dir=tmp_path / "cache")
    path.write_bytes(path.read_bytes()[:-50])
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match=r"samples\.parquet in the cache can't be read.*Delete it"):
        dataset.select(1)


@pytest.mark.parametrize("damage", ["cut", "no zip"])
def test_a_broken_zip_is_named(tmp_path: Path, damage: str) -> None:
    make_osv_tree(tmp_path, images=8, zips=2)
    path = tmp_path / "images/test/01.zip"
    path.write_bytes(path.read_bytes()[:-300] if damage == "cut" else b"<html>404</html>")
    with pytest.raises(DataError, match=r"01\.zip is no complete zip file"):
        open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")


def test_a_zip_that_goes_away_costs_its_images_only(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path, images=8, zips=2)
    dataset = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    dataset.close()  # lets go of the zip, as a file system that goes away does
    (tmp_path / "images/test/01.zip").unlink()
    for sample, true in zip(dataset.table, truth, strict=True):
        if true.image.startswith("01/"):
            with pytest.raises(ImageError, match=r"01\.zip can't be read"):
                dataset.read_image(sample)
        else:
            assert dataset.read_image(sample)


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        (b"", ColumnsError, "lacks the column 'id'"),
        (b"id,lat\n1,2\n", ColumnsError, "lacks the column 'latitude'"),
        (b"id,latitude,longitude\n1,\xff\xfe,3\n", DataError, "can't be read as CSV"),
        (b'id,latitude,"longitude', DataError, "can't be read as CSV"),
        (b"\xff\xfe,latitude\n", DataError, "can't be read as CSV"),
        (b"id,latitude,longitude,id\n1,2,3,4\n", ColumnsError, "two columns"),
    ],
)
def test_a_csv_that_cannot_be_used_says_why(
    tmp_path: Path, content: bytes, error: type[DataError], sentence: str
) -> None:
    make_osv_tree(tmp_path, images=2)
    (tmp_path / "test.csv").write_bytes(content)
    with pytest.raises(error, match=sentence):
        open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")


def test_rows_with_the_wrong_number_of_cells_are_counted(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=4)
    with (tmp_path / "test.csv").open("a", encoding="utf-8") as file:
        file.write("1,2,3\n")
        file.write('888,1.5,2.5,,,,,,,,,,"Line\nbreak"' + "," * 19 + "\n")
    table = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache").table
    assert table.dropped == {"malformed_row": 1}
    assert table[len(table) - 1].city == "Line\nbreak"


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=2)
    (tmp_path / "ATTRIBUTION.csv").write_text("id,creator\n")  # a table, and no split
    with pytest.raises(DataError, match=r"no train\.csv\. Splits there: test\.$"):
        open_local_osv5m(tmp_path, "train", cache_dir=tmp_path / "cache")
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(DataError, match="no folder images/test"):
        open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match=r"Splits there: none\.$"):
        open_local_osv5m(tmp_path, "train", cache_dir=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=2)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="GEOSPOT_CACHE"):
        open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "file")


@pytest.mark.parametrize("refused", ["cache", "images"])
def test_whose_permissions_are_to_be_mended_is_said(
    tmp_path: Path, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_osv_tree(tmp_path, images=2)

    def refuse(place: Path | LocalFile, _: object = None) -> int:
        path = place if isinstance(place, Path) else place.path
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    if refused == "cache":  # root is refused nothing
        monkeypatch.setattr(Path, "replace", refuse)
        said = r"cache folder .* can't be written \(Permission denied\)\. .*GEOSPOT_CACHE"
    else:
        monkeypatch.setattr(LocalFile, "size", property(refuse))
        said = r"00\.zip can't be read \(Permission denied\)\. Mend its permissions"
    with pytest.raises(DataError, match=said):
        prepare("test", spec=str(tmp_path), cache_dir=tmp_path / "cache")
    assert not [*(tmp_path / "cache").rglob("*.part")]


def test_what_is_prepared_is_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_osv_tree(tmp_path, images=2)
    path = prepare("test", spec=str(tmp_path), cache_dir=tmp_path / "cache")
    (path.parent / "lock").unlink()
    (path.parent / "lock").mkdir()  # so that it can't be opened, by root either
    (path.parent / ROWS).touch()

    def no_access(*_: object) -> bool:
        return False

    monkeypatch.setattr(os, "access", no_access)
    assert len(open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache").table) == 2


def test_all_real_images_open(tmp_path: Path) -> None:
    if "GEOSPOT_OSV5M" not in os.environ:
        pytest.skip("GEOSPOT_OSV5M doesn't name a folder of real OSV-5M files")
    from PIL import Image

    root = Path(os.environ["GEOSPOT_OSV5M"])
    dataset = open_local_osv5m(root, "test", cache_dir=tmp_path)
    selection = dataset.select(None)
    assert len(selection) == 38
    assert dataset.table.dropped == {}
    with (root / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    for sample in selection.table:
        row = rows[sample.id]
        assert sample.latitude == float(row["latitude"])
        assert sample.country == row["country"]
        assert sample.unique_city == row["unique_city"]
        with Image.open(io.BytesIO(dataset.read_image(sample))) as image:
            image.load()
            assert image.format == "JPEG"


def test_a_long_csv_takes_no_more_memory_than_a_part_of_it(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=2)
    padding = "x" * 2000  # the address of a photo, in a column that isn't kept
    head = "id,latitude,longitude,thumb_original_url\n"
    with (tmp_path / "test.csv").open("w", encoding="utf-8") as file:
        file.write(head)
        file.writelines(f"{number},1.5,2.5,{padding}\n" for number in range(200_000))
    command = [sys.executable, "-c", _GROWTH, str(tmp_path)]
    grown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(grown.stdout) < 250, "of a CSV of 400 MB"


def test_a_row_longer_than_several_blocks_is_read(tmp_path: Path) -> None:
    make_osv_tree(tmp_path, images=3)
    with (tmp_path / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[1]["city"] = "x" * 10_000_000
    rewrite_csv(tmp_path / "test.csv", rows)
    table = open_local_osv5m(tmp_path, "test", cache_dir=tmp_path / "cache").table
    assert sorted(len(sample.city or "") > 1000 for sample in table) == [False, False, True]
