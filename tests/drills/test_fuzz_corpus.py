"""What the fuzzers found worth keeping, tried again."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geospot_backends.local import routes
from tests.drills import fuzz_parser, fuzz_server
from tests.drills.faults import SERVER_LOG

CORPUS = Path(__file__).with_name("corpus")


@pytest.fixture
def answers_of_the_server() -> Iterator[Callable[[bytes], None]]:
    """The fuzzer's server, which hurries and keeps the log to itself: tests after this one don't."""
    yield fuzz_server.check
    fuzz_server.close()


def test_the_parser_takes_all_that_was_found() -> None:
    found = sorted((CORPUS / "parser").iterdir())
    assert len(found) > 100
    for path in found:
        fuzz_parser.check(path.read_bytes())


def test_the_server_answers_all_that_was_found(
    answers_of_the_server: Callable[[bytes], None],
) -> None:
    found = sorted((CORPUS / "server").iterdir())
    assert len(found) > 100
    for path in found:
        answers_of_the_server(path.read_bytes())


def test_nothing_of_the_servers_fuzzer_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = of_this_process()
    fuzz_server.check(b"")
    assert of_this_process() != before
    assert list(tmp_path.iterdir())
    [served] = fuzz_server._served  # pyright: ignore[reportPrivateUsage]
    fuzz_server.close()
    assert served.loop.is_closed()
    assert of_this_process() == before
    assert list(tmp_path.iterdir()) == []


def of_this_process() -> tuple[float, bool, list[logging.Handler]]:
    """What other tests rely on: how soon the server looks again, and who hears its log."""
    waits_s = routes._POLL_S  # pyright: ignore[reportPrivateUsage]
    return waits_s, SERVER_LOG.propagate, [*SERVER_LOG.handlers]
