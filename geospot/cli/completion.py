"""What the shell completes in the place of a value."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import typer

from geospot.plugins import BACKENDS, SERVICES, installed, load

DEFAULT_FOLDERS: Final = (Path("runs"), Path("results"))
"""Where runs are looked for when nobody says where."""

_MOST: Final = 2_000
"""Folders that are looked into while a person waits behind the tab key."""


def complete_backend(incomplete: str) -> list[str]:
    """Installed backends."""
    return _beginning([plugin.name for plugin in installed(BACKENDS)], incomplete)


def complete_service(incomplete: str) -> list[str]:
    """Installed services."""
    return _beginning([plugin.name for plugin in installed(SERVICES)], incomplete)


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """Models of the embedded engine, behind `--backend local`; nobody else's are known here."""
    return embedded_models(incomplete) if ctx.params.get("backend") == "local" else []


def embedded_models(incomplete: str) -> list[str]:
    """Models that the embedded engine brings."""
    from geospot.services.endpoint import DescribedService

    found = load(SERVICES, "local") if "local" in complete_service("local") else None
    names = found.facts().models if isinstance(found, DescribedService) else ()
    return _beginning(list(names), incomplete)


def complete_run(incomplete: str) -> list[str]:
    """Run directories: those in the usual folders, or where what is typed already leads."""
    return _beginning(_runs(incomplete), incomplete)


def complete_run_checkpoint(incomplete: str) -> list[str]:
    """DIR@, and behind the @ the run's checkpoints that can be trained on."""
    run, at, _ = incomplete.rpartition("@")
    if not at:
        return [f"{name}@" for name in complete_run(incomplete)]
    from geospot.errors import GeospotError
    from geospot.runs.checkpoints import read_checkpoints

    try:
        rows = read_checkpoints(Path(run))
    except GeospotError:
        return []
    names = dict.fromkeys(f"{run}@{row.name}" for row in rows if row.state_path)
    return _beginning(list(names), incomplete)


def complete_result(incomplete: str) -> list[str]:
    """Result directories, those of runs' evaluations too: where runs are looked for."""
    from geospot_leaderboard.collect import result_directories

    folders = _folders(incomplete)
    found = [str(one) for folder in folders for one in result_directories(folder, most=_MOST)]
    return _beginning(found, incomplete)


def complete_run_or_result(incomplete: str) -> list[str]:
    """What a report can be about."""
    return [*complete_run(incomplete), *complete_result(incomplete)]


def _runs(incomplete: str) -> list[str]:
    from geospot.runs.catalogue import Catalogue

    return [str(run) for run in Catalogue(_folders(incomplete), most=_MOST).scan()]


def _folders(incomplete: str) -> Sequence[Path]:
    """The usual folders, or the one in which what is typed so far lies."""
    return [Path(incomplete).parent] if "/" in incomplete else DEFAULT_FOLDERS


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


OPTIONS: Final[dict[str, Callable[..., list[str]]]] = {
    "backend": complete_backend,
    "model": complete_model,
}
"""By the name of an option."""

SETTINGS: Final[dict[str, Callable[[str], list[str]]]] = {
    "service": complete_service,
    "model_name": embedded_models,
}
"""By the key of a setting."""
