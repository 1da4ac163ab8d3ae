"""`geospot demo`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from geospot.cli.leaderboard import show
from geospot.stopsignals import hear_interrupts

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where runs and results go.")] = Path("results/demo"),
    seed: Annotated[int, typer.Option(help="Of weights, order and sampling.")] = 0,
    limit: Annotated[int, typer.Option(min=2, help="Photos of each evaluation.")] = 512,
    sft_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of supervised training. Default: the recipe's.")
    ] = None,
    rl_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of GRPO. Default: the recipe's.")
    ] = None,
) -> None:
    """Train a tiny model from random weights, SFT and then GRPO, and rank what comes of it.

    Needs no key, no download and no GPU: a vision-language model of 0.6 million parameters learns to
    say where on a procedural world a picture was taken, in some minutes on two cores. It is evaluated
    before, between and after, beside baselines that don't look. What was done stays done: the same
    command goes on where it was interrupted. Needs the extra `local`.

    \b
    geospot demo --out results/demo
    """
    from geospot.cli.console import stderr_console
    from geospot.demo import RL_STEPS, SFT_STEPS, Demo, Scale
    from geospot.durable import put_file
    from geospot.evaluation.progress import TerminalView
    from geospot.learning.display import TerminalRunView
    from geospot_leaderboard.collect import collect
    from geospot_leaderboard.export import to_csv
    from geospot_leaderboard.ranking import rank

    hear_interrupts()
    console = stderr_console()
    scale = Scale(sft_steps or SFT_STEPS, rl_steps or RL_STEPS, limit)
    run = Demo(out, scale, seed, TerminalView(console), TerminalRunView(console))
    lift = asyncio.run(run.go())
    show(run.results)
    table = out / "leaderboard.csv"
    put_file(table, to_csv(rank(collect(run.results).results)).encode("utf-8"))
    typer.echo(
        f"Sampled answers to {limit} held-out photos (temperature 1), before and after GRPO: reward "
        f"{lift.before.reward:.3f} -> {lift.after.reward:.3f} "
        f"(difference {lift.reward:+.3f}, 95% interval {lift.interval.low:+.3f} to "
        f"{lift.interval.high:+.3f}), median error {lift.before.median_km:,.0f} km -> "
        f"{lift.after.median_km:,.0f} km"
    )
    typer.echo(f"Runs are in {out / 'runs'}, results in {run.results}, the table in {table}.")
    typer.echo(
        f"Next: geospot eval --backend local --model {run.rl_run} --dataset world --limit 200, or "
        "`geospot sft --help` for a model and photos of your own."
    )
