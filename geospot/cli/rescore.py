"""`geospot rescore`."""

from pathlib import Path
from typing import Annotated

import typer

from geospot.cli.completion import complete_result
from geospot.textsafe import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def rescore(
    directory: Annotated[
        Path,
        typer.Argument(
            help="A result directory.", show_default=False, autocompletion=complete_result
        ),
    ],
) -> None:
    """Read a result's stored answers again with today's parser, offline.

    Where one is read otherwise, the samples as they were stay beside the new ones, as
    samples.before-DATE.jsonl. Says which outcomes changed and how the score moved.

    \b
    geospot rescore results/some-vlm
    """
    from geospot.evaluation import report
    from geospot.evaluation.rescore import rescore as run

    done = run(directory)
    report.show(done.manifest, done.summary)
    for (before, after), count in sorted(done.changed.items()):
        typer.echo(f"{count:,} × {before} → {after}")
    typer.echo(f"{done.moved:,} answers are read at other coordinates than before")
    if done.before:
        old, new = done.before["all"]["geoscore"], done.summary["all"]["geoscore"]
        typer.echo(f"GeoScore {old:.1f} → {new:.1f}")
    if done.kept:
        typer.echo(f"The old samples are in {printable(str(done.kept))}")
