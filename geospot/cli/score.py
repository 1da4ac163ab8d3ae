"""`geospot score`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from geospot.cli.console import data_progress, finish, stderr_console
from geospot.cli.options import options_from
from geospot.config.evaluation import ScoreConfig
from geospot.config.load import build
from geospot.textsafe import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)

File = Annotated[
    Path, typer.Argument(help="CSV, TSV or JSON Lines with a row a prediction.", show_default=False)
]


@app.command()
@options_from(ScoreConfig, skip=("file",))
def score(file: File, *, said: dict[str, Any]) -> None:
    """Score a finished file of predictions.

    Columns: id, and text (the model's answer, read as `geospot parse` reads it) or latitude and
    longitude in degrees. With --dataset, every selected image that the file lacks counts as a
    failure. Without it the file's own true_latitude and true_longitude are used, and the result is
    marked self-selected and not ranked.

    \b
    geospot score answers.csv --dataset osv5m/osv5m --split test --limit 1000 --model my-model
    geospot score answers.jsonl
    """
    config = build(ScoreConfig, {"file": file}, said)
    from geospot.evaluation import report
    from geospot.evaluation.score import score as run

    console = stderr_console()
    done = run(config, data_progress(console))
    report.show(done.manifest, done.summary)
    typer.echo(f"Written to {printable(str(done.directory))}")
    if done.set_aside:
        typer.echo(f"The scoring that was there is now {printable(str(done.set_aside))}", err=True)
    if done.unknown_ids:
        typer.echo(
            f"Warning: rows of {printable(str(file))} with ids that were not selected: "
            f"{done.unknown_ids:,}. They count for nothing.",
            err=True,
        )
    finish("complete" if done.summary["complete"] else "incomplete")
