"""What a result was made with: versions of the packages and the state of the source tree."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from geospot import __version__

_PACKAGES: Final = (
    "openai",
    "tinker",
    "datasets",
    "numpy",
    "pillow",
    "pyarrow",
    "reverse_geocoder",
)


def versions() -> dict[str, str]:
    """Versions of geospot, Python and the packages that can change a score."""
    found = {"geospot": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that geospot runs from and whether it was changed; None if installed."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None  # no git here, or a checkout without a commit
    return {"commit": commit, "changed": changed}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=True, timeout=5
    )
    return done.stdout.strip()
