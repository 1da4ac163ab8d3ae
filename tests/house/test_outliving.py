"""A terminal that goes away takes nothing with it but what was to be shown."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from geospot.textsafe import outliving


def test_what_is_written_after_the_terminal_has_gone_is_dropped() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        kept = outliving(stream)
        kept.write("São Paulo\n")
        assert "São Paulo" in os.read(master, 100).decode()
        os.close(master)
        for _ in range(3):
            kept.write("nobody sees it\n")
            kept.flush()
        os.write(stream.fileno(), b"nor what a library writes")


def test_a_terminal_that_is_there_shows_everything_at_once() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8", errors="replace") as stream:
        kept = outliving(stream)
        assert kept.isatty()
        assert (kept.encoding, kept.errors) == ("utf-8", "replace")
        kept.write("a line\n")
        assert b"a line" in os.read(master, 100)
        os.close(master)


def test_a_file_that_takes_no_more_still_says_so(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        assert outliving(stream) is stream
    assert isinstance(outliving(io.StringIO()), io.StringIO)
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "w", 1) as full:  # noqa: PTH123
        outliving(full).write("a line\n")


_LIMITED = """
import resource, sys
from geospot.textsafe import outliving
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.stdout = outliving(sys.stdout)
sys.stdout.write("x" * 9000)
sys.stdout.flush()
"""


def test_what_is_taken_in_part_says_so_without_a_buffer(tmp_path: Path) -> None:
    """As of a disk that is nearly full: the first write is taken in part, the second one isn't."""
    with (tmp_path / "out").open("wb") as out:
        command = [sys.executable, "-u", "-c", _LIMITED]  # as PYTHONUNBUFFERED, which images set
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (tmp_path / "out").stat().st_size == 4096
    assert done.returncode
    assert "File too large" in done.stderr
