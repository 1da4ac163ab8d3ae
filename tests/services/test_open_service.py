"""Everything that can be wrong with a service is said within seconds, in one sentence."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from geospot.config.learning import RLConfig
from geospot.errors import (
    KeyMissingError,
    ModelNotFoundError,
    PluginError,
    UnreachableError,
    UsageError,
)
from geospot.learning.connect import connect
from geospot.services import ServiceOptions, open_service, waiting
from geospot.services.endpoint import HOSTED_URL, NO_KEY, hosted
from geospot_backends.local.api import ServedModel
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.support.scripted_engine import BASE, CONTEXT, ScriptedEngine
from tests.support.tinker_server import keyed_server

pytestmark = [
    pytest.mark.filterwarnings("error::DeprecationWarning"),
    pytest.mark.filterwarnings("error::FutureWarning"),
]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # no credentials of `tinker auth login`
    for name in ("TINKER_API_KEY", "TINKER_BASE_URL", "TINKER_CREDENTIAL_CMD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(ScriptedEngine(), CheckpointStore(tmp_path)) as running:
        yield running


@contextmanager
def within(seconds: float) -> Generator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def test_a_missing_key_is_named() -> None:
    with within(60), pytest.raises(KeyMissingError, match="TINKER_API_KEY is not set"):
        open_service("tinker")


def test_a_malformed_key_is_told_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINKER_API_KEY", "sk-secret")
    with within(60), pytest.raises(KeyMissingError, match="start with tml-") as caught:
        open_service("tinker")
    assert "secret" not in str(caught.value)


def test_the_key_goes_only_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINKER_API_KEY", "tml-mine")
    assert hosted(ServiceOptions()).api_key == "tml-mine"
    assert hosted(ServiceOptions()).base_url == HOSTED_URL
    stranger = hosted(ServiceOptions(base_url="http://127.0.0.1:1"))
    assert stranger.api_key == NO_KEY
    monkeypatch.setenv("TINKER_BASE_URL", "http://127.0.0.1:2/")
    beside = hosted(ServiceOptions())
    assert (beside.base_url, beside.api_key) == ("http://127.0.0.1:2", "tml-mine")
    named = hosted(ServiceOptions(base_url="http://127.0.0.1:3", api_key_env="TINKER_API_KEY"))
    assert named.api_key == "tml-mine"
    assert "tml-mine" not in repr(named)


def test_nothing_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with within(60), pytest.raises(UnreachableError, match=r"Nothing answers.*geospot serve"):
            open_service(address)


def test_something_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SETUP_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with within(60), pytest.raises(UnreachableError, match="Nothing answers"):
            open_service(address)


def test_something_else_is_there() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    web = HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{web.server_address[1]}"
        with within(60), pytest.raises(UnreachableError, match=r"no healthy Tinker.*HTTP 404"):
            open_service(address)
    finally:
        web.shutdown()
        web.server_close()


def test_an_address_with_the_path_of_the_protocol_is_refused(server: EmbeddedServer) -> None:
    refused = (
        r"no healthy Tinker service \(HTTP 404\)\. Check the address; it goes without /api/v1\."
    )
    for path in ("/api/v1", "/api/v1/"):
        with within(60), pytest.raises(UnreachableError, match=refused):
            open_service(f"{server.base_url}{path}")


class _OfText(ScriptedEngine):
    """Serves a text model alone."""

    def supported_models(self) -> list[ServedModel]:
        return [ServedModel("Qwen/Qwen3-8B", CONTEXT)]


def test_a_server_of_text_models_alone_is_refused_at_connect(tmp_path: Path) -> None:
    """Unless its model was named: then the person is believed."""
    run = tmp_path / "run"
    with EmbeddedServer(_OfText(), CheckpointStore(tmp_path / "state")) as running:
        config = RLConfig(service=running.base_url, hf_repo="world", log_path=run)
        with within(60), pytest.raises(ModelNotFoundError) as caught:
            connect(config)
        assert str(caught.value) == (
            f"The service at {running.base_url} serves no model that is known to take images. "
            "Others: Qwen/Qwen3-8B."
        )
        named = connect(config.model_copy(update={"model_name": "Qwen/Qwen3-8B"}))
        assert named.model.name == "Qwen/Qwen3-8B"
        named.service.close()
    assert not run.exists()


def test_a_refused_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WRONG_KEY", "tml-wrong")
    monkeypatch.setenv("RIGHT_KEY", "tml-right")
    with keyed_server(ScriptedEngine(), CheckpointStore(tmp_path), "tml-right") as address:
        with (
            within(60),
            pytest.raises(KeyMissingError, match="refuses the key in WRONG_KEY") as caught,
        ):
            open_service(address, ServiceOptions(api_key_env="WRONG_KEY"))
        assert "tml-wrong" not in str(caught.value)
        with pytest.raises(KeyMissingError, match=r"asks for a key\. .*--api-key-env") as caught:
            open_service(address)
        assert "api_key_env=NAME" in str(caught.value)
        assert "TINKER_API_KEY" not in str(caught.value)
        monkeypatch.setenv("TINKER_API_KEY", "tml-right")
        with pytest.raises(KeyMissingError, match="TINKER_API_KEY is sent to no other address"):
            open_service(address)
        with open_service(address, ServiceOptions(api_key_env="RIGHT_KEY")) as service:
            assert [model.name for model in service.models()] == [BASE]


def test_a_model_that_is_not_served(server: EmbeddedServer) -> None:
    with open_service(server.base_url) as service:
        assert service.choose_model(None).name == BASE
        with within(60), pytest.raises(ModelNotFoundError, match=f"it serves: {BASE}"):
            service.choose_model("no/such-model")
        with pytest.raises(ModelNotFoundError, match="hosted service retired it on 12 June 2026"):
            service.choose_model("Qwen/Qwen3-VL-30B-A3B-Instruct")
        with pytest.raises(ModelNotFoundError, match="has no tinker://a/sampler_weights/b"):
            service.sampler(path="tinker://a/sampler_weights/b")


def test_an_unknown_service_and_a_wrong_address() -> None:
    with pytest.raises(PluginError, match=r"no service 'tinke'.*Did you mean 'tinker'"):
        open_service("tinke")
    with pytest.raises(UsageError, match="no http address"):
        open_service("ftp://127.0.0.1")
    with pytest.raises(UsageError, match="can't be read: Invalid IPv6"):
        open_service("http://[::1")
    for address in ("http://user:tml-key@127.0.0.1:1", "htp://user:tml-key@127.0.0.1:1"):
        with pytest.raises(UsageError, match="--api-key-env") as raised:
            open_service(address)
        assert "tml-key" not in str(raised.value)


def test_loopback_works_behind_a_proxy(server: EmbeddedServer) -> None:
    script = (
        "import sys\n"
        "from tinker import types\n"
        "from geospot.services import open_service\n"
        "with open_service(sys.argv[1]) as service:\n"
        "    client = service.sampler(base_model=service.choose_model(None).name)\n"
        "    prompt = types.ModelInput.from_ints([5])\n"
        "    answer = client.sample(prompt, 1, types.SamplingParams(max_tokens=1)).result()\n"
        "    print(answer.sequences[0].tokens)\n"
    )
    dead = "http://127.0.0.1:9"
    environment = os.environ | {"HTTP_PROXY": dead, "http_proxy": dead, "ALL_PROXY": dead}
    environment = {k: v for k, v in environment.items() if k.lower() != "no_proxy"}
    done = subprocess.run(
        [sys.executable, "-c", script, server.base_url],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.strip() == "[5, 0, 0]", done.stderr


_CUT_OFF = """
import asyncio, atexit, gc, sys, time
from geospot.services import open_service

client = open_service(sys.argv[1]).client()

async def late():
    while not ended:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(print, "never")

def end():
    ended.append(True)
    time.sleep(0.5)
    gc.collect()
    print("ended", file=sys.stderr)

ended = []
loop = client.holder.get_loop()
loop.call_soon_threadsafe(lambda: loop.create_task(late()))
atexit.register(end)
"""


def test_what_the_end_of_the_process_cuts_off_is_no_traceback(server: EmbeddedServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CUT_OFF, server.base_url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "ended\n")
