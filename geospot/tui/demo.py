"""Starting `geospot demo` as a process that goes on without the app."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from geospot.durable import unwritable
from geospot.textsafe import printable

_OUTPUT: Final = "output.log"
_READ: Final = 1 << 13


@dataclass(frozen=True, slots=True, eq=False)
class Demo:
    """A demo that was started."""

    output: Path
    process: "subprocess.Popen[bytes]"

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def trouble(self) -> str | None:
        """Why it ended, where that wasn't well: the last thing that it said."""
        if self.process.poll() in (None, 0):
            return None
        with self.output.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _READ))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return f"The demo ended: {printable(lines[-1]) if lines else 'it said nothing'}"


def start_demo(out: Path) -> Demo:
    """Starts it, or goes on with it where it was stopped; what it prints is appended to a file.

    Raises:
        WriteError: the folder can't be made.
    """
    output = out.absolute() / _OUTPUT
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as out_file:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-m", "geospot", "demo", "--out", str(out.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
    except OSError as error:
        raise unwritable(output, error) from error
    return Demo(output, process)
