"""What `geospot sft` and `geospot rl` share: the terminal around a training run."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import typer

from geospot.cli.console import data_progress, stderr_console
from geospot.config.learning import LearnConfig
from geospot.learning.display import TerminalRunView
from geospot.learning.session import Finished
from geospot.stopsignals import hear_interrupts
from geospot.textsafe import printable

Run = Callable[..., Awaitable[Finished]]

EPILOG: Final = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped with Ctrl-C, 143 with `kill`; a run that "
    "was stopped goes on when the same command is run again with behavior_if_log_dir_exists=resume."
)
_FIGURES: Final = {
    "train_mean_nll": "NLL of the last batch: {:.3f} nats a token",
    "test/nll": "NLL of the held-out photos: {:.3f} nats a token",
    "env/all/reward/total": "Mean reward of the last step: {:.3f}",
    "eval/geoscore": "GeoScore of the last evaluation: {:,.0f}",
    "eval/median_km": "Median error: {:,.0f} km",
    "eval/coverage": "Answered: {:.1%}",
    "cost/usd": "Cost: {:.2f} USD",
}


def train(run: Run, config: LearnConfig) -> None:
    """Runs a training under a live display, prints how it ended, and exits with its code."""
    hear_interrupts()
    console = stderr_console()
    view = TerminalRunView(console)
    ask = _ask if sys.stdin.isatty() else None

    async def go() -> Finished:
        return await run(config, view, ask=ask, progress=data_progress(console))

    done = asyncio.run(go())
    for line in closing_lines(done):
        typer.echo(line)
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def closing_lines(done: Finished) -> list[str]:
    """What a person reads at the end."""
    path = printable(str(done.directory))
    head = f"{done.steps} of {done.total} steps done"
    lines = [f"{head}, {done.reason}." if done.reason else f"{head}."]
    lines += [
        f"  {form.format(done.figures[key])}"
        for key, form in _FIGURES.items()
        if key in done.figures
    ]
    lines.append(f"Run directory: {path}")
    if done.reason:
        lines.append("Run the same command with behavior_if_log_dir_exists=resume to go on.")
    return lines


def _ask(question: str) -> bool:
    return typer.confirm(question, err=True)
