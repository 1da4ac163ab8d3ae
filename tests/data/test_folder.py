"""A folder of photos: by its metadata, or by what the cameras wrote."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from geospot.data import GeoDataset, open_dataset
from geospot.data.exif import gps_position
from geospot.errors import ColumnsError, DataError, ImageError
from tests.support.photos import make_photo


def write_photos(root: Path, *names: str, gps: tuple[float, float] | None = None) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_photo(name, gps=gps))


def truth(dataset: GeoDataset) -> dict[str, tuple[float, float]]:
    return {sample.id: (sample.latitude, sample.longitude) for sample in dataset.table}


def close(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Equal within a ten-millionth of a degree, a centimetre."""
    return all(abs(a - b) < 1e-7 for a, b in zip(one, other, strict=True))


def test_metadata_csv_is_read_as_written(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_photos(root, "a.jpg", "sub/ü b.jpg", "unnamed.png")
    (root / "metadata.csv").write_text(
        "file_name,latitude,longitude,country,id\n"
        "a.jpg,-22.5,17.0,NA,01234567890123456789\n"
        '"sub/ü b.jpg",1.5,-2.5,FR,2\n'
        "gone.jpg,3,4,DE,3\n"
        "a.jpg,,,DE,4\n"
    )

    dataset = open_dataset(str(root))

    assert dataset.name == "photos"
    assert [(s.id, s.country) for s in dataset.table] == [
        ("01234567890123456789", "NA"),
        ("2", "FR"),
        ("3", "DE"),
    ]
    assert dataset.table.dropped == {"missing_coordinates": 1, "not_in_metadata": 1}
    assert dataset.read_image(dataset.table[1]) == (root / "sub/ü b.jpg").read_bytes()
    with pytest.raises(ImageError, match=r"no file gone\.jpg"):
        dataset.read_image(dataset.table[2])


def test_metadata_jsonl_and_ids_from_paths(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "b.jpg")
    rows = [
        {"file_name": "a.jpg", "json": {"lat": 1.25, "lng": 2.5}},
        {"file_name": "b.jpg", "json": {"lat": "91", "lng": 0}},
    ]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    dataset = open_dataset(str(tmp_path))

    assert truth(dataset) == {"a.jpg": (1.25, 2.5)}
    assert dataset.table.dropped == {"out_of_range": 1}


def test_metadata_in_subfolders_names_files_beside_it(tmp_path: Path) -> None:
    for number, name in enumerate(["north", "south"]):
        write_photos(tmp_path, f"{name}/x.jpg")
        (tmp_path / name / "metadata.csv").write_text(
            f"file_name,lat,lon\nx.jpg,{number + 1},5\n,7,7\n"
        )

    dataset = open_dataset(str(tmp_path))

    assert truth(dataset) == {"north/x.jpg": (1.0, 5.0), "south/x.jpg": (2.0, 5.0)}
    assert sum(dataset.table.dropped.values()) == 2
    assert dataset.read_image(dataset.table[1]) == (tmp_path / "south/x.jpg").read_bytes()


def test_the_folder_of_the_split_is_the_data_set(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split in ("train", "test"):
        write_photos(root, f"{split}/x.jpg", f"{split}/{split}.jpg")
        (root / split / "metadata.csv").write_text(
            f"file_name,lat,lon\nx.jpg,1,1\n{split}.jpg,2,2\n"
        )

    assert truth(open_dataset(str(root), "train")) == {"x.jpg": (1, 1), "train.jpg": (2, 2)}
    assert open_dataset(str(root), "test").table.ids == ["x.jpg", "test.jpg"]
    assert open_dataset(str(root), "test").name == "set"
    with pytest.raises(DataError, match=r"no split 'validation'.*train, test"):
        open_dataset(str(root), "validation")


def test_one_metadata_file_above_the_splits(tmp_path: Path) -> None:
    write_photos(tmp_path, "test/x.jpg", "train/y.jpg")
    (tmp_path / "metadata.csv").write_text("file_name,lat,lon\ntest/x.jpg,1,1\ntrain/y.jpg,2,2\n")

    dataset = open_dataset(str(tmp_path), "test")

    assert truth(dataset) == {"x.jpg": (1.0, 1.0)}
    assert dataset.read_image(dataset.table[0]) == (tmp_path / "test/x.jpg").read_bytes()


def test_columns_of_metadata_may_be_told(tmp_path: Path) -> None:
    write_photos(tmp_path, "x.jpg")
    (tmp_path / "metadata.csv").write_text("file_name,Breite,Länge\nx.jpg,1,2\n")

    with pytest.raises(ColumnsError, match=r"file_name, Breite, Länge.*--columns latitude=Breite"):
        open_dataset(str(tmp_path))
    told = open_dataset(str(tmp_path), columns={"latitude": "Breite", "longitude": "Länge"})
    assert truth(told) == {"x.jpg": (1.0, 2.0)}


def test_paths_that_leave_the_folder_are_image_errors(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_photos(root, "in.jpg", "sub/in.jpg")
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(make_photo("secret"))
    (root / "link.jpg").symlink_to(secret)
    (root / "inner.jpg").symlink_to(root / "in.jpg")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    refused = ["../secret.jpg", "sub/../../secret.jpg", str(secret), "..\\secret.jpg"]
    refused += ["link.jpg", "loop.jpg", "sub"]
    refused += [str(root / "in.jpg")]  # absolute, though it would be inside
    fine = ["in.jpg", "inner.jpg", "sub/../in.jpg", "sub\\..\\in.jpg"]
    lines = [f"{name},1,{number + 1}" for number, name in enumerate([*refused, *fine])]
    (root / "metadata.csv").write_text("\n".join(["file_name,lat,lon", *lines]))

    dataset = open_dataset(str(root))

    samples = {sample.id: sample for sample in dataset.table}
    assert samples.keys() == {*refused, *fine}
    for name in refused:
        with pytest.raises(ImageError):
            dataset.read_image(samples[name])
    for name in fine:
        assert dataset.read_image(samples[name]) == (root / "in.jpg").read_bytes()


def test_exif_alone_is_truth_enough(tmp_path: Path) -> None:
    places = {"a.jpg": (-22.559412, 17.083234), "deep/b.jpeg": (48.853411, -2.348812)}
    for name, place in places.items():
        write_photos(tmp_path, name, gps=place)
    write_photos(tmp_path, "none.jpg", ".hidden/c.jpg", gps=None)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 broken")

    dataset = open_dataset(str(tmp_path))

    found = truth(dataset)
    assert found.keys() == places.keys()
    for name, place in places.items():
        assert close(found[name], place)
    assert dataset.table.dropped == {"missing_coordinates": 2}


def test_a_name_that_is_no_text_is_counted(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", gps=(1.0, 2.0))
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(make_photo("b", gps=(1.0, 2.0)))

    dataset = open_dataset(str(tmp_path))

    assert dataset.table.ids == ["a.jpg"]
    assert dataset.table.dropped == {"name_not_utf8": 1}


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        ({1: "N", 2: (48.0, 30.0, 36.0), 3: "W", 4: (2.0, 15.0, 0.0)}, (48.51, -2.25)),
        ({1: "s", 2: (1.5,), 3: "E", 4: (2.0, 30.0)}, (-1.5, 2.5)),
        ({1: "S", 2: (IFDRational(45, 2), 0.0, 0.0), 3: "E", 4: (17.0, 0.0, 0.0)}, (-22.5, 17.0)),
        ({2: (48.0, 30.0, 36.0), 4: (2.0, 15.0, 0.0)}, None),
        ({1: "N", 2: (48.0, 30.0, 36.0), 3: "W"}, None),
        ({1: "E", 2: (48.0, 30.0, 36.0), 3: "N", 4: (2.0, 15.0, 0.0)}, None),
        ({1: "N", 2: (IFDRational(48, 0), 0.0, 0.0), 3: "W", 4: (2.0, 0.0, 0.0)}, None),
        ({1: "N", 2: (48.0, 0.0, IFDRational(0, 0)), 3: "W", 4: (2.0, 0.0, 0.0)}, None),
    ],
)
def test_gps_tags_of_every_kind(
    tmp_path: Path, gps: dict[int, Any], expected: tuple[float, float] | None
) -> None:
    exif = Image.Exif()
    exif[0x8825] = gps
    Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg", exif=exif)

    found = gps_position(tmp_path / "x.jpg")

    assert close(found, expected) if found and expected else found is expected


def test_exif_of_png_and_thirds_of_a_degree(tmp_path: Path) -> None:
    exif = Image.Exif()
    third, two_thirds = IFDRational(1, 3), IFDRational(2, 3)
    exif[0x8825] = {1: "N", 2: (third, 0.0, 0.0), 3: "E", 4: (two_thirds, 0.0, 0.0)}
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png", exif=exif)

    found = gps_position(tmp_path / "x.png")

    assert found is not None
    assert close(found, (1 / 3, 2 / 3))
