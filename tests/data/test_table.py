"""Tables of paths, of URLs fetched from a real server, and of images in Parquet."""

from pathlib import Path
from typing import Any

import datasets
import pytest

from geospot.data import GeoDataset, download, open_dataset
from geospot.errors import ColumnsError, DataError, ImageError, SourceUnavailableError
from tests.support.parquet import write_parquet
from tests.support.photos import make_photo
from tests.support.web import Answer, web_server


def write_table(path: Path, images: list[str]) -> Path:
    rows = [f"{image},1.5,{number + 1}" for number, image in enumerate(images)]
    path.write_text("\n".join(["image,lat,lon", *rows]))
    return path


def test_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "set" / "photos").mkdir(parents=True)
    (tmp_path / "set" / "photos" / "a.jpg").write_bytes(make_photo("a"))
    table = write_table(
        tmp_path / "set" / "spring.csv", ["photos/a.jpg", "../out.jpg", "/etc/passwd"]
    )

    dataset = open_dataset(str(table))

    assert dataset.name == "spring"
    assert dataset.table.ids == ["photos/a.jpg", "../out.jpg", "/etc/passwd"]
    assert dataset.read_image(dataset.table[0]) == make_photo("a")
    for index in (1, 2):
        with pytest.raises(ImageError, match="refused"):
            dataset.read_image(dataset.table[index])


def test_a_folder_with_a_table_a_split(tmp_path: Path) -> None:
    root = tmp_path / "atlas"
    root.mkdir()
    write_table(root / "train.csv", ["a.jpg"])
    write_table(root / "test.csv", ["b.jpg", "c.jpg"])

    assert open_dataset(str(root), "train").table.ids == ["a.jpg"]
    assert open_dataset(str(root), "test").table.ids == ["b.jpg", "c.jpg"]
    assert open_dataset(str(root), "test").name == "atlas"
    with pytest.raises(DataError, match=r"no split 'val'.*train, test"):
        open_dataset(str(root), "val")


def test_the_fingerprint_does_not_depend_on_where_the_table_lies(tmp_path: Path) -> None:
    prints: set[str] = set()
    for place in ("here", "there/deep"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        prints.add(
            open_dataset(str(write_table(folder / "t.csv", ["a.jpg"]))).select(None).fingerprint
        )

    assert len(prints) == 1


@pytest.fixture
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment whose proxy can't be reached: loopback must not go through it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def url_dataset(tmp_path: Path, *urls: str) -> GeoDataset:
    return open_dataset(str(write_table(tmp_path / "urls.csv", list(urls))))


@pytest.mark.usefixtures("behind_a_proxy")
def test_images_come_from_urls(tmp_path: Path) -> None:
    photo = make_photo("x")
    answers = {
        "/moved.jpg": Answer(302, headers={"Location": "/x.jpg"}),
        "/x.jpg": Answer(body=photo, headers={"Content-Type": "image/jpeg"}),
    }
    with web_server(lambda path: answers.get(path, Answer(404))) as server:
        dataset = url_dataset(tmp_path, f"{server.url}/x.jpg", f"{server.url}/moved.jpg")
        assert [dataset.read_image(sample) for sample in dataset.table] == [photo, photo]
        assert dataset.table[0].id == f"{server.url}/x.jpg"
        dataset.close()
    assert server.asked == ["/x.jpg", "/moved.jpg", "/x.jpg"]


@pytest.mark.usefixtures("behind_a_proxy")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(404), ImageError),
        (Answer(410), ImageError),
        (Answer(403), ImageError),
        (Answer(204), ImageError),
        (Answer(302, headers={"Location": "/again.jpg"}), ImageError),
        (Answer(302, headers={"Location": "file:///etc/passwd"}), ImageError),
        (Answer(200, b"not gzip", {"Content-Encoding": "gzip"}), ImageError),
        (Answer(408), SourceUnavailableError),
        (Answer(429), SourceUnavailableError),
        (Answer(500), SourceUnavailableError),
        (Answer(503), SourceUnavailableError),
        (Answer(200, b"x" * 1000, cut=10), SourceUnavailableError),
    ],
)
def test_what_a_server_does_is_told_apart(
    tmp_path: Path, answer: Answer, error: type[Exception]
) -> None:
    with web_server(lambda path: answer) as server:
        dataset = url_dataset(tmp_path, f"{server.url}/x.jpg")
        with pytest.raises(error):
            dataset.read_image(dataset.table[0])
        dataset.close()


@pytest.mark.usefixtures("behind_a_proxy")
def test_a_body_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 100_000)
    with web_server(lambda path: Answer(body=bytes(300_000))) as server:
        dataset = url_dataset(tmp_path, f"{server.url}/x.jpg")
        with pytest.raises(ImageError, match="more than 100,000 bytes"):
            dataset.read_image(dataset.table[0])
        dataset.close()


