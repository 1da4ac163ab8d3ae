"""`geospot doctor`: what it says of addresses, with real servers and real silences."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from geospot.doctor import Finding, examine
from geospot.textsafe import shown_url
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.embedded import default_state_dir
from tests.support.scripted_engine import BASE, ScriptedEngine
from tests.support.tinker_server import keyed_server
from tests.support.web import Answer, web_server


def reached(monkeypatch: pytest.MonkeyPatch, url: str, hub: str) -> Finding:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    findings = [found for found in examine([url]) if found.topic == "reach"]
    assert len(findings) == 2
    return findings[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback that refuses connections: bound, not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize(
    ("status", "text", "ok"),
    [
        (200, "answers (HTTP 200)", True),
        (401, "answers, and wants a key (HTTP 401)", True),
        (404, "answers, but no /models (HTTP 404)", None),
        (405, "answers, but no /models (HTTP 405)", None),
        (307, "answers (HTTP 307)", None),
        (503, "answers, but fails (HTTP 503)", False),
    ],
)
def test_a_base_url_is_judged_by_its_models(
    monkeypatch: pytest.MonkeyPatch, status: int, text: str, ok: bool | None
) -> None:
    def answer(path: str) -> Answer:
        return Answer(status if path == "/v1/models" else 200)

    with web_server(answer) as server:
        for written in ("/v1", "/v1/", "/v1/models"):
            found = reached(monkeypatch, server.url + written, f"{server.url}/hub")
            assert found.name == server.url + written
            assert found.text.startswith(text)
            assert found.ok is ok
        assert set(server.asked) == {"/v1/models", "/hub"}


def test_any_answer_of_the_hub_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server(lambda path: Answer(404)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        [hub] = [found for found in examine() if found.topic == "reach"]
    assert (hub.text, hub.ok) == ("answers (HTTP 404)", True)


def test_what_does_not_answer_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    with web_server(lambda path: Answer(200)) as server, socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        for url, text, patience_s in (
            (f"http://127.0.0.1:{closed_port}/v1", "nothing listens there", 60.0),
            (f"http://127.0.0.1:{mute.getsockname()[1]}/v1", "silent for 0.3 s", 0.3),
            (server.url.replace("http:", "https:") + "/v1", "no TLS connection", 60.0),
        ):
            monkeypatch.setattr("geospot.doctor._TIMEOUT_S", patience_s)
            found = reached(monkeypatch, url, server.url)
            assert found.ok is False
            assert found.text.startswith(f"no answer: {text}")
            assert not re.search(r"Errno|\[|httpx|SSL:", found.text)


@pytest.mark.parametrize(
    "junk", ["junk", "", "ftp://x/y", "http://", "http://[bad/v1", "http://a:b/v1", "http://x y/v1"]
)
def test_junk_is_one_sentence(monkeypatch: pytest.MonkeyPatch, junk: str) -> None:
    with web_server(lambda path: Answer(200)) as server:
        found = reached(monkeypatch, junk, server.url)
    assert found == Finding(
        "reach", junk, "no http address; write it like http://127.0.0.1:8000/v1", ok=False
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("https://me:sk-1@host.example/v1?key=sk-1#sk-1", "https://host.example/v1"),
        ("me:sk-1@host.example/a@b", "host.example/a@b"),
        ("HTTP://me:sk@1@host?sk-1", "HTTP://host"),
        ("http://host?mail=me@other", "http://host"),
        ("http://host#me@other", "http://host"),
        ("http://host:80/a:b@c", "http://host:80/a:b@c"),
        ("http://[::1]:80/a@c", "http://[::1]:80/a@c"),
        ("http://host:?a:b@c", "http://host:"),
        ("http://me:sk#1@host/v1", "http://host/v1"),
        ("http://me:sk?1@host/v1", "http://host/v1"),
        ("me:sk/1:2@host:80/v1", "host:80/v1"),
        ("no address at all", "no address at all"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_key(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_the_program_ends_with_1_and_shows_no_password(closed_port: int) -> None:
    url = f"http://me:planted-9@127.0.0.1:{closed_port}/v1"
    done = subprocess.run(
        [sys.executable, "-m", "geospot", "doctor", "--json", "--base-url", url],
        env={"HF_ENDPOINT": f"http://127.0.0.1:{closed_port}", "PATH": "", "HOME": "/"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)[-1]["name"] == f"http://127.0.0.1:{closed_port}/v1"
    assert "planted-9" not in done.stdout + done.stderr


def services(*, offline: bool = False) -> dict[str, Finding]:
    return {found.name: found for found in examine(offline=offline) if found.topic == "service"}


@pytest.fixture
def unconfigured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no address, no credentials of the SDK, and a hub that answers at once."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("TINKER_API_KEY", "TINKER_BASE_URL", "TINKER_CREDENTIAL_CMD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.mark.usefixtures("unconfigured")
def test_services_are_listed_and_the_hosted_one_is_left_alone_without_a_key() -> None:
    found = services()
    assert found["local"].ok is True
    assert found["local"].text == (
        "needs no key; serves geospot/tiny-vlm, geospot/tiny-vlm-scratch; "
        f"checkpoints in {default_state_dir()}"
    )
    assert found["tinker"].ok is None
    assert "TINKER_API_KEY is not set" in found["tinker"].text


@pytest.mark.usefixtures("unconfigured")
def test_a_service_that_is_set_up_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, closed_port: int
) -> None:
    monkeypatch.setenv("TINKER_API_KEY", "tml-planted")
    with keyed_server(ScriptedEngine(), CheckpointStore(tmp_path), "tml-planted") as address:
        monkeypatch.setenv("TINKER_BASE_URL", address)
        good = services()["tinker"]
        assert good.text == f"at {address}, with the key in TINKER_API_KEY: answers; serves {BASE}"
        assert good.ok is True
        assert services(offline=True)["tinker"].text.endswith("TINKER_API_KEY; not asked")
        monkeypatch.setenv("TINKER_API_KEY", "tml-planted-wrong")
        bad = services()["tinker"]
        assert bad.ok is False
        assert "refuses the key in TINKER_API_KEY" in bad.text
        monkeypatch.setenv("TINKER_BASE_URL", f"http://127.0.0.1:{closed_port}")
        assert "Nothing answers at" in services()["tinker"].text
    monkeypatch.setenv("TINKER_API_KEY", "sk-planted")
    malformed = services()["tinker"]
    assert malformed.ok is False
    assert "start with tml-" in malformed.text
    assert "planted" not in good.text + bad.text + malformed.text


@pytest.mark.usefixtures("unconfigured")
def test_an_engine_that_cannot_start_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from geospot_backends.local import embedded

    monkeypatch.setattr(embedded, "_NEEDED", ("torch", "no_such_package"))
    found = services(offline=True)["local"]
    assert found.ok is None
    assert "aren't installed: no_such_package" in found.text
    assert "geospot-vlm[local]" in found.text


def test_looking_at_services_loads_nothing_heavy() -> None:
    script = (
        "import sys; from geospot.doctor import examine; examine(offline=True);"
        "print([n for n in ('torch', 'transformers', 'tinker') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
