"""Preparing a split that is killed again and again ends where an undisturbed one does."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from geospot.data.osv5m import open_hub_osv5m, prepare
from tests.support.hub_child import Child, prepare_test_split
from tests.support.hub_server import Fault, HubServer, Repo, serving
from tests.support.osv_repo import OSV5M, make_noise_split, repo_of
from tests.support.osv_tree import make_osv_tree

ZIPS = 12


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A CSV (1.9 MB) that takes several ranges, and images in twelve zips."""
    root = tmp_path_factory.mktemp("repo")
    noise, tree = root / "noise", root / "tree"
    make_noise_split(noise, images=20_000, image_bytes=8)
    make_osv_tree(tree, images=60, zips=ZIPS)
    repo = repo_of(tree)
    repo.files["test.csv"] = noise / "test.csv"
    repo.files["images/test/99.zip"] = noise / "images/test/00.zip"
    return repo


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, repo: Repo) -> Iterator[HubServer]:
    with serving({OSV5M: repo}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


def run_until(cache: Path, steps: int) -> bool:
    """Prepares in a process of its own, killed after so many steps; whether it ended by itself."""
    child = Child(prepare_test_split, cache, environment=os.environ)
    try:
        for _ in range(steps):
            child.pipe.recv()
    except EOFError:
        child.process.join()
    child.kill()
    return child.process.exitcode == 0


def test_killed_at_every_step_it_ends_as_if_undisturbed(hub: HubServer, tmp_path: Path) -> None:
    undisturbed = prepare("test", cache_dir=tmp_path / "once")
    cache = tmp_path / "killed"
    kills = 0
    for steps in (1, 2, 3, 4, 6, 9, 14, 16, 17, 18, 19, 20):
        if run_until(cache, steps):
            break
        kills += 1
    assert kills >= 5
    resumed = prepare("test", cache_dir=cache)
    assert pq.read_table(resumed).equals(pq.read_table(undisturbed))  # pyright: ignore[reportUnknownMemberType]
    assert pq.read_metadata(resumed).metadata == pq.read_metadata(undisturbed).metadata  # pyright: ignore[reportUnknownMemberType]
    assert not left_in(cache)


def test_what_a_process_left_that_was_killed_at_its_very_end_goes(
    hub: HubServer, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    split = prepare("test", cache_dir=cache)
    before = split.read_bytes()
    (split.parent / "rows.csv").write_bytes(b"id")
    (split.parent / "rows.parquet").write_bytes(b"PAR1")
    (split.parent / "members").mkdir()
    (split.parent / "members" / "00.zip.parquet").write_bytes(b"PAR1")
    assert len(left_in(cache)) == 3
    assert prepare("test", cache_dir=cache).read_bytes() == before
    assert not left_in(cache)


def left_in(cache: Path) -> list[str]:
    """The steps towards a split that are still there when it is prepared."""
    names = sorted(path.name for path in cache.rglob("*") if path.is_file())
    return [
        name for name in names if name.endswith((".csv", ".part", "zip.parquet", "rows.parquet"))
    ]


def test_a_killed_download_goes_on_where_it_stopped(hub: HubServer, tmp_path: Path) -> None:
    size = hub.repos[OSV5M].size("test.csv")
    hub.faults.append(Fault("test.csv?signature", reset_after=700_000, stall_s=25.0))
    cache = tmp_path / "cache"
    child = Child(prepare_test_split, cache, environment=os.environ)
    while not any(path.stat().st_size >= 600_000 for path in cache.rglob("*.csv.part")):
        assert child.process.is_alive()
        time.sleep(0.02)
    child.kill()
    [part] = cache.rglob("*.csv.part")
    kept = part.stat().st_size
    hub.faults.clear()
    hub.forget()
    prepare("test", cache_dir=cache)
    assert hub.bytes_sent("test.csv") == size - kept


def test_finished_zip_directories_are_not_read_again(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.append(Fault("07.zip", times=99, status=403))
    with pytest.raises(Exception, match="refuses access"):
        prepare("test", cache_dir=tmp_path / "cache")
    hub.faults.clear()
    hub.forget()
    prepare("test", cache_dir=tmp_path / "cache")
    read = {request.path.rpartition("/")[2] for request in hub.asked(".zip")}
    assert "07.zip" in read
    assert len(read) <= 8  # it and what was not begun; two are read at a time
    assert hub.asked("test.csv") == []


def test_a_half_written_part_of_a_dead_process_is_in_nobodys_way(
    hub: HubServer, tmp_path: Path
) -> None:
    commit_folder = next((prepare("test", cache_dir=tmp_path / "a").parent).parents[0].iterdir())
    cache = tmp_path / "b"
    folder = cache / commit_folder.relative_to(tmp_path / "a")
    (folder / "members").mkdir(parents=True)
    (folder / "members" / ".00.zip.parquet.4242.part").write_bytes(b"PAR1 torn")
    (folder / ".rows.parquet.4242.part").write_bytes(b"PAR1 torn")
    (folder / ".samples.parquet.4242.part").write_bytes(b"PAR1 torn")
    prepare("test", cache_dir=cache)
    assert len(open_hub_osv5m("test", cache_dir=cache).table) == 20_000
    assert not [path for path in folder.rglob("*.part") if path.is_file()]
