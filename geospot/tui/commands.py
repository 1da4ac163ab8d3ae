"""What the command palette finds: runs by name, every key of the screen, the screens, and the themes."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.system_commands import SystemCommandsProvider

from geospot.textsafe import printable
from geospot.tui.keys import KeyHelp, key_groups

if TYPE_CHECKING:
    from geospot.tui.app import GeospotApp

Does = Callable[[], Awaitable[object] | object]

_MOST_RUNS: Final = 50


class Palette(CommandPalette):
    """Textual's, whose list ended the app where a page was turned before it was drawn."""

    def _action_command_list(self, action: str) -> None:
        if self.query_one(CommandList).size:
            super()._action_command_list(action)


class RunCommands(Provider):
    """Opens a run by its name."""

    async def search(self, query: str) -> Hits:
        """Runs whose name or model fits."""
        app = cast("GeospotApp", self.app)
        matcher = self.matcher(query)
        found: list[tuple[float, Path, str, str]] = []
        for run in app.listing.runs:
            summary = app.listing.summaries.get(run)
            name = summary.name if summary else run.name
            if (score := matcher.match(f"Open run {name}")) > 0:
                about = f"{summary.standing} · {summary.model}" if summary else str(run)
                found.append((score, run, name, about))
        found.sort(key=lambda hit: -hit[0])
        for score, run, name, about in found[:_MOST_RUNS]:
            # Content, since a plain string would be read as markup, and names are anybody's.
            yield Hit(
                score, Content(f"Open run {printable(name)}"), partial(app.open_run, run),
                help=printable(about).replace("[", "("),
            )  # fmt: skip


class KeyCommands(SystemCommandsProvider):
    """Every key of the screen, by what it does, and the app's own commands.

    One after the other: the palette asks several providers in an order that is another at each start.
    """

    async def discover(self) -> Hits:
        """Keys of the screen, then those that work everywhere, then the commands."""
        for key in sorted(self._keys(), key=lambda key: key.node is not self.screen):
            if key.node not in (self.screen, self.app):
                continue
            yield DiscoveryHit(
                Content(_named(key)), self._press(key), text=key.label, help=key.tooltip
            )
        async for hit in super().discover():
            yield hit

    async def search(self, query: str) -> Hits:
        """Those whose words fit."""
        matcher = self.matcher(query)
        for key in self._keys():
            score = max(matcher.match(key.label), matcher.match(key.tooltip))
            if score > 0:
                yield Hit(score, Content(_named(key)), self._press(key), help=key.tooltip)
        async for hit in super().search(query):
            yield hit

    def _keys(self) -> list[KeyHelp]:
        return [key for group in key_groups(self.screen) for key in group.keys if key.is_enabled]

    def _press(self, key: KeyHelp) -> Does:
        async def press() -> None:
            is_shown = self.screen is self.app.screen  # it may have been left since
            if is_shown or key.node is self.app:
                await self.app.run_action(key.action, key.node)

        return press


def _named(key: KeyHelp) -> str:
    return f"{key.label}  ({key.shown})"
