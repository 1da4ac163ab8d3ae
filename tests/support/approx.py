"""`pytest.approx` with types."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest


def approx(
    expected: float | Sequence[Any] | np.floating[Any],
    *,
    rel: float | None = None,
    abs: float | None = None,  # noqa: A002 - pytest's own name
) -> Any:
    """Equal to `expected` (a number, or numbers and tuples of them) within a tolerance."""
    return cast(Any, pytest).approx(expected, rel=rel, abs=abs)
