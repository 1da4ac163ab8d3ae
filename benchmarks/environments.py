"""Environments of their own for packages that are measured and that nobody here depends on."""

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_INSTALL_S: Final = 300


def environment(folder: Path, packages: Sequence[str]) -> Path | str:
    """The interpreter of a new environment with these packages alone, or why there is none.

    The packages of this environment lie below.
    """
    below = sysconfig.get_path("purelib")
    commands: Sequence[Sequence[str]] = (
        [sys.executable, "-m", "venv", "--system-site-packages", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-deps", *packages],
    )
    for command in commands:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_INSTALL_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode:
            return (done.stderr or done.stdout).strip().splitlines()[-1]
    own = next(folder.glob("lib/python*/site-packages"))
    (own / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    return folder / "bin" / "python"
