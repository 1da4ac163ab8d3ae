"""Starting `geospot demo` as a process that goes on without the app."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from geospot.durable import unwritable
from geospot.runs.launching import OUTPUT, last_words, start_detached


@dataclass(frozen=True, slots=True, eq=False)
class Demo:
    """A demo that was started."""

    output: Path
    """The file to which everything it prints is appended."""
    process: "subprocess.Popen[bytes]"
    start: int
    """Where in the file its output begins, in bytes."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def trouble(self) -> str | None:
        """Why it ended, where that wasn't well: the last thing that it said."""
        if self.process.poll() in (None, 0):
            return None
        return f"The demo ended: {last_words(self.output, self.start) or 'it said nothing.'}"


def start_demo(folder: Path) -> Demo:
    """Starts it, or goes on with it where it was stopped.

    Raises:
        WriteError: the folder can't be made.
        LaunchError: it can't be started.
    """
    output = folder.absolute() / OUTPUT
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        out = output.open("ab")
    except OSError as error:
        raise unwritable(output, error) from error
    with out:
        start = out.seek(0, os.SEEK_END)
        process = start_detached(["geospot", "demo", f"--out={folder.absolute()}"], out)
    return Demo(output, process, start)
