"""OSV-5M read from a hub over real sockets, with the hub's real client."""

import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from geospot.data import remote
from geospot.data.osv5m import open_hub_osv5m, open_local_osv5m, prepare
from geospot.errors import DataError, SourceUnavailableError
from tests.support.hub_server import Fault, HubServer, Repo, serving
from tests.support.osv_repo import OSV5M, make_noise_split, repo_of
from tests.support.osv_tree import make_osv_tree

PLANTED = "hf_planted"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split whose zip has 100 MB, in 2,000 members of 50 kB that don't compress."""
    root = tmp_path_factory.mktemp("large")
    make_noise_split(root, images=2000, image_bytes=50_000)
    assert (root / "images/test/00.zip").stat().st_size > 98_000_000
    return root


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A hub with a small OSV-5M, which the client is told to use."""
    root = tmp_path / "tree"
    make_osv_tree(root, images=12, zips=2, bad_rows=5)
    with serving({OSV5M: repo_of(root)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


def test_twenty_images_of_a_large_zip_cost_little_more_than_themselves(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({OSV5M: repo_of(large)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        dataset = open_hub_osv5m("test", cache_dir=tmp_path)
        selection = dataset.select(20)
        with ThreadPoolExecutor(8) as pool:
            images = list(pool.map(dataset.read_image, selection.table))
        with zipfile.ZipFile(large / "images/test/00.zip") as archive:
            assert images == [archive.read(f"00/{s.id}.jpg") for s in selection.table]
            directory = (large / "images/test/00.zip").stat().st_size - archive.start_dir
        wanted = sum(map(len, images)) + directory
        sent = server.bytes_sent("00.zip")
        assert wanted <= sent <= 1.2 * wanted
        assert sent < 1.01 * wanted  # what it really is: headers of members, nothing else
        assert len(server.asked("00.zip")) <= 20 + 2 + 1 + 1  # one request an image


def test_the_split_is_the_one_on_disk(hub: HubServer, tmp_path: Path) -> None:
    here = open_local_osv5m(tmp_path / "tree", "test", cache_dir=tmp_path / "cache")
    there = open_hub_osv5m("test", cache_dir=tmp_path / "cache")
    assert there.select(None).fingerprint == here.select(None).fingerprint
    assert there.select(None).table.arrow.equals(here.select(None).table.arrow)
    assert there.table.dropped == here.table.dropped
    for sample in there.table:
        assert there.read_image(sample) == here.read_image(sample)


def test_a_prepared_split_opens_without_fetching_it_again(hub: HubServer, tmp_path: Path) -> None:
    assert prepare("test", cache_dir=tmp_path / "c").exists()
    hub.forget()
    commit = hub.repos[OSV5M].commit
    dataset = open_hub_osv5m("test", cache_dir=tmp_path / "c")
    assert [r.path for r in hub.asked()] == [f"/api/datasets/{OSV5M}"]
    hub.forget()
    dataset = open_hub_osv5m("test", revision=commit, cache_dir=tmp_path / "c")
    assert len(dataset.select(None)) == 12
    assert hub.asked() == []  # a full commit hash needs no question at all
    assert not list((tmp_path / "c").rglob("*.csv"))


def test_a_new_revision_is_prepared_anew(hub: HubServer, tmp_path: Path) -> None:
    before = open_hub_osv5m("test", cache_dir=tmp_path / "c").select(None)
    root = tmp_path / "newer"
    make_osv_tree(root, images=20, seed=3)
    hub.repos[OSV5M] = repo_of(root)
    after = open_hub_osv5m("test", cache_dir=tmp_path / "c").select(None)
    assert (len(before), len(after)) == (12, 20)


def test_connections_are_kept_and_shared_by_threads(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({OSV5M: repo_of(large)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        dataset = open_hub_osv5m("test", cache_dir=tmp_path)
        samples = list(dataset.select(200).table)
        server.forget()
        with ThreadPoolExecutor(4) as pool:
            assert len(list(pool.map(dataset.read_image, samples))) == 200
        asked = [r for r in server.asked() if r.origin == "storage"]
        assert len(asked) == 200
        assert len({r.connection for r in asked}) <= 8


def test_the_token_goes_to_the_hub_and_never_to_the_storage(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({OSV5M: repo_of(large, token=PLANTED)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", PLANTED)
        dataset = open_hub_osv5m("test", cache_dir=tmp_path)
        dataset.read_image(dataset.select(1).table[0])
        assert all(r.authorized == (r.origin == "hub") for r in server.asked())
        assert any(r.origin == "storage" for r in server.asked())
    assert not [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and PLANTED.encode() in path.read_bytes()
    ]


def test_an_expired_link_is_asked_for_again(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({OSV5M: repo_of(large)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        dataset = open_hub_osv5m("test", cache_dir=tmp_path)
        first, second = dataset.select(2).table
        dataset.read_image(first)
        server.expire_links()
        assert len(dataset.read_image(second)) > 10_000


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_faults_are_retried(hub: HubServer, tmp_path: Path, status: int) -> None:
    dataset = open_hub_osv5m("test", cache_dir=tmp_path / "c")
    sample = dataset.select(1).table[0]
    hub.faults.append(Fault(".zip", times=2, status=status, headers={"Retry-After": "0"}))
    assert dataset.read_image(sample).startswith(b"\xff\xd8")
    assert hub.faults[0].times == 0


def test_retry_after_is_honoured_in_seconds_and_as_a_date(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_s: list[float] = []
    monkeypatch.setattr(remote, "time", SimpleNamespace(sleep=waits_s.append))
    dataset = open_hub_osv5m("test", cache_dir=tmp_path / "c")
    sample = dataset.select(1).table[0]
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 50))
    for header in ("42", soon):
        hub.faults[:] = [Fault(".zip", status=429, headers={"Retry-After": header})]
        dataset.read_image(sample)
    assert waits_s[0] == 42.0
    assert 10 < waits_s[1] <= 50  # a machine may be slow


def test_too_long_a_retry_after_ends_the_wait_at_once(hub: HubServer, tmp_path: Path) -> None:
    dataset = open_hub_osv5m("test", cache_dir=tmp_path / "c")
    hub.faults.append(Fault(".zip", status=429, headers={"Retry-After": "7200"}))
    with pytest.raises(SourceUnavailableError, match="7200 s"):
        dataset.read_image(dataset.select(1).table[0])


def test_a_broken_connection_is_taken_up_where_it_broke(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({OSV5M: repo_of(large)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.faults.append(Fault("test.csv?signature", reset_after=70_000, times=2))
        dataset = open_hub_osv5m("test", cache_dir=tmp_path)
        sample = dataset.select(1).table[0]
        server.faults.append(Fault("00.zip?signature", reset_after=9_000))
        assert len(dataset.read_image(sample)) > 20_000
        csv_bytes = (large / "test.csv").stat().st_size
        assert csv_bytes <= server.bytes_sent("test.csv") < csv_bytes + 200_000
        ranges = [r.range for r in server.asked("test.csv") if r.origin == "storage"]
        assert len(set(ranges)) == 3


def test_a_source_that_stays_down_is_unavailable_not_an_image_error(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot.data.remote.ATTEMPTS", 3)
    dataset = open_hub_osv5m("test", cache_dir=tmp_path / "c")
    hub.faults.append(Fault(".zip", times=99, status=500, headers={"Retry-After": "0"}))
    with pytest.raises(SourceUnavailableError, match="HTTP 500"):
        dataset.read_image(dataset.select(1).table[0])


def test_a_server_that_ignores_ranges_is_refused_before_it_sends_everything(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({OSV5M: repo_of(large)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.faults.append(Fault("00.zip", times=99, ignore_range=True))
        with pytest.raises(DataError, match="range requests"):
            open_hub_osv5m("test", cache_dir=tmp_path)
        assert server.bytes_sent("00.zip") < 20_000_000


def test_small_files_may_come_whole(hub: HubServer, tmp_path: Path) -> None:
    here = open_local_osv5m(tmp_path / "tree", "test", cache_dir=tmp_path / "c")
    hub.faults.append(Fault("", times=10_000, ignore_range=True))
    there = open_hub_osv5m("test", cache_dir=tmp_path / "c")
    assert [there.read_image(s) for s in there.table] == [here.read_image(s) for s in here.table]


@pytest.mark.parametrize(
    ("repo", "sentence"),
    [
        (None, "no data set osv5m/osv5m on the hub, or it is private"),
        (Repo({}, token=PLANTED), "or it is private"),
        (Repo({}, token=PLANTED, gated=True), "is gated"),
        (Repo({"README.md": b"x"}), "no split 'test'. Its splits are: none"),
        (Repo({"train.csv": b"id\n", "test.csv": b"id\n"}), "Its splits are: test, train"),
    ],
)
def test_a_repository_that_cannot_be_used_says_why(
    repo: Repo | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({} if repo is None else {OSV5M: repo}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
        with pytest.raises(DataError, match="osv5m/osv5m") as caught:
            open_hub_osv5m("test", cache_dir=tmp_path)
        assert sentence in str(caught.value)
        assert "hf_mine" not in str(caught.value)


def test_an_unknown_revision_says_so(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no revision 'v9'"):
        open_hub_osv5m("test", revision="v9", cache_dir=tmp_path / "c")


def test_a_hub_that_is_away_is_told_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(SourceUnavailableError, match="can't be reached"):
        open_hub_osv5m("test", cache_dir=tmp_path)
    assert time.monotonic() - started < 60


def test_a_prepared_split_opens_while_the_hub_is_away(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("test", cache_dir=tmp_path / "c")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert len(open_hub_osv5m("test", cache_dir=tmp_path / "c").select(None)) == 12
    with pytest.raises(SourceUnavailableError):
        open_hub_osv5m("train", cache_dir=tmp_path / "c")


OFFLINE = """
import sys
from pathlib import Path
from geospot.data.osv5m import open_hub_osv5m
from geospot.errors import SourceUnavailableError
dataset = open_hub_osv5m("test", cache_dir=Path(sys.argv[1]))
selection = dataset.select(None)
assert len(selection) == 12
try:
    dataset.read_image(selection.table[0])
