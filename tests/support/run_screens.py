"""The run screen under test: runs that go on, and the way onto the screen."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from geospot.runs.directory import RunDirectory
from geospot.tui.app import GeospotApp
from geospot.tui.screens.run import RunScreen
from geospot.tui.widgets.chart import Chart
from tests.support.rollouts import step_rollouts
from tests.support.screens import drive, seen, until
from tests.support.written_runs import full_config

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)
SIZES = [SMALL, MIDDLE, LARGE]
ENDS = [SMALL, LARGE]
"""The narrowest and the widest. What the screens look like at three sizes is kept by test_looks.py."""


def rl_row(step: int) -> dict[str, Any]:
    return {
        "env/all/reward/total": 0.3 + 0.01 * step,
        "geo/geoscore": 1000.0 + step,
        "geo/median_km": 2000.0 - 10 * step,
        "geo/answered": 0.75,
        "optim/entropy": 0.9,
        "optim/kl_sample_train_v2": 1e-6,
        "optim/lr": 1e-4,
        "time/total": 2.0,
        "reward/tau_km": 2000.0,
        "env/all/acc_25km": 0.05,
        "tokens/sample": 1000 * (step + 1),
        "cost/usd": 0.125 * (step + 1),
    }


def do_step(run: RunDirectory, step: int, *, rollouts: bool = True) -> None:
    """What a step of GRPO leaves."""
    run.metrics(step, rl_row(step))
    reward = np.array([0.0, 0.25, 0.5, -0.1])
    km = np.array([10.0, 600.0, 3000.0, 20015.087])
    run.histogram(step, reward, km, {"frac_mixed": 0.5, "frac_all_bad": 0.5, "frac_all_good": 0.0})
    if rollouts:
        run.rollouts(step, step_rollouts(step))
    run.beat("sampling", step + 1)


@contextmanager
def going(folder: Path, steps: int = 6, total: int = 10, **said: Any) -> Generator[RunDirectory]:
    """A run of GRPO that is going on, in this process."""
    config = full_config("rl", folder, **said)
    run = RunDirectory.open(folder, config, kind="rl", if_exists="raise", ask=None)
    run.start(0, total)
    for step in range(steps):
        do_step(run, step)
    try:
        yield run
    finally:
        run.close("finished")


def calls_of(monkeypatch: pytest.MonkeyPatch, target: object, *names: str) -> list[tuple[Any, ...]]:
    """Functions that only note from now on that they were called, and with what."""
    calls: list[tuple[Any, ...]] = []

    def noting(name: str) -> Callable[..., None]:
        def note(*given: Any) -> None:
            calls.append((name, *(one for one in given if not isinstance(one, GeospotApp))))

        return note

    for name in names:
        monkeypatch.setattr(target, name, noting(name))
    return calls


def shown(
    folder: Path,
    steps: Callable[[Pilot[None], RunScreen], Awaitable[None]],
    size: tuple[int, int] = MIDDLE,
) -> None:
    """Opens the run's screen, waits until its files are read, and does the steps."""

    async def begin(pilot: Pilot[None]) -> None:
        screen = pilot.app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: "reading the run …" not in seen(screen), "The first look")
        await steps(pilot, screen)

    drive(GeospotApp((folder.parent,), first=lambda app: app.open_run(folder)), begin, size)


def chart_of(screen: RunScreen, title: str) -> Chart:
    return next(
        chart
        for chart in screen.query(Chart)
        if chart.render_line(0).text.strip().startswith(title)
    )
