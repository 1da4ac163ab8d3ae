"""Starts the embedded engine, for whoever needs no more of it than an address.

Entry point `local` of group `geospot.services`, and what `geospot serve` stands on.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from geospot.errors import PluginError, UsageError
from geospot.services.endpoint import DescribedService, Endpoint, Facts, ServiceOptions
from geospot_backends.local import tiny_vlm

if TYPE_CHECKING:
    from geospot_backends.local.api import EngineError
    from geospot_backends.local.engine import LocalEngine

STATE_VARIABLE: Final = "GEOSPOT_STATE_DIR"
_NEEDED: Final = ("torch", "transformers", "peft", "h11")


def default_state_dir() -> Path:
    """Where checkpoints lie: GEOSPOT_STATE_DIR, or the person's folder for programs' state."""
    if named := os.environ.get(STATE_VARIABLE, "").strip():
        return Path(named).expanduser()
    home = os.environ.get("XDG_STATE_HOME", "").strip()
    return (Path(home) if home else Path.home() / ".local" / "state") / "geospot" / "checkpoints"


def make_engine(
    state_dir: Path | None, models: Sequence[str] = (), *, device: str | None = None
) -> "LocalEngine":
    """The engine. Importing what it needs takes some seconds.

    Args:
        state_dir: where checkpoints lie; None for the usual place.
        models: base models to be served beside the embedded ones.
        device: where models are computed; None takes CUDA where there is one.

    Raises:
        PluginError: the packages of the extra `local` aren't installed.
        UsageError: the state folder can't be made.
    """
    check_packages()
    folder = state_dir or default_state_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The state folder {folder} can't be made: {error.strerror}.",
            f"Name another with --state-dir or {STATE_VARIABLE}.",
        ) from error
    from geospot_backends.local.engine import LocalEngine

    # A second thread doesn't help the tiny model, and a large one needs all there are.
    threads = (os.cpu_count() or 1) if models else 1
    return LocalEngine(folder, device=device, models=models, threads=threads)


def check_packages() -> None:
    """Raises PluginError unless the packages of the extra `local` are installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise PluginError(
            f"The embedded engine needs packages that aren't installed: {', '.join(missing)}.",
            "Install them with `pip install 'geospot-vlm[local]'`.",
        )


def cannot_start(error: "EngineError") -> UsageError:
    """The engine doesn't have a model that it was to serve."""
    return UsageError(
        error.message,
        f"Without any network there are {tiny_vlm.NAME} and {tiny_vlm.SCRATCH_NAME}; a folder with a "
        "model's files is taken in the place of its id.",
    )


def _facts() -> Facts:
    """What it serves, and whether it could; imports nothing heavy."""
    try:
        check_packages()
    except PluginError as error:
        return Facts(trouble=str(error))
    return Facts((tiny_vlm.NAME, tiny_vlm.SCRATCH_NAME), state=default_state_dir())


def _start(options: ServiceOptions) -> Endpoint:
    """A server in a process beside this one, on a free port of the loopback interface.

    Whoever in this process asks for the same while it runs shares it.

    Raises:
        PluginError: the packages of the extra `local` aren't installed.
        UsageError: a model can't be loaded.
        BackendError: the engine ended while it was starting.
    """
    check_packages()
    from geospot_backends.local.shared import hold

    return hold(options, options.state_dir or default_state_dir())


service: Final = DescribedService(_start, _facts)
"""Entry point `local` of group `geospot.services`."""
