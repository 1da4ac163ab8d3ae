"""What the tests of training share."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.learning import engine_url


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where that engine keeps its checkpoints."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def url(state: Path) -> Generator[str]:
    """The address of an engine for all of them; every run has names of its own there."""
    with engine_url(state) as address:
        yield address
