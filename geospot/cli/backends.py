"""`geospot backends`."""

import json
from typing import Annotated

import typer

from geospot.plugins import BACKENDS, installed

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def backends(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the backends that are installed, third-party ones too.

    A package adds one with an entry point of group `geospot.backends`; docs/backends.md shows a
    complete one.
    """
    found = installed(BACKENDS)
    if as_json:
        rows = [
            {
                "name": plugin.name,
                "target": plugin.target,
                "distribution": plugin.distribution,
                "version": plugin.version,
            }
            for plugin in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max((len(plugin.name) for plugin in found), default=0)
    for plugin in found:
        typer.echo(
            f"{plugin.name:<{width}}  {plugin.distribution} {plugin.version}  ({plugin.target})"
        )
