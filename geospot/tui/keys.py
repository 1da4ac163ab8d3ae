"""Every key that works now, as the bindings say: for the line at the foot, the list and the palette."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen


@dataclass(frozen=True, slots=True)
class KeyHelp:
    """An action and the keys that do it."""

    key: str
    """The first key, as Textual names it."""
    shown: str
    """All keys, as a person reads them."""
    short: str
    """One of them, as a person reads it."""
    label: str
    tooltip: str
    action: str
    node: DOMNode
    """Whose action it is."""
    is_enabled: bool
    is_common: bool
    """Whether it belongs at the foot of the screen."""


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """Keys of one place: what has the focus, the screen, or the whole app."""

    title: str
    keys: Sequence[KeyHelp]


SCREEN_TITLE: Final = "This screen"


def key_groups(screen: "Screen[Any]") -> Sequence[KeyGroup]:
    """The keys of a screen in the order in which they are asked: focused widget, screen, app."""
    app = cast("App[Any]", screen.app)
    merged: dict[tuple[int, str], KeyHelp] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if (
            binding.system
            or not binding.description
            or not _is_offered(active.node, binding.action)
        ):
            continue
        place = (id(active.node), binding.action)
        short = app.get_key_display(binding)
        key = KeyHelp(
            binding.key, short, short, binding.description, active.tooltip or binding.tooltip or "",
            binding.action, active.node, active.enabled, binding.show,
        )  # fmt: skip
        before = merged.get(place)
        if before is not None:
            first, other = (
                (key, before) if key.is_common and not before.is_common else (before, key)
            )
            shown = dict.fromkeys((*first.shown.split(), *other.shown.split()))
            key = replace(first, shown=" ".join(shown))
        merged[place] = key
    titles: dict[str, list[KeyHelp]] = {}
    for key in merged.values():
        titles.setdefault(_title(key.node), []).append(key)
    return [KeyGroup(title, _own_first(keys)) for title, keys in titles.items()]


def _is_offered(node: DOMNode, action: str) -> bool:
    """Whether the screen says that it can be done now; a `GeoScreen` knows of its own actions."""
    is_offered = getattr(node, "is_offered", None)
    return is_offered is None or bool(is_offered(action))


def _title(node: DOMNode) -> str:
    if isinstance(node, App):
        return "Everywhere"
    if isinstance(node, Screen):
        return SCREEN_TITLE
    return node.BINDING_GROUP_TITLE or "Here"


def _own_first(keys: Sequence[KeyHelp]) -> Sequence[KeyHelp]:
    """What a screen is for comes before what it inherits, such as the way back."""
    return sorted(keys, key=_inherited_from)


def _inherited_from(key: KeyHelp) -> int:
    """How far up the class is that binds the action."""
    for distance, above in enumerate(type(key.node).__mro__):
        for binding in above.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.action == key.action:
                return distance
    return 0
