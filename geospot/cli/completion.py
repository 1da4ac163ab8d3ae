"""What the shell completes in the place of a value."""

from collections.abc import Callable
from typing import Final

import typer

from geospot.plugins import BACKENDS, SERVICES, installed, load


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
