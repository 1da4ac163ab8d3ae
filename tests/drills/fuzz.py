"""One coverage-guided fuzzer, in a process of its own; options are libFuzzer's.

    python -m tests.drills.fuzz parser -runs=1000 CORPUS

It needs atheris, which belongs to no extra: `pip install -r tests/drills/requirements.txt`.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import atheris  # pyright: ignore[reportMissingModuleSource]

INSTRUMENTED = {
    "parser": ["geospot.parsing"],
    "server": ["geospot_backends.local", "h11"],
    "socket": ["geospot_backends.local", "h11"],
}


def main() -> None:
    """Fuzzes until the number of runs is reached, or something doesn't hold."""
    name = sys.argv.pop(1)
    library: Any = atheris  # its stubs lack most of it
    with library.instrument_imports(include=INSTRUMENTED[name], enable_loader_override=False):
        target = importlib.import_module(f"tests.drills.fuzz_{name}")
    check: Callable[[bytes], None] = target.check
    library.Setup(sys.argv, check)
    library.Fuzz()


if __name__ == "__main__":
    main()