except SourceUnavailableError as error:
    assert "HF_HUB_OFFLINE" in str(error), error
else:
    raise SystemExit("an image came from nowhere")
"""


def test_offline_mode_opens_what_is_prepared_and_sends_nothing(
    hub: HubServer, tmp_path: Path
) -> None:
    prepare("test", cache_dir=tmp_path / "c")
    hub.forget()
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": hub.url}
    command = [sys.executable, "-c", OFFLINE, str(tmp_path / "c")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert hub.asked() == []


def test_two_threads_may_open_an_unprepared_split_at_once(hub: HubServer, tmp_path: Path) -> None:
    barrier = threading.Barrier(2)

    def open_it(_: int) -> int:
        barrier.wait()
        return len(open_hub_osv5m("test", cache_dir=tmp_path / "c").select(None))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(open_it, range(2))) == [12, 12]
    assert len([r for r in hub.asked("test.csv") if r.method == "GET"]) == 1


def test_the_command_prepares_and_says_what_is_wrong(hub: HubServer, tmp_path: Path) -> None:
    environment = os.environ | {"HF_ENDPOINT": hub.url, "GEOSPOT_CACHE": str(tmp_path / "cli")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "geospot", "data", "prepare", OSV5M, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = run("--split", "test")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.removeprefix("Prepared: ").replace("\n", "")).is_file()
    missing = run("--split", "train")
    assert missing.returncode == 1
    assert "has no split 'train'" in missing.stderr
    assert "Traceback" not in missing.stderr
