"""`geospot serve` in a process of its own."""

import re
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.evaluating import start_geospot


@contextmanager
def serving(
    state: Path, *options: str, env: dict[str, str] | None = None, end: int = signal.SIGTERM
) -> Generator[str]:
    """A server in a process of its own; its address."""
    process = start_geospot("serve", "--port", "0", "--state-dir", state, *options, env=env)
    assert process.stderr is not None
    lines: list[str] = []
    try:
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"at (http://\S+)", line):
                yield found[1]
                break
        else:
            pytest.fail(f"the server didn't start: {''.join(lines)}")
    finally:
        process.send_signal(end)
        rest = process.communicate(timeout=120)[1]
    assert "tml-secret" not in "".join(lines) + rest
    if end in (signal.SIGTERM, signal.SIGHUP):
        assert process.returncode == 0
