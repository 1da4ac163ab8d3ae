"""Environments of their own for packages that are measured and that nobody here depends on."""

import hashlib
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_INSTALL_S: Final = 900
_READY: Final = "ready"


@dataclass(frozen=True, slots=True)
class Pins:
    """What is installed for a peer, with its version.

    Attributes:
        name: of the environment.
        packages: requirements, each with `==`; the first is the peer's own.
        first: installed before them, so that they find it there.
        last: installed after them, alone, in place of what they brought.
        without: removed at the end.
    """

    name: str
    packages: Sequence[str]
    first: Sequence[str] = ()
    last: Sequence[str] = ()
    without: Sequence[str] = ()

    @property
    def versions(self) -> dict[str, str]:
        """Of the pinned packages, by name."""
        return versions_of((*self.packages, *self.first, *self.last))


def versions_of(pins: Sequence[str]) -> dict[str, str]:
    """Versions by name of requirements with `==`."""
    parts = [pin.partition("==") for pin in pins]
    return {name: version for name, _, version in parts}


# Ours pins the same openai SDK, so that all ask through the same one.
INSPECT: Final = Pins("inspect_ai", ("inspect_ai==0.3.285", "openai==3.54.0", "httpx2==2.16.2"))

# lmms-eval patches a private module that filelock has moved since. The torchvision that a package
# index has is built for a torch with CUDA and breaks the import of transformers beside one without; no
# photo goes through it here.
LMMS: Final = Pins(
    "lmms-eval",
    ("lmms_eval==0.7.3", "openai==3.54.0", "httpx2==2.16.2"),
    first=("torch==2.13.0",),
    last=("filelock==3.20.0",),
    without=("torchvision",),
)
# What its training programs import besides what ours brings: not all that it asks for can be installed.
COOKBOOK: Final = Pins(
    "tinker-cookbook",
    (
        "tinker-cookbook==0.6.1",
        "blobfile==3.3.0",
        "chz==0.4.0",
        "lxml==6.1.3",
        "pycryptodomex==3.24.2",
        "termcolor==3.3.0",
        "urllib3==2.8.0",
    ),
)
PLACES: Final = Pins("places", ("geopy==2.5.0", "geographiclib==2.1", "haversine==2.9.0"))
PLOTS: Final = Pins("matplotlib", ("matplotlib==3.11.2",))


def isolated(pins: Pins) -> Path | str:
    """The interpreter of the peer's environment, or why there is none.

    It has nothing of this environment. It is made once and kept beside this environment until a pin
    changes.
    """
    folder = _kept(pins)
    python = folder / "bin" / "python"
    if (folder / _READY).exists():
        return python
    pip = (str(python), "-m", "pip")
    commands: list[Sequence[str]] = [(sys.executable, "-m", "venv", "--clear", str(folder))]
    commands += [(*pip, "install", *pins.first)] if pins.first else []
    commands += [(*pip, "install", *pins.packages, *pins.first)]
    commands += [(*pip, "install", "--no-deps", *pins.last)] if pins.last else []
    commands += [(*pip, "uninstall", "--yes", *pins.without)] if pins.without else []
    failure = _run(commands)
    if failure:
        return failure
    (folder / _READY).touch()
    return python


def is_installed(pins: Pins) -> bool:
    """Whether the environment has been made."""
    return (_kept(pins) / _READY).exists()


def layered(pins: Pins) -> Path | str:
    """The interpreter of an environment with the peer's packages and, below, those of this one."""
    folder = _kept(pins)
    if (folder / _READY).exists():
        return folder / "bin" / "python"
    python = environment(folder, pins.packages)
    if isinstance(python, Path):
        (folder / _READY).touch()
    return python


def environment(folder: Path, packages: Sequence[str]) -> Path | str:
    """The interpreter of a new environment that has these packages over those of this one.

    Or why there is none.
    """
    below = sysconfig.get_path("purelib")
    commands: Sequence[Sequence[str]] = (
        (sys.executable, "-m", "venv", "--clear", "--system-site-packages", str(folder)),
        (str(folder / "bin" / "python"), "-m", "pip", "install", "--no-deps", *packages),
    )
    failure = _run(commands)
    if failure:
        return failure
    own = next(folder.glob("lib/python*/site-packages"))
    (own / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    return folder / "bin" / "python"


def _kept(pins: Pins) -> Path:
    asked = repr((pins.packages, pins.first, pins.last, pins.without, sys.version))
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    return Path(sys.prefix) / "benchmarks" / f"{pins.name}-{digest}"


def _run(commands: Sequence[Sequence[str]]) -> str:
    """Why one of them failed; empty if none did."""
    for command in commands:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_INSTALL_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode:
            return (done.stderr or done.stdout).strip().splitlines()[-1]
    return ""
