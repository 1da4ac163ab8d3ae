"""A command group that imports a command only when it is run, so that `geospot --help` is instant."""

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from geospot.errors import UsageError
from geospot.textsafe import printable


class LazyGroup(TyperGroup):
    """Commands named in `table` as `name: (module, one line of help)`.

    Each module has a `typer.Typer` called `app`. With a single command it becomes that command,
    with several a group of its own.
    """

    table: dict[str, tuple[str, str]] = {}  # noqa: RUF012 - filled once, by the subclass

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.table:
            return None
        module, _ = self.table[cmd_name]
        command = typer.main.get_command(import_module(module).app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.table and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.table, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "`geospot --help` lists them all."
            raise UsageError(f"There is no command {printable(args[0])!r}.", hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])
