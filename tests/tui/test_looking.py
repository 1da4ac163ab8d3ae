"""A service or server is looked at in a process of its own, which never takes long and tells no key."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from geospot.tui import looking
from geospot.tui.looking import Asked, Look, look_at, names_of
from geospot_backends.local.checkpoints import CheckpointStore
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tinker_server import keyed_server
from tests.support.vlm_server import VlmServer, dead_port

pytestmark = pytest.mark.usefixtures("no_keys")


def look(asked: Asked) -> Look:
    """What is seen."""
    return asyncio.run(look_at(asked))


def test_the_hosted_service_without_a_key_is_told_at_once() -> None:
    seen = look(Asked("service", "tinker"))
    assert seen.trouble is not None
    assert "TINKER_API_KEY" in seen.trouble


def test_the_embedded_engine_needs_nothing_and_names_its_models() -> None:
    seen = look(Asked("service", "local"))
    assert seen.trouble is None
    assert seen.is_open
    assert "geospot/tiny-vlm" in seen.models
    assert look(Asked("backend", "local")) == seen


def test_a_dead_address_and_an_unknown_name_are_sentences() -> None:
    with dead_port() as port:
        seen = look(Asked("service", f"http://127.0.0.1:{port}"))
        assert seen.trouble is not None
        assert "Nothing answers" in seen.trouble
        seen = look(Asked("backend", "openai", f"http://127.0.0.1:{port}/v1"))
        assert seen.trouble is not None
        assert "Nothing answers" in seen.trouble
    seen = look(Asked("service", "tinkr"))
    assert seen.trouble is not None
    assert "Did you mean 'tinker'" in seen.trouble


def test_a_chat_server_names_its_models_with_those_that_see_first() -> None:
    with VlmServer(models=["words", "some-vlm", "pixtral"]) as server:
        seen = look(Asked("backend", "openai", server.base_url))
    assert seen.models == ("pixtral", "some-vlm", "words")
    assert seen.said == "reachable, 3 models; no key is sent"
    with VlmServer(models=[]) as server:
        seen = look(Asked("backend", "openai", server.base_url))
    assert (seen.trouble, seen.models, seen.is_open) == (None, (), True)


def test_a_key_is_named_by_its_variable_and_told_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret-value")
    with VlmServer(key="very-secret-value") as server:
        refused = look(Asked("backend", "openai", server.base_url))
        taken = look(Asked("backend", "openai", server.base_url, "MY_KEY"))
    assert refused.trouble is not None
    assert "refuses the key" in refused.trouble
    assert taken.trouble is None
    assert "key in MY_KEY" in taken.said
    assert "secret" not in f"{refused}{taken}"


def test_a_training_service_that_asks_for_a_key_is_opened_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", "tml-very-secret")
    with keyed_server(
        ScriptedEngine(), CheckpointStore(tmp_path / "state"), "tml-very-secret"
    ) as url:
        refused = look(Asked("service", url))
        taken = look(Asked("service", url, None, "MY_KEY"))
        asked_by_backend = look(Asked("backend", "tinker", url, "MY_KEY"))
    assert refused.trouble is not None
    assert "asks for a key" in refused.trouble
    assert taken.trouble is None, taken.trouble
    assert "key in MY_KEY" in taken.said
    assert taken.models
    assert asked_by_backend == taken
    assert "secret" not in f"{refused}{taken}"


def test_a_server_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LIMIT_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        seen = look(Asked("backend", "openai", f"http://127.0.0.1:{port}/v1"))
    assert seen.trouble is not None
    assert "no answer for 2 s" in seen.trouble


def test_a_machine_that_cannot_load_what_asks_is_not_a_silent_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "LIMIT_S", 0.0)
    monkeypatch.setattr(looking, "_BEGINS_S", 0.0)
    seen = look(Asked("service", "local"))
    assert seen.trouble is not None
    assert "wasn't loaded" in seen.trouble


def test_what_has_to_be_imported_takes_no_time_from_the_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The time begins with a timer: what is imported then?"""
    (tmp_path / "sitecustomize.py").write_text(_NOTES.format(str(tmp_path / "imported")))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        VlmServer() as chat,
        keyed_server(
            ScriptedEngine(), CheckpointStore(tmp_path / "state"), "tml-very-secret"
        ) as training,
    ):
        for asked, package in {
            Asked("backend", "openai", chat.base_url): "openai",
            Asked("service", training): "tinker",
            Asked("backend", "tinker", training): "tinker",
            Asked("service", "tinker"): "tinker",
        }.items():
            look(asked)
            assert package in (tmp_path / "imported").read_text().split(), asked


_NOTES = """
import sys, threading
_init = threading.Timer.__init__
def noted(timer, *words, **more):
    open({!r}, "w").write(" ".join(name for name in sys.modules if "." not in name))
    _init(timer, *words, **more)
threading.Timer.__init__ = noted
"""


def test_what_is_installed_is_named() -> None:
    assert {"tinker", "local"} <= set(names_of("service"))
    assert {"openai", "prior", "local"} <= set(names_of("backend"))
    assert os.environ.get("TINKER_API_KEY") is None
