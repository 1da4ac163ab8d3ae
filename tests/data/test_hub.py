"""Any hub data set, with the real `datasets` and `huggingface_hub` over real sockets."""

import hashlib
import io
import json
import os
import random
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from geospot.data.hub import open_hub
from geospot.data.spool import Spool, read_spooled
from geospot.errors import SourceUnavailableError
from tests.support.hub_child import Child, answer_requests
from tests.support.hub_server import Fault, HubServer, Repo, serving
from tests.support.osv_repo import repo_of
from tests.support.osv_tree import make_osv_tree

pq: Any = pyarrow.parquet
RNG = random.Random(11)
IMAGES = [RNG.randbytes(20_000 + 100 * n) for n in range(60)]
SUMS = [hashlib.sha256(data).hexdigest() for data in IMAGES]
FEATURES = {
    "image": {"_type": "Image"},
    "lat": {"dtype": "float64", "_type": "Value"},
    "lng": {"dtype": "float64", "_type": "Value"},
    "country": {"dtype": "string", "_type": "Value"},
}
PLANTED = "hf_planted"


def environment(server: HubServer, home: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return clean | {"HF_ENDPOINT": server.url, "HF_HOME": str(home / "hf")} | more


def ask(
    server: HubServer,
    home: Path,
    repo: str,
    split: str,
    limit: str,
    columns: Mapping[str, str] | None = None,
    **more: str,
) -> dict[str, Any]:
    """What a child says of this selection; one child answers all that is asked in its environment."""
    variables = environment(server, home, **more)
    key = json.dumps(variables, sort_keys=True)
    if key not in children:
        children[key] = Child(answer_requests, environment=variables)
    pipe = children[key].pipe
    pipe.send((repo, split, limit, home / "cache", dict(columns or {})))
    return pipe.recv()


children: dict[str, Child] = {}


@pytest.fixture(autouse=True)
def no_child_outlives_its_test() -> Iterator[None]:
    yield
    end_children()


def end_children() -> None:
    """Ends every child, so that what is asked next is asked of a new process."""
    for child in children.values():
        child.kill()
    children.clear()


def parquet(
    images: Sequence[bytes | None],
    *,
    features: bool = True,
    bad: Sequence[int] = (),
    **columns: list[Any],
) -> bytes:
    """A Parquet shard as the hub has them; rows in `bad` have no latitude."""
    count = len(images)
    table = pa.table(
        {
            "image": [{"bytes": data, "path": f"{n}.jpg"} for n, data in enumerate(images)],
            "lat": [None if n in bad else 1.5 + n for n in range(count)],
            "lng": [2.5] * count,
            "country": ["NA"] * count,
            **columns,
        }
    )
    if features:
        more = {name: {"dtype": "int64", "_type": "Value"} for name in columns}
        info = {"info": {"features": FEATURES | more}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=10)
    return out.getvalue()


def tar(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def place(number: int, **more: Any) -> bytes:
    return json.dumps(
        {"latitude": 1.5 + number, "longitude": 2.5, "country": "NA", **more}
    ).encode()


@pytest.mark.parametrize("features", [True, False])
def test_the_first_valid_rows_of_a_parquet_stream(tmp_path: Path, features: bool) -> None:
    shards = {
        "data/test-00000-of-00002.parquet": parquet(IMAGES[:30], features=features, bad=[2, 5]),
        "data/test-00001-of-00002.parquet": parquet(IMAGES[30:], features=features),
    }
    with serving({"o/photos": Repo(dict(shards))}) as server:
        got = ask(server, tmp_path, "o/photos", "test", "35")
        assert got["images"] == [SUMS[n] for n in range(37) if n not in (2, 5)]
        assert [row["id"] for row in got["rows"]] == [str(n) for n in range(37) if n not in (2, 5)]
        assert {row["country"] for row in got["rows"]} == {"NA"}
        assert got["dropped"] == {"missing_coordinates": 2}
        assert (got["order"], got["name"], got["available"]) == ("stream", "o/photos", None)
        assert not got["has torch"]  # it is here, and took a second of importing
        ids = [row["id"] for row in got["rows"]]
        lines = "\n".join(["o/photos", "test", *sorted(ids)]).encode()
        assert got["fingerprint"] == f"order=stream:{hashlib.sha256(lines).hexdigest()}"

        if not features:
            return
        end_children()
        server.forget()
        again = ask(server, tmp_path, "o/photos", "test", "35")
        assert again == got
        assert server.bytes_sent(".parquet") == 0
        fewer = ask(server, tmp_path, "o/photos", "test", "3")
        assert fewer["images"] == got["images"][:3]
        assert fewer["dropped"] == {"missing_coordinates": 1}
        assert server.bytes_sent(".parquet") == 0
        more = ask(server, tmp_path, "o/photos", "test", "all")
        assert more["images"] == [sha for n, sha in enumerate(SUMS) if n not in (2, 5)]
        assert ask(server, tmp_path, "o/photos", "test", "all") == more


def test_rows_on_disk_need_no_hub(tmp_path: Path) -> None:
    shard = {"data/test-00000-of-00001.parquet": parquet(IMAGES[:10])}
    with serving({"o/photos": Repo(dict(shard))}) as server:
        before = ask(server, tmp_path, "o/photos", "test", "10")
        server.forget()
        offline = ask(server, tmp_path, "o/photos", "test", "10", HF_HUB_OFFLINE="1")
        assert offline == before
        assert server.asked() == []
        away = ask(server, tmp_path, "o/photos", "test", "4", HF_ENDPOINT="http://127.0.0.1:9")
        assert away["images"] == before["images"][:4]
        more = ask(server, tmp_path, "o/photos", "train", "4", HF_HUB_OFFLINE="1")
        assert "HF_HUB_OFFLINE" in more["error"]


def test_ids_classes_and_named_columns(tmp_path: Path) -> None:
    table = pa.table(
        {
            "photo": [{"bytes": data, "path": None} for data in IMAGES[:5]],
            "Breite": [1.0, 2.0, 3.0, 4.0, 5.0],
            "Länge": [5.0, 6.0, 7.0, 8.0, 9.0],
            "id": [9007199254740993, 2, 2, 4, 5],
            "country": [1, 0, 1, 0, -1],
        }
    )
    features = {
        "photo": {"_type": "Image"},
        "Breite": {"dtype": "float64", "_type": "Value"},
        "Länge": {"dtype": "float64", "_type": "Value"},
        "id": {"dtype": "int64", "_type": "Value"},
        "country": {"names": ["NA", "DE"], "_type": "ClassLabel"},
    }
    out = io.BytesIO()
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), out)
    with serving({"o/photos": Repo({"test.parquet": out.getvalue()})}) as server:
        wrong = ask(server, tmp_path, "o/photos", "test", "5")
        assert wrong["type"] == "ColumnsError"
        assert "Breite" in wrong["error"]
        named = {"lat": "Breite", "lon": "Länge", "image": "photo"}
        got = ask(server, tmp_path, "o/photos", "test", "5", named)
    assert [row["id"] for row in got["rows"]] == ["9007199254740993", "2", "4", "5"]
    assert [row["country"] for row in got["rows"]] == ["DE", "NA", "NA", None]
    assert got["dropped"] == {"duplicate_id": 1}


