"""`geospot data check`: what it says is what is there."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from geospot.data import open_dataset
from geospot.data.check import check
from geospot.data.selection import fingerprint
from tests.support import evaluating
from tests.support.hub_server import Repo, serving
from tests.support.osv_tree import make_osv_tree
from tests.support.photos import make_photo
from tests.support.tars import Member, write_tar
from tests.support.web import Answer, web_server


def geospot(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    return evaluating.geospot("data", *arguments, env={"GEOSPOT_CACHE": str(cache)})


def report_of(*arguments: str, cache: Path) -> dict[str, Any]:
    done = geospot("check", *arguments, "--json", cache=cache)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_tree_is_reported_exactly(tmp_path: Path) -> None:
    root = tmp_path / "osv"
    truth = make_osv_tree(root, images=100, zips=3, bad_rows=7, exif=True)

    report = report_of(str(root), "--limit", "40", "--seed", "5", cache=tmp_path)

    assert report["rows"] == 100
    assert report["dropped"] == {
        "duplicate_id": 1,
        "missing_coordinates": 2,
        "not_a_number": 1,
        "null_island": 2,
        "out_of_range": 1,
    }
    assert len(report["countries"]) == 12
    assert report["countries"]["NA"] == 9
    assert sum(report["countries"].values()) == 100
    images = report["images"]
    assert images["examined"] == report["selected"] == 40
    assert images["formats"] == {"JPEG": 40}
    assert images["with_gps"] == 40
    assert images["unreadable"] == []
    selection = open_dataset(str(root), cache_dir=tmp_path).select(40, 5)
    assert report["fingerprint"] == selection.fingerprint
    ids = [sample.id for sample in truth]
    assert report["fingerprint_all"] == fingerprint(report["dataset"], "test", ids, order="hash")
    assert report["leakage"] is None


def write_sizes(root: Path) -> None:
    """Photos of known sizes, and everything that can be wrong with one."""
    root.mkdir()
    for name, size, kind in (
        ("small.jpg", (100, 50), "JPEG"),
        ("middle.png", (200, 300), "PNG"),
        ("large.webp", (400, 300), "WEBP"),
    ):
        (root / name).write_bytes(make_photo(name, size=size, kind=kind))
    (root / "cut.jpg").write_bytes(make_photo("cut", size=(400, 400))[:2000])
    (root / "text.jpg").write_text("no photo")
    (root / "empty.jpg").write_bytes(b"")
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    (root / "bomb.png").write_bytes(bomb.getvalue())
    names = ["small.jpg", "middle.png", "large.webp", "cut.jpg", "text.jpg", "empty.jpg"]
    names += ["bomb.png", "gone.jpg", "../out.jpg"]
    rows = [f"{name},{number + 1},1," for number, name in enumerate(names)]
    (root / "metadata.csv").write_text("\n".join(["file_name,lat,lon,country", *rows]))


def test_sizes_formats_and_unreadable_images(tmp_path: Path) -> None:
    write_sizes(tmp_path / "photos")

    report = report_of(str(tmp_path / "photos"), cache=tmp_path)

    images = report["images"]
    assert images["examined"] == 9
    assert images["formats"] == {"JPEG": 1, "PNG": 1, "WEBP": 1}
    assert images["pixels"] == {"min": 5000, "median": 60000, "max": 120000}
    assert images["longest_side"] == {"min": 100, "median": 300, "max": 400}
    readable = [tmp_path / "photos" / name for name in ("small.jpg", "middle.png", "large.webp")]
    sizes = sorted(path.stat().st_size for path in readable)
    assert [images["bytes"][key] for key in ("min", "median", "max")] == sizes
    reasons = {bad["id"]: bad["reason"] for bad in images["unreadable"]}
    assert reasons.keys() == {
        "cut.jpg",
        "text.jpg",
        "empty.jpg",
        "bomb.png",
        "gone.jpg",
        "../out.jpg",
    }
    assert not [reason for reason in reasons.values() if "object at 0x" in reason]
    assert "refused" in reasons["../out.jpg"]
    assert "bsurdly large" in reasons["bomb.png"] or "exceeds limit" in reasons["bomb.png"]
    assert report["countries"] == {}
    assert report["without_country"] == 9


def test_tables_for_people_say_the_same(tmp_path: Path) -> None:
    write_sizes(tmp_path / "photos")

    done = geospot("check", str(tmp_path / "photos"), cache=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "9 with valid truth" in done.stdout
    assert "min 100 px, median 300 px, max 400 px" in done.stdout
    assert "6, each an image_error" in done.stdout
    assert "../out.jpg" in done.stdout
    assert "unknown; no row says its country" in done.stdout


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_data_set_without_any_truth_says_what_to_do(tmp_path: Path, as_json: list[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (photos / name).write_bytes(make_photo(name))

    done = geospot("check", str(photos), *as_json, cache=tmp_path)

    assert done.returncode == 1
    assert "missing_coordinates" in done.stdout
    assert "No row has a valid true place. Photos without a GPS position" in done.stderr
    assert "metadata.csv" in done.stderr
    if not as_json:
        [countries] = [line for line in done.stdout.splitlines() if "countries" in line]
        assert countries.split() == ["countries", "none"]

    header = "file_name,latitude,longitude\n"
    (photos / "metadata.csv").write_text(f"{header}a.jpg,91,1\nb.jpg,92,1\n")
    assert "Mend those rows" in geospot("check", str(photos), *as_json, cache=tmp_path).stderr
    (photos / "metadata.csv").write_text(f"{header}a.jpg,1.5,1\n")
    assert geospot("check", str(photos), *as_json, cache=tmp_path).returncode == 0


def test_some_countries_are_counted_beside_those_without(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,lat,lon,country\na.jpg,1,1,NA\nb.jpg,1,1,NA\nc.jpg,1,1,\n")

    assert "1: NA 2; 1 without" in geospot("check", str(table), cache=tmp_path).stdout


def test_leakage_is_found_by_id_sequence_and_look(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for split, count in (("test", 40), ("train", 60)):
        (root / split).mkdir(parents=True)
        rows = ["file_name,lat,lon,id,sequence"]
        for number in range(count):
            name = f"{number}.jpg"
            photo = make_photo(f"{split}{number}", size=(320, 240))
            if split == "train" and number < 3:  # three of test's photos again, encoded anew
                with Image.open(root / "test" / name) as image:
                    image.save(root / split / name, quality=40)
            else:
                (root / split / name).write_bytes(photo)
            sample_id = "same" if number == 7 else f"{split}{number}"
            sequence = "drive" if number % 20 == 0 else f"{split}-{number}"
            rows.append(f"{name},{number + 1},{number + 1},{sample_id},{sequence}")
        (root / split / "metadata.csv").write_text("\n".join(rows))

    leakage = report_of(str(root), "--against", "train", "--limit", "all", cache=tmp_path)[
        "leakage"
    ]

    assert leakage["against"] == "train"
    assert leakage["rows"] == 60
    assert leakage["shared"] == {
        "ids": ["same"],
        "sequences": ["drive"],
        "images_in_shared_sequences": 2,
    }
    pairs = {(pair["id"], pair["other_id"]) for pair in leakage["near_duplicates"]}
    assert pairs == {(f"test{n}", f"train{n}") for n in range(3)}
    assert leakage["images_compared"] == [40, 60]
    shown = geospot("check", str(root), "--against", "train", cache=tmp_path).stdout
    assert "3 of 40 images, compared with 40" in shown
    assert "test0 looks like train0" in shown


def test_an_unavailable_source_is_reported_and_does_not_end_the_check(tmp_path: Path) -> None:
    def answer(path: str) -> Answer:
        return Answer(503) if path == "/1.jpg" else Answer(body=make_photo(path))

    with web_server(answer) as server:
        rows = [f"{server.url}/{number}.jpg,{number + 1},1" for number in range(3)]
        (tmp_path / "t.csv").write_text("\n".join(["url,lat,lon", *rows]))
        dataset = open_dataset(str(tmp_path / "t.csv"))
        report = check(dataset)
        dataset.close()

    (bad,) = report.images.unreadable
    assert bad.id == f"{server.url}/1.jpg"
    assert "503" in bad.reason


def test_a_stream_is_checked_as_far_as_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_osv_tree(tmp_path / "osv", extracted=True)
    truth = [(path.stem, path.read_bytes()) for path in sorted((tmp_path / "osv").rglob("*.jpg"))]
    members: list[Member] = []
    for key, photo in truth:
        members.append((f"{key}.jpg", photo))
        members.append((f"{key}.json", {"latitude": 1.5, "longitude": 2.5, "country": "NA"}))
    tar = write_tar(tmp_path / "test-000.tar", members)
    with serving({"me/streets": Repo({"test-000.tar": tar.read_bytes()})}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        report = report_of("me/streets", "--limit", "5", cache=tmp_path / "cache")

    assert report["order"] == "stream"
    assert report["rows"] == report["images"]["examined"] == 5
    assert report["fingerprint"].startswith("order=stream:")
    assert report["fingerprint_all"] is None
    assert report["countries"] == {"NA": 5}


def test_a_data_set_without_a_single_good_row_is_reported(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text('path,lat,lon\nx.jpg,"48,85","2,35"\n')
    (tmp_path / "train.csv").write_text("path,lat,lon\n")

    done = geospot("check", str(tmp_path), "--against", "train", "--json", cache=tmp_path)

    assert done.returncode == 1
    assert "with a decimal point, like 48.85" in done.stderr
    report = json.loads(done.stdout)
    assert report["rows"] == 0
    assert report["dropped"] == {"not_a_number": 1}
    assert report["images"]["pixels"] is None
    assert report["leakage"]["near_duplicates"] == []
    assert "not_a_number 1" in geospot("check", str(tmp_path), cache=tmp_path).stdout


def test_hostile_names_reach_no_terminal(tmp_path: Path) -> None:
    evil = "\x1b[2J[bold]NA\u202e"
    (tmp_path / "t.csv").write_text(f'path,lat,lon,country,id\nx.jpg,1,1,"{evil}","{evil}"\n')

    done = geospot("check", str(tmp_path / "t.csv"), cache=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "[bold]" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "many"], "--limit 'many' is no number"),
        (["--limit", "0"], "--limit '0' is no number"),
        (["--against", "test"], "leaks into itself"),
        (["--max-distance", "9"], "--max-distance"),
        (["--columns", "lat"], "--columns lat=Breite"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    make_osv_tree(tmp_path / "osv", images=2)
    make_osv_tree(tmp_path / "osv", images=2, split="train")

    done = geospot("check", str(tmp_path / "osv"), "--against", "train", *arguments, cache=tmp_path)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_prepare_builds_what_opening_uses(tmp_path: Path) -> None:
    make_osv_tree(tmp_path / "osv", split="train")

    done = geospot("prepare", str(tmp_path / "osv"), "--split", "train", cache=tmp_path / "cache")

    assert done.returncode == 0, done.stderr
    built = Path(done.stdout.removeprefix("Prepared: ").strip())
    assert built.is_file()
    assert built.is_relative_to(tmp_path / "cache")
    before = built.stat().st_mtime_ns
    assert (
        len(open_dataset(str(tmp_path / "osv"), "train", cache_dir=tmp_path / "cache").table) == 12
    )
    assert built.stat().st_mtime_ns == before
    wrong = geospot("prepare", str(tmp_path), cache=tmp_path / "cache")
    assert wrong.returncode == 2
    assert "needs no preparation" in wrong.stderr
