"""`geospot doctor`."""

import json
from dataclasses import asdict
from typing import Annotated, Final

import typer

from geospot.textsafe import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MARKS: Final = {True: "ok ", False: "BAD", None: "-  "}


@app.command()
def doctor(
    base_url: Annotated[
        list[str] | None,
        typer.Option(
            help="A server to look for, too, by the address that eval takes; it is asked for its "
            "/models, without a key. Repeatable."
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look for no server.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Say what is installed, which keys are set (never their values) and what can be reached.

    Of services that train and sample: which there are, and which models they serve. The hosted one is
    asked only where its key or TINKER_BASE_URL is set.

    Ends with 1 if something is bad.

    \b
    geospot doctor --base-url http://127.0.0.1:8000/v1
    """
    from geospot.doctor import examine

    findings = examine(base_url or [], offline=offline)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for found in findings:
            typer.echo(
                f"{_MARKS[found.ok]} {found.topic:<8} {printable(found.name):<20} {printable(found.text)}"
            )
    if any(found.ok is False for found in findings):
        raise typer.Exit(1)
