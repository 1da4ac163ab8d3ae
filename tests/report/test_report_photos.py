"""The photos of a report: from wherever the result says they are, and never an error."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from geospot.data.progress import silent
from geospot.report.photos import Photos, read_photos
from geospot_leaderboard.collect import read_result
from tests.support.photos import make_photo
from tests.support.web import Answer, web_server

pq: Any = pyarrow.parquet
RL = Path(__file__).parents[1] / "recordings" / "results" / "rl"
IDS = [json.loads(line)["id"] for line in (RL / "samples.jsonl").read_text().splitlines()]


def photos_of(copy: Path, *, fetch: bool = False) -> Photos:
    return read_photos(read_result(copy), IDS, silent, fetch=fetch)


def copy_about(copy: Path, spec: str, **described: Any) -> Path:
    """A result that says this of its data set."""
    shutil.copytree(RL, copy)
    manifest = json.loads((copy / "eval.json").read_text())
    manifest["dataset"] |= {"spec": spec, **described}
    (copy / "eval.json").write_text(json.dumps(manifest))
    return copy


def open_pattern(form: str) -> list[str]:
    return ["some-0.tar", "some-1.tar"] if "{" in form else [form]


def write_tar(path: Path, ids: list[str], photo: bytes) -> None:
    """A WebDataset of this photo under every id."""
    with tarfile.open(path, "w") as tar:
        for one in ids:
            row = json.dumps({"id": one, "lat": 1.5, "lon": 2.5}).encode()
            for suffix, content in (("jpg", photo), ("json", row)):
                member = tarfile.TarInfo(f"{one}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("form", ["test.csv", "test.parquet", "some.tar", "some-{0..1}.tar", "."])
def test_photos_come_from_whatever_is_on_this_machine(tmp_path: Path, form: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    photo = make_photo("a street")
    if form.endswith(".tar"):
        for place, name in enumerate(open_pattern(form)):
            write_tar(data / name, IDS[place :: len(open_pattern(form))], photo)
    elif form.endswith(".parquet"):
        rows = {"id": IDS, "lat": [1.5] * len(IDS), "lon": [2.5] * len(IDS)}
        pq.write_table(pa.table(rows | {"image": [photo] * len(IDS)}), data / form)
    else:
        (data / "a.jpg").write_bytes(photo)
        lines = "".join(f"{one},a.jpg,1.5,2.5\n" for one in IDS)
        (data / "test.csv").write_text(f"id,image,lat,lon\n{lines}")
    photos = photos_of(copy_about(tmp_path / "copy", str(data / form)))
    assert photos.by_id.keys() == set(IDS)
    assert photos.reason == ""


@pytest.mark.parametrize("form", ["**/b-*.tar", "*/b-*.tar", "{**/b-0.tar}", "."])
def test_a_stranger_has_no_disk_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    disk = tmp_path / "disk"
    (disk / "d").mkdir(parents=True)
    for number in range(30):
        (disk / f"{number}.txt").touch()
    if form == ".":
        (disk / "d" / "a.jpg").write_bytes(make_photo("a street"))
        lines = "".join(f"{one},a.jpg,1.5,2.5\n" for one in IDS)
        (disk / "d" / "metadata.csv").write_text(f"id,file_name,lat,lon\n{lines}")
    else:
        write_tar(disk / "d" / "b-0.tar", IDS, make_photo("a street"))
    copy = copy_about(tmp_path / "copy", str(disk / form))
    monkeypatch.setattr("geospot.report.photos.MOST_FILES", 30)
    none = photos_of(copy)
    assert not none.by_id
    assert none.reason == (
        "Without photos: more than 30 files would have to be looked through for them, "
        "and --fetch-photos wasn't given."
    )
    assert len(photos_of(copy, fetch=True).by_id) == len(IDS)
    monkeypatch.setattr("geospot.report.photos.MOST_FILES", 40)
    assert len(photos_of(copy).by_id) == len(IDS)


@pytest.mark.parametrize("form", ["test.csv", "."])
def test_a_table_here_makes_no_request_that_was_not_asked_for(tmp_path: Path, form: str) -> None:
    with web_server(lambda _: Answer(404)) as server:
        lines = "".join(f"{one},{server.url}/{one}.jpg,1.5,2.5\n" for one in IDS)
        (tmp_path / "test.csv").write_text(f"id,image,lat,lon\n{lines}")
        copy = copy_about(tmp_path / "copy", str(tmp_path / form))
        reason = photos_of(copy).reason
        assert server.asked == []
        assert (
            reason == f"{len(IDS)} photos aren't on this machine, and --fetch-photos wasn't given."
        )
        photos_of(copy, fetch=True)
        assert len(server.asked) == len(IDS)


@pytest.mark.parametrize(
    "spec",
    [
        *("~nosuchuser/x", "a\0/*.tar", "\ud800/*.tar", "no-{0..3}.tar"),
        pytest.param("x" * 300, id="long"),
        pytest.param("a/" + "x" * 300 + ".tar", id="long tar"),
        pytest.param("{a}" * 2000 + ".tar", id="braces"),
        pytest.param("*/" * 1000 + ".tar", id="folders"),
    ],
)
@pytest.mark.parametrize("fetch", [False, True])
def test_no_name_of_a_data_set_ends_a_report(tmp_path: Path, spec: str, fetch: bool) -> None:
    photos = photos_of(copy_about(tmp_path / "copy", spec), fetch=fetch)
    assert photos.reason.startswith("Without photos: ")


@pytest.mark.parametrize(
    "split",
    [
        *("/x", "\0", "\ud800", "../x"),
        pytest.param("x" * 300, id="long"),
        pytest.param("a/" * 3000, id="folders"),
        pytest.param("a/../" * 200, id="to and fro"),
    ],
)
def test_no_name_of_a_split_ends_a_report(tmp_path: Path, split: str) -> None:
    (tmp_path / "train.csv").write_text("id,image,lat,lon\na,a.jpg,1.5,2.5\n")
    copy = copy_about(tmp_path / "copy", str(tmp_path), split=split)
    assert photos_of(copy).reason.startswith("Without photos: ")


@pytest.mark.parametrize(
    ("config", "are_there"), [([1], True), ({"columns": 5}, True), ({"columns": [None]}, False)]
)
def test_columns_of_another_shape_are_no_error(
    tmp_path: Path, config: object, are_there: bool
) -> None:
    copy = copy_about(tmp_path / "copy", "world")
    manifest = json.loads((copy / "eval.json").read_text())
    (copy / "eval.json").write_text(json.dumps(manifest | {"config": config}))
    photos = photos_of(copy)
    assert photos.by_id.keys() == set(IDS if are_there else ())
    assert bool(photos.reason) != are_there


def test_photos_elsewhere_are_asked_for_only_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copy_about(tmp_path / "copy", "osv5m/osv5m")
    asked: list[str] = []

    def ask(spec: str, *_said: object, **_options: object) -> None:
        asked.append(spec)

    monkeypatch.setattr("geospot.report.photos.open_dataset", ask)
    photos_of(copy)
    assert asked == []
