"""`geospot demo`."""

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from geospot.cli.leaderboard import show

app = typer.Typer(rich_markup_mode=None, add_completion=False)

BASELINES: Final = ("constant", "prior")
TINY: Final = "local"


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("results/demo"),
    limit: Annotated[int, typer.Option(min=1, help="Images of each evaluation.")] = 500,
) -> None:
    """Score the baselines and a tiny model on the procedural world, rank them, export the leaderboard.

    Needs no key, no download and no GPU, and takes some seconds. The baselines don't look at the
    photos: what they score is what a model has to beat. The model, which came with the package, needs
    the extra `local`; without it the baselines stand alone.

    \b
    geospot demo --out results/demo
    """
    from geospot.cli.console import stderr_console
    from geospot.config.evaluation import EvalConfig
    from geospot.evaluation.evaluate import evaluate
    from geospot.evaluation.progress import TerminalView
    from geospot_leaderboard.collect import collect
    from geospot_leaderboard.export import to_csv
    from geospot_leaderboard.ranking import rank

    view = TerminalView(stderr_console())
    local = (TINY,) if find_spec("torch") and find_spec("transformers") else ()
    for backend in (*BASELINES, *local):
        view.say(f"Scoring {backend!r} on {limit} images of the world.")
        config = EvalConfig(
            backend=backend, dataset="world", limit=limit, out=out / f"{backend}-{limit}"
        )
        asyncio.run(evaluate(config, view))
    found = collect(out)
    groups = rank(found.results)
    show(out)
    table = out / "leaderboard.csv"
    table.write_text(to_csv(groups), encoding="utf-8")
    typer.echo(f"Written to {out}: a result directory each, and {table}")
    typer.echo("Next: geospot eval --help, and `geospot predict PHOTO` with a model of yours.")
