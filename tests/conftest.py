"""Options of the tests."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-looks",
        action="store_true",
        help="Keep what the screens look like now as what they have to look like (tests/tui/looks).",
    )
