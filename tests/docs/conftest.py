"""What the tests of the pages share."""

from collections.abc import Generator

import pytest

from tests.support.evaluating import environment
from tests.support.warm import Warm


@pytest.fixture(scope="session")
def warm() -> Generator[Warm]:
    """The program with its imports behind it."""
    with Warm(environment()) as program:
        yield program
