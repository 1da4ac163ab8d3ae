"""What the fuzzers found worth keeping, tried again."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drills import fuzz_parser, fuzz_server

CORPUS = Path(__file__).with_name("corpus")


@pytest.fixture(autouse=True)
def _others_hear_the_log() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """The fuzzer of the server keeps the log to itself; tests after this one look into it."""
    yield
    logging.getLogger("geospot_backends").propagate = True


def test_the_parser_takes_all_that_was_found() -> None:
    found = sorted((CORPUS / "parser").iterdir())
    assert len(found) > 100
    for path in found:
        fuzz_parser.check(path.read_bytes())


def test_the_server_answers_all_that_was_found() -> None:
    found = sorted((CORPUS / "server").iterdir())
    assert len(found) > 100
    for path in found:
        fuzz_server.check(path.read_bytes())