@pytest.mark.usefixtures("behind_a_proxy")
def test_a_host_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    with web_server(lambda path: Answer()) as server:
        gone = server.url
    dataset = url_dataset(tmp_path, f"{gone}/x.jpg")

    with pytest.raises(SourceUnavailableError, match="doesn't answer"):
        dataset.read_image(dataset.table[0])
    dataset.close()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x.jpg",
        "file:///etc/passwd",
        "data://x",
        "http://[broken/x.jpg",
        "http:///x",
    ],
)
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    dataset = url_dataset(tmp_path, url)

    with pytest.raises(ImageError):
        dataset.read_image(dataset.table[0])


def test_keys_in_urls_are_not_shown(tmp_path: Path) -> None:
    with web_server(lambda path: Answer(404)) as server:
        host = server.url.removeprefix("http://")
        dataset = url_dataset(tmp_path, f"http://user:hunter2@{host}/x.jpg?key=hunter2")
        with pytest.raises(ImageError) as caught:
            dataset.read_image(dataset.table[0])
        dataset.close()
    assert "hunter2" not in str(caught.value)


def image_rows(count: int) -> dict[str, list[Any]]:
    return {
        "image": [{"bytes": make_photo(f"{n}"), "path": f"{n}.jpg"} for n in range(count)],
        "latitude": [n % 80 + 0.5 for n in range(count)],
        "longitude": [n % 170 + 1.0 for n in range(count)],
        "country": ["NA"] * count,
        "id": [10**16 + n for n in range(count)],
    }


def test_parquet_as_datasets_writes_it(tmp_path: Path) -> None:
    rows = image_rows(220)
    features = datasets.Features(
        image=datasets.Image(),
        latitude=datasets.Value("float32"),
        longitude=datasets.Value("float64"),
        country=datasets.Value("string"),
        id=datasets.Value("int64"),
    )
    dataset_class: Any = datasets.Dataset
    written = dataset_class.from_dict(rows, features=features)
    written.to_parquet(str(tmp_path / "test.parquet"), batch_size=100)

    dataset = open_dataset(str(tmp_path))

    assert dataset.table.ids == [str(10**16 + n) for n in range(220)]
    assert {sample.country for sample in dataset.table} == {"NA"}
    for index in (0, 63, 64, 99, 100, 170, 219):
        assert dataset.read_image(dataset.table[index]) == make_photo(f"{index}")


def test_parquet_shards_without_ids(tmp_path: Path) -> None:
    for shard in range(2):
        rows = image_rows(3)
        del rows["id"]
        rows["image"] = [make_photo(f"{shard}.{n}") for n in range(3)]
        write_parquet(tmp_path / "data" / f"test-0000{shard}-of-00002.parquet", rows)

    dataset = open_dataset(str(tmp_path))

    assert dataset.name == tmp_path.name
    assert dataset.table.ids == ["0:0", "0:1", "0:2", "1:0", "1:1", "1:2"]
    assert dataset.read_image(dataset.table[4]) == make_photo("1.1")


def test_images_that_shards_call_alike_are_all_there(tmp_path: Path) -> None:
    for shard in range(2):
        rows = image_rows(2)
        del rows["id"]
        rows["image"] = [
            {"bytes": make_photo(f"{shard}.{n}"), "path": f"{n}.jpg"} for n in range(2)
        ]
        write_parquet(tmp_path / f"test-0000{shard}-of-00002.parquet", rows)

    table = open_dataset(str(tmp_path)).table

    assert table.ids == ["0:0", "0:1", "1:0", "1:1"]
    assert table.dropped == {}


def test_an_empty_cell_is_an_image_error(tmp_path: Path) -> None:
    rows = image_rows(2)
    rows["image"][1] = {"bytes": None, "path": "lost.jpg"}
    write_parquet(tmp_path / "t.parquet", rows)

    dataset = open_dataset(str(tmp_path / "t.parquet"))

    with pytest.raises(ImageError, match="empty"):
        dataset.read_image(dataset.table[1])


def test_a_damaged_page_costs_its_images_and_not_the_run(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", image_rows(4), rows_a_group=2)
    dataset = open_dataset(str(path))
    damaged = bytearray(path.read_bytes())
    damaged[4:60] = b"\xff" * 56  # the header of the first page, after the file's magic number
    path.write_bytes(damaged)

    with pytest.raises(ImageError, match="Parquet"):
        dataset.read_image(dataset.table[0])
    assert dataset.read_image(dataset.table[2]) == make_photo("2")


def test_parquet_of_paths(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make_photo("a"))
    write_parquet(tmp_path / "t.parquet", {"path": ["a.jpg"], "lat": [1.5], "lon": [2.5]})

    dataset = open_dataset(str(tmp_path / "t.parquet"))

    assert dataset.read_image(dataset.table[0]) == make_photo("a")


def test_a_table_without_images_says_which_columns_it_has(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("lat,lon,thumb\n1,2,x\n")

    with pytest.raises(ColumnsError, match="lat, lon, thumb"):
        open_dataset(str(tmp_path / "t.csv"))
