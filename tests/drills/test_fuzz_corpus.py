"""What the fuzzers found worth keeping, tried again."""

from pathlib import Path

from tests.drills import fuzz_parser, fuzz_server

CORPUS = Path(__file__).with_name("corpus")


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
