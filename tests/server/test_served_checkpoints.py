"""Checkpoints over the wire: how long they live, where they are downloaded, and when they vanish."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import tinker

from geospot_backends.local.checkpoints import Checkpoint, CheckpointPath, CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.support.evaluating import environment, geospot
from tests.support.scripted_engine import BASE, ScriptedEngine
from tests.support.serving import serving

pytestmark = [
    pytest.mark.filterwarnings("error::DeprecationWarning"),
    pytest.mark.filterwarnings("error::FutureWarning"),
]
KEPT = CheckpointPath("run:train:0", "sampler_weights", "kept")


def write(store: CheckpointStore, path: CheckpointPath = KEPT) -> str:
    def fill(folder: Path) -> None:
        (folder / "adapter_model.safetensors").write_bytes(b"x" * 1000)

    store.write(path, BASE, None, fill)
    return str(path)


class SavingEngine(ScriptedEngine):
    """Its checkpoints are files."""

    def __init__(self, store: CheckpointStore) -> None:
        super().__init__()
        self.store = store

    def save_weights(self, model_id: str, name: str, *, optimizer: bool = True) -> str:
        super().save_weights(model_id, name, optimizer=optimizer)
        return write(self.store, CheckpointPath(model_id, "weights", name))

    def save_for_sampler(self, model_id: str, name: str) -> str:
        super().save_for_sampler(model_id, name)
        return write(self.store, CheckpointPath(model_id, "sampler_weights", name))


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path)


@pytest.fixture
def server(store: CheckpointStore) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(SavingEngine(store), store) as running:
        yield running


def lives_s(rest: tinker.RestClient, path: str) -> float | None:
    """How long a checkpoint will be kept from now on, as it is listed."""
    (found,) = [
        one
        for one in rest.list_user_checkpoints().result().checkpoints
        if one.tinker_path == path.replace("/external_weights/", "/sampler_weights/")
    ]
    return found.expires_at and (found.expires_at - datetime.now(UTC)).total_seconds()


def test_a_time_to_live_is_kept_and_can_be_changed(server: EmbeddedServer) -> None:
    rest = tinker.RestClient(base_url=server.base_url, api_key="tml-x")
    with tinker.ServiceClient(base_url=server.base_url, api_key="tml-x") as service:
        client = service.create_lora_training_client(BASE, rank=1).result()
        saved = [
            client.save_state("a", ttl_seconds=7200).result().path,
            client.save_weights_for_sampler("b", ttl_seconds=7200).result().path,
            client.save_weights_external("c", ttl_seconds=7200).result().path,
        ]
        for path in saved:
            assert 7100 < (lives_s(rest, path) or 0) <= 7200
        assert lives_s(rest, client.save_state("d").result().path) is None
        rest.set_checkpoint_ttl_from_tinker_path(saved[0], None).result()
        assert lives_s(rest, saved[0]) is None
        rest.set_checkpoint_ttl_from_tinker_path(saved[2], 3600).result()
        assert 3500 < (lives_s(rest, saved[2]) or 0) <= 3600
        with pytest.raises(tinker.BadRequestError, match="between 3600 s"):
            rest.set_checkpoint_ttl_from_tinker_path(saved[0], 60).result()
        with pytest.raises(tinker.NotFoundError, match="There is no checkpoint"):
            rest.set_checkpoint_ttl_from_tinker_path("tinker://x/weights/y", 3600).result()
        with pytest.raises(tinker.RequestFailedError, match="between 3600 s") as caught:
            client.save_state("never", ttl_seconds=60).result()
        assert caught.value.category is tinker.types.RequestErrorCategory.User
        assert "never" not in str(rest.list_user_checkpoints().result())


def test_a_checkpoint_deleted_meanwhile_is_not_found(tmp_path: Path) -> None:
    class Racing(CheckpointStore):
        """Somebody else deletes whatever was found just now."""

        def find(self, text: str) -> Checkpoint:
            found = super().find(text)
            shutil.rmtree(found.folder.parent)
            return found

    written = CheckpointStore(tmp_path)
    run = f"/api/v1/training_runs/{KEPT.run}/checkpoints"
    with (
        EmbeddedServer(ScriptedEngine(), Racing(tmp_path)) as server,
        httpx.Client(base_url=server.base_url, trust_env=False, timeout=60) as client,
    ):
        for method, path in (
            ("GET", f"{run}/external_weights/{KEPT.name}/external_weights_urls"),
            ("DELETE", f"{run}/{KEPT.kind}/{KEPT.name}"),
            ("PUT", f"{run}/{KEPT.kind}/{KEPT.name}/ttl"),
        ):
            write(written)
            answer = client.request(method, path, json={"ttl_seconds": 3600})
            assert answer.status_code == 404, (method, answer.text)


def test_a_download_of_what_was_deleted_is_not_found(
    server: EmbeddedServer, store: CheckpointStore
) -> None:
    path = write(store).replace("/sampler_weights/", "/external_weights/")
    rest = tinker.RestClient(base_url=server.base_url, api_key="tml-x")
    (url,) = rest.get_external_weights_urls(path).result().urls.values()
    assert httpx.get(url, trust_env=False, timeout=60).content == b"x" * 1000
    rest.delete_checkpoint_from_tinker_path(path).result()
    assert httpx.get(url, trust_env=False, timeout=60).status_code == 404


def test_listing_while_others_save_and_delete(
    server: EmbeddedServer, store: CheckpointStore
) -> None:
    stop = threading.Event()

    def churn(name: str) -> None:
        while not stop.is_set():
            store.delete(write(store, CheckpointPath("run", "weights", name)))

    threads = [threading.Thread(target=churn, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    seen: set[int] = set()
    with httpx.Client(base_url=server.base_url, trust_env=False, timeout=60) as client:
        end_s, asked = time.monotonic() + 60, 0
        while asked < 60 or (len(seen) < 2 and time.monotonic() < end_s):
            asked += 1
            answer = client.get("/api/v1/checkpoints")
            assert answer.status_code == 200
            seen.add(len(answer.json()["checkpoints"]))
    stop.set()
    for thread in threads:
        thread.join()
    assert len(seen) > 1


@pytest.mark.xdist_group("serve")
def test_a_server_behind_a_proxy_names_its_public_address(tmp_path: Path) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    expired = CheckpointPath("run", "weights", "expired")
    long_ago = CheckpointStore(tmp_path, now=lambda: past)
    long_ago.expire(write(long_ago, expired), 3600)
    place = tmp_path / "run" / "weights" / "expired"
    assert place.exists()
    path = write(CheckpointStore(tmp_path)).replace("/sampler_weights/", "/external_weights/")
    public = ("--public-url", "https://gpu.example.org/tinker/")
    key = {"MY_KEY": "tml-secret"}
    with serving(tmp_path, *public, "--api-key-env", "MY_KEY", env=key) as address:
        rest = tinker.RestClient(base_url=address, api_key="tml-secret")
        (url,) = rest.get_external_weights_urls(path).result().urls.values()
        assert url.startswith("https://gpu.example.org/tinker/api/v1/downloads/")
        here = url.replace("https://gpu.example.org/tinker", address)
        forged = {"x-forwarded-proto": "https", "x-forwarded-host": "evil.example"}
        assert httpx.get(here, headers=forged, trust_env=False, timeout=60).content == b"x" * 1000
        assert not place.exists()  # removed when the server started
    listed = geospot("checkpoints", "list", "--state-dir", tmp_path).stdout
    assert str(KEPT) in listed
    assert str(expired) not in listed
    wrong = geospot("serve", "--public-url", "gpu.example.org", "--state-dir", tmp_path)
    assert wrong.returncode == 2
    assert "no http address" in wrong.stderr
    open_to_all = geospot("serve", *public, "--state-dir", tmp_path)
    assert open_to_all.returncode == 2
    assert "no key is set" in open_to_all.stderr


def test_a_server_whose_engine_dies_ends_with_exit_code_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.dying_server", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--state-dir", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    while " at http" not in (line := process.stderr.readline()):
        assert process.poll() is None
    address = line.split(" at ")[1].split()[0]
    service = tinker.ServiceClient(base_url=address, api_key="tml-x")
    client = service.create_lora_training_client(BASE, rank=1).result(timeout=120)
    with pytest.raises(tinker.RequestFailedError, match="the engine has died of Panic"):
        client.optim_step(tinker.AdamParams()).result(timeout=120)
    rest = process.communicate(timeout=120)[1]
    service.holder.close()
    assert process.returncode == 1, rest
    assert "The server stops: the engine has died of Panic: index out of bounds" in rest
