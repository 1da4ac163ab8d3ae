"""`geospot eval`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from geospot.cli.console import data_progress, finish, stderr_console
from geospot.cli.options import options_from
from geospot.config.evaluation import EvalConfig
from geospot.config.load import build, read_toml
from geospot.stopsignals import hear_interrupts
from geospot.textsafe import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="TOML file with any of these settings; options here win over it."
    ),
]


@app.command(
    epilog="Exit codes: 0 complete, 1 failed, 2 wrong usage, 3 incomplete, 130 interrupted."
)
@options_from(EvalConfig)
def evaluate(config: ConfigFile = None, *, said: dict[str, Any]) -> None:
    """Score a backend on a data set and write a result directory.

    Every selected image counts: refusals, unreadable answers and unreadable images are failures at
    the worst distance. A run that was interrupted or killed goes on where it stood when the same
    command is run again.

    \b
    geospot eval --backend openai --base-url http://127.0.0.1:8000/v1 --model some-vlm \\
        --dataset osv5m/osv5m --split test --limit 1000 --out results/some-vlm
    geospot eval --backend prior --dataset world --limit 500
    geospot eval --config eval.toml --limit all --dry-run
    """
    hear_interrupts()
    settings = build(EvalConfig, read_toml(config) if config else {}, said)
    console = stderr_console()
    if settings.dry_run:
        from geospot.evaluation.estimate import estimate

        typer.echo(estimate(settings, data_progress(console)))
        return
    from geospot.evaluation import report
    from geospot.evaluation.evaluate import evaluate as run
    from geospot.evaluation.progress import TerminalView
    from geospot.runs.evaluations import this_process

    view = TerminalView(console)
    process = this_process(settings.model_dump(mode="json", exclude_unset=True))
    try:
        done = asyncio.run(run(settings, view, progress=data_progress(console), process=process))
    except KeyboardInterrupt:
        view.say("Interrupted. Every answer is kept: run the same command again to go on.")
        raise
    report.show(done.manifest, done.summary)
    typer.echo(f"Written to {printable(str(done.directory))}")
    if console.is_terminal:
        view.say(f"As a page with map and photos: geospot report {printable(str(done.directory))}")
    if done.reason:
        view.warn(f"Stopped before the end: {done.reason}")
    finish(done.ending)