def test_a_file_that_is_broken_further_on_gets_a_sentence(tmp_path: Path) -> None:
    row = b'{"image": "a.jpg", "lat": 1.5, "lon": 2.5}\n'
    with serving({"o/rows": Repo({"test/a.jsonl": row, "test/b.jsonl": row + b"{]\n"})}) as server:
        got = ask(server, tmp_path, "o/rows", "test", "all")
        assert got["type"] == "DataError"
        assert "can't be read to its end" in got["error"]
        assert len(ask(server, tmp_path, "o/rows", "test", "1")["rows"]) == 1  # what came is kept


def test_images_that_are_missing_or_elsewhere(tmp_path: Path) -> None:
    with serving({}) as server:
        photo = IMAGES[7]
        table = pa.table(
            {
                "image": [
                    f"{server.url}/datasets/o/photos/resolve/main/a.jpg",
                    "a.jpg",
                    "b.jpg",
                    "",
                    "../../other/photos/a.jpg",
                    "/etc/passwd",
                ],
                "lat": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
                "lon": [5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
            }
        )
        out = io.BytesIO()
        pq.write_table(table, out)
        server.repos["o/photos"] = Repo({"test.parquet": out.getvalue(), "a.jpg": photo})
        got = ask(server, tmp_path, "o/photos", "test", "all")
        assert not [
            one.path for one in server.asked() if "other" in one.path or "passwd" in one.path
        ]
    assert got["images"] == [
        *[SUMS[7]] * 2,
        "o/photos has no file b.jpg.",
        "The row has no image.",
        "The path '../../other/photos/a.jpg' leaves its root; refused.",
        "The path '/etc/passwd' leaves its root; refused.",
    ]


def test_photos_that_the_cache_has_lost_are_fetched_again(tmp_path: Path) -> None:
    with serving({"o/photos": Repo({"data/test-0-of-1.parquet": parquet(IMAGES[:40])})}) as server:
        for limit in ("35", "all"):
            got = ask(server, tmp_path, "o/photos", "test", limit)
            [images] = (tmp_path / "cache").rglob("images.bin")
            images.unlink()
            assert ask(server, tmp_path, "o/photos", "test", limit) == got
            assert got["images"] == SUMS[: 35 if limit == "35" else 40]


@pytest.mark.parametrize("limit", ["35", "all"])
def test_a_stream_whose_rows_the_cache_has_lost_is_walked_again(tmp_path: Path, limit: str) -> None:
    with serving({"o/photos": Repo({"data/test-0-of-1.parquet": parquet(IMAGES[:40])})}) as server:
        first = ask(server, tmp_path, "o/photos", "test", limit)
        [rows] = (tmp_path / "cache").rglob("rows.jsonl")
        rows.unlink()
        assert ask(server, tmp_path, "o/photos", "test", limit) == first
    assert first["images"] == SUMS[: 35 if limit == "35" else 40]


@pytest.mark.parametrize("left", [None, b"cut"])
def test_a_photo_that_the_cache_has_lost_is_no_broken_photo(
    tmp_path: Path, left: bytes | None
) -> None:
    spool = Spool(tmp_path)
    spool.append({"id": "a"}, IMAGES[0])
    handle = spool.first(1)[0].fields["image"]
    assert read_spooled(spool.images, handle) == IMAGES[0]
    spool.images.unlink()
    if left is not None:
        spool.images.write_bytes(left)
    with pytest.raises(SourceUnavailableError, match="fetched again"):
        read_spooled(spool.images, handle)


def test_kill_9_while_streaming_loses_and_repeats_nothing(tmp_path: Path) -> None:
    shards = {
        f"data/test-{n:05d}-of-00006.parquet": parquet(IMAGES[n * 10 : n * 10 + 10], bad=[3])
        for n in range(6)
    }
    with serving({"o/photos": Repo(dict(shards))}) as server:
        expected = ask(server, tmp_path / "undisturbed", "o/photos", "test", "all")
        killed = 0
        for count in (1, 9, 20, 33):
            server.faults[:] = [Fault(f"0000{count // 10 + 1}-of", times=99, delay_s=20.0)]
            child = Child(answer_requests, environment=environment(server, tmp_path))
            child.pipe.send(("o/photos", "test", "all", tmp_path / "cache", {}))
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and child.process.is_alive():
                lines = sum(path.read_bytes().count(b"\n") for path in tmp_path.rglob("rows.jsonl")
                            if "undisturbed" not in str(path))  # fmt: skip
                if lines >= count:
                    killed += 1
                    break
                time.sleep(0.02)
            child.kill()
            [rows] = (tmp_path / "cache").rglob("rows.jsonl")
            with rows.open("ab") as file:
                file.write(b'{"fields": {"id": "torn')
            with rows.with_name("images.bin").open("ab") as file:
                file.write(b"bytes of an image whose line was never written")
        assert killed >= 2
        server.faults.clear()
        assert ask(server, tmp_path, "o/photos", "test", "all") == expected


def test_what_cannot_be_used_says_why(tmp_path: Path) -> None:
    repos = {
        "o/photos": Repo({"data/test-00000-of-00001.parquet": parquet(IMAGES[:4])}),
        "o/text": Repo({"README.md": b"# nothing here"}),
        "o/private": Repo({"README.md": b"x"}, token=str(RNG.random())),
        "o/gated": Repo({"README.md": b"x"}, token=str(RNG.random()), gated=True),
    }
    with serving(repos) as server:
        assert "Its splits are: test" in ask(server, tmp_path, "o/photos", "train", "1")["error"]
        assert "holds no data" in ask(server, tmp_path, "o/text", "test", "1")["error"]
        assert "or it is private" in ask(server, tmp_path, "o/private", "test", "1")["error"]
        gated = ask(server, tmp_path, "o/gated", "test", "1", HF_TOKEN=PLANTED)
        assert "is gated" in gated["error"]
        assert PLANTED not in gated["error"]
        assert "There is no data set" in ask(server, tmp_path, "o/misspelt", "test", "1")["error"]
        unnamed = ask(server, tmp_path, "o/photos", "test", "1", {"lat": "breite"})
        assert unnamed["type"] == "ColumnsError"


@pytest.fixture
def tars() -> Repo:
    """Three shards of twenty samples of 20 kB; one sample has no coordinates, one has no JSON."""
    files: dict[str, bytes | Path] = {}
    for shard in range(3):
        members: dict[str, bytes] = {}
        for n in range(shard * 20, shard * 20 + 20):
            members[f"s{n:04d}.jpg"] = IMAGES[n]
            members[f"s{n:04d}.json"] = b"{}" if n == 4 else place(n)
        if shard == 0:
            del members["s0006.json"]
        files[f"test/{shard:05d}.tar"] = tar(members)
    return Repo(files)


def test_tars_are_read_from_the_start_and_no_further(tmp_path: Path, tars: Repo) -> None:
    with serving({"o/wds": tars}) as server:
        got = ask(server, tmp_path, "o/wds", "test", "10")
        good = [n for n in range(60) if n not in (4, 6)]
        assert got["images"] == [SUMS[n] for n in good[:10]]
        assert [row["latitude"] for row in got["rows"]] == [1.5 + n for n in good[:10]]
        assert [row["country"] for row in got["rows"]] == ["NA"] * 10
        assert got["order"] == "stream"
        assert [r for r in server.asked("00001.tar") if r.method == "GET"] == []
        end_children()
        server.forget()
        assert ask(server, tmp_path, "o/wds", "test", "10") == got
        assert server.bytes_sent(".tar") == 0
        offline = ask(server, tmp_path, "o/wds", "test", "10", HF_HUB_OFFLINE="1")
        assert offline == got
        whole = ask(server, tmp_path, "o/wds", "test", "all")
        assert whole["images"] == [SUMS[n] for n in good]
        assert whole["images"][:10] == got["images"]
        assert ask(server, tmp_path, "o/wds", "test", "10")["fingerprint"] == got["fingerprint"]


def test_tars_killed_at_any_byte_are_taken_up_again(tmp_path: Path, tars: Repo) -> None:
    with serving({"o/wds": tars}) as server:
        expected = ask(server, tmp_path / "undisturbed", "o/wds", "test", "all")
        ask(server, tmp_path, "o/wds", "test", "7")
        [copy] = (tmp_path / "cache").rglob("000000.tar")
        for tail in (b"", b"half a header", RNG.randbytes(3000)):
            copy.write_bytes(copy.read_bytes()[:-1024] + tail)
            again = ask(server, tmp_path, "o/wds", "test", "7")
            assert again["images"] == expected["images"][:7]
        assert ask(server, tmp_path, "o/wds", "test", "all") == expected


def test_two_that_open_the_same_tars_copy_them_once_and_both_read_on(
    tmp_path: Path, tars: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({"o/wds": tars}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        first, second = [open_hub("o/wds", "test", cache_dir=tmp_path) for _ in range(2)]
        table = first.select(20).table
        sent = server.bytes_sent(".tar")
        second.select(10)
        assert server.bytes_sent(".tar") == sent  # what the first has copied since is there
        sums = [hashlib.sha256(first.read_image(sample)).hexdigest() for sample in table]
        assert sums == [SUMS[n] for n in range(60) if n not in (4, 6)][:20]


def test_tars_in_odd_places_are_streamed_by_datasets(tmp_path: Path) -> None:
    members = {"a.jpg": IMAGES[0], "a.json": place(0, id=9007199254740993),
               "b.jpg": IMAGES[1], "b.json": place(1, id=5)}  # fmt: skip
    with serving({"o/deep": Repo({"shards/deep/test/000.tar": tar(members)})}) as server:
        got = ask(server, tmp_path, "o/deep", "test", "all")
    assert got["images"] == SUMS[:2]
    assert [row["id"] for row in got["rows"]] == ["9007199254740993", "5"]
    assert [row["country"] for row in got["rows"]] == ["NA", "NA"]


def test_several_headings_of_one_place(tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for n in range(3):
        for index, heading in enumerate(("000", "090", "180", "270")):
            members[f"p{n}.{heading}.jpg"] = IMAGES[4 * n + index]
        members[f"p{n}.json"] = place(n)
    with serving({"o/wds": Repo({"test-00000.tar": tar(members)})}) as server:
        got = ask(server, tmp_path, "o/wds", "test", "6")
    assert got["images"] == SUMS[:6]
    assert [row["id"] for row in got["rows"]][:2] == ["p0/000", "p0/090"]


def test_a_split_is_found_by_the_names_of_tars(tmp_path: Path) -> None:
    files: dict[str, bytes | Path] = {
        "data/train-000.tar": tar({"a.jpg": IMAGES[0], "a.json": place(0)}),
        "data/test-000.tar": tar({"b.jpg": IMAGES[1], "b.json": place(1)}),
    }
    with serving({"o/wds": Repo(files)}) as server:
        assert ask(server, tmp_path, "o/wds", "train", "all")["images"] == SUMS[:1]
        assert ask(server, tmp_path, "o/wds", "test", "all")["images"] == SUMS[1:2]
        missing = ask(server, tmp_path, "o/wds", "validation", "1")
        assert "no split 'validation'" in missing["error"]
        assert "train, test" in missing["error"]


def test_a_mirror_in_osv5ms_layout_is_read_like_it(tmp_path: Path) -> None:
    truth = make_osv_tree(tmp_path / "tree", images=12, zips=2)
    with serving({"o/osv-mirror": repo_of(tmp_path / "tree")}) as server:
        got = ask(server, tmp_path, "o/osv-mirror", "test", "all")
        named = ask(server, tmp_path, "o/osv-mirror", "test", "all", {"latitude": "lat"})
    assert named["type"] == "UsageError"
    assert "Leave --columns out" in named["error"]
    assert (got["order"], got["name"]) == ("hash", "o/osv-mirror")
    assert {row["id"] for row in got["rows"]} == {sample.id for sample in truth}


def test_tables_that_name_their_images_are_read_as_they_are_written(tmp_path: Path) -> None:
    header = "file_name,id,latitude,longitude,country\n"
    rows = "a.jpg,00123,1.5,2.5,NA\n../README.md,7,1.5,2.5,DE\nc.jpg,9007199254740993,1.5,,FR\n"
    files: dict[str, bytes | Path] = {
        "README.md": b"# not an image",
        "test/metadata.csv": (header + rows).encode(),
        "test/a.jpg": IMAGES[3],
        "train.csv": b"url,lat,lon\nhttps://photos.example/a.jpg,1.5,2.5\n",
    }
    with serving({"o/folder": Repo(files)}) as server:
        got = ask(server, tmp_path, "o/folder", "test", "all")
        assert [r.method for r in server.asked("test/a.jpg")] == ["HEAD", "GET"]
        train = ask(server, tmp_path, "o/folder", "train", "0")
    by_id = dict(zip([row["id"] for row in got["rows"]], got["images"], strict=True))
    assert by_id["00123"] == SUMS[3]
    assert "refused" in by_id["7"]
    assert {row["country"] for row in got["rows"]} == {"NA", "DE"}
    assert got["dropped"] == {"missing_coordinates": 1}
    assert (got["order"], got["name"], got["available"]) == ("hash", "o/folder", 2)
    assert (train["order"], train["available"]) == ("hash", 1)
