"""Finds backends and services by entry point, a third party's like our own."""

from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from geospot.errors import PluginError

BACKENDS: Final = "geospot.backends"
SERVICES: Final = "geospot.services"
SERVERS: Final = "geospot.servers"
STORES: Final = "geospot.stores"


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed entry point and the distribution that brought it."""

    name: str
    target: str
    distribution: str
    version: str


def installed(group: str) -> list[Plugin]:
    """What is installed in an entry point group, by name."""
    return sorted((_describe(point) for point in entry_points(group=group)), key=lambda p: p.name)


def load(group: str, name: str) -> Any:
    """The object that the entry point names.

    Raises:
        PluginError: nothing of that name is installed, several are, or it doesn't import.
    """
    points = list(entry_points(group=group, name=name))
    kind = group.rpartition(".")[2].removesuffix("s")
    if not points:
        names = sorted({point.name for point in entry_points(group=group)})
        near = get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise PluginError(
            f"There is no {kind} {name!r}.", f"{hint}Installed: {', '.join(names) or 'none'}."
        )
    if len({point.value for point in points}) > 1:
        owners = ", ".join(sorted(_describe(point).distribution for point in points))
        raise PluginError(
            f"Several packages bring a {kind} {name!r}: {owners}.", "Uninstall all but one."
        )
    try:
        return points[0].load()
    except (ImportError, AttributeError) as error:
        owner = _describe(points[0]).distribution
        raise PluginError(
            f"The {kind} {name!r} of package {owner} doesn't load: {error}.",
            "Install what it misses, or a version of it that fits.",
        ) from error


def _describe(point: EntryPoint) -> Plugin:
    dist = point.dist
    return Plugin(
        name=point.name,
        target=point.value,
        distribution=dist.name if dist else "?",
        version=dist.version if dist else "?",
    )
