"""Options of the tests, and in which order and where they are run: the same tests, sooner done."""

import gc
import signal
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

_LONG_S: Final = 300.0
"""Tests that are given more time than this take long (pyproject.toml has what others are given)."""


settings.register_profile(
    "unhurried", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
)
settings.load_profile("unhurried")  # how fast the machine is says nothing of what is tested


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-looks",
        action="store_true",
        help="Keep what the screens look like now as what they have to look like (tests/tui/looks).",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deals the tests out to pytest-xdist's workers.

    Tests for which their module makes something once stay together, or each worker would make it: a
    training, an engine. What takes long comes first, or at the end one worker has it and the other none.
    """
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        if item.get_closest_marker("xdist_group") is None and _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=_allowed_s, reverse=True)


def _shares(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    known = item._fixtureinfo.name2fixturedefs  # pyright: ignore[reportPrivateUsage]
    return any(fixture.scope == "module" for found in known.values() for fixture in found)


def _allowed_s(item: pytest.Item) -> float:
    """The time that a long test is given; 0 of all others, which stay in their order."""
    marker = item.get_closest_marker("timeout")
    allowed_s = float(marker.args[0]) if marker is not None else 0.0
    return allowed_s if allowed_s > _LONG_S else 0.0


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Takes what is loaded out of the garbage collector's sight, and lets it look at the rest less often.

    All tests with what they import are 700,000 objects: a look at them costs 0.4 s, every few tests. At
    Python's usual threshold, 700 new objects, looking would still be a fifth of what a screen's test takes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


@pytest.fixture(autouse=True, scope="session")
def _programs_hear_of_hang_ups() -> None:  # pyright: ignore[reportUnusedFunction]
    """Also where the tests themselves were started with nohup, which all their programs would inherit."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
