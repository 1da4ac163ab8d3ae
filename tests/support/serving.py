"""`geospot serve` in a process of its own."""

import re
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.evaluating import begin_geospot
from tests.support.warm import ENGINE


@contextmanager
def serving(
    state: Path, *options: str, env: dict[str, str] | None = None, end: int = signal.SIGTERM
) -> Generator[str]:
    """A server in a process of its own; its address."""
    words = ("serve", *options, "--port", "0", "--state-dir", state)
    process = begin_geospot(*words, env=env, imports=ENGINE)
    lines: list[str] = []
    try:
        for line in process.error_lines():
            lines.append(line)
            if found := re.search(r"at (http://\S+)", line):
                yield found[1]
                break
        else:
            pytest.fail(f"the server didn't start: {''.join(lines)}")
    finally:
        process.send_signal(end)
        said = "".join(process.communicate(timeout=120))
    assert "tml-secret" not in said
    assert process.returncode == (-end if end == signal.SIGKILL else 0)
