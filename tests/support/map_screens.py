"""The map of answers under test: an evaluation or a run to show, and the way until it is drawn."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from geospot.outcomes import Outcome
from geospot.runs.directory import RunDirectory
from geospot.runs.rollouts import RolloutRecord
from geospot.tui.app import GeospotApp
from geospot.tui.screens.map import MapScreen
from geospot.tui.widgets.readout import Readout
from geospot.tui.widgets.worldmap import WorldMap
from tests.support.rollouts import rollout
from tests.support.screens import drive, opened, seen, until
from tests.support.written_runs import write_run

SIZES = [(80, 24), (120, 40), (200, 60)]

Steps = Callable[[Pilot[None], MapScreen], Awaitable[None]]


def on_result(result: Path, steps: Steps, size: tuple[int, int] = (120, 40)) -> None:
    """Opens the map of an evaluation, and does the steps."""
    on(lambda app: app.open_result_map(result), steps, size)


def on_run(
    run: Path, steps: Steps, size: tuple[int, int] = (120, 40), shown: tuple[int, int] | None = None
) -> None:
    """Opens the map of a run, of these steps or the newest, and does the steps."""
    on(lambda app: app.open_run_map(run, shown), steps, size)


def on(first: Callable[[GeospotApp], None], steps: Steps, size: tuple[int, int]) -> None:
    """Does the steps on the map that `first` opens."""

    async def run(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: isinstance(pilot.app.screen, MapScreen))
        screen = pilot.app.screen
        assert isinstance(screen, MapScreen)
        await steps(pilot, screen)

    drive(opened(first), run, size)


async def loaded(pilot: Pilot[None], screen: MapScreen, count: int) -> WorldMap:
    """Waits until so many answers are shown; gives the map."""
    world_map = screen.query_one(WorldMap)
    await until(pilot, lambda: len(screen.row_M) == count == len(world_map.scene.answers.value_N))
    await pilot.pause()
    return world_map


async def readout(pilot: Pilot[None], screen: MapScreen, *texts: str) -> str:
    """Waits until the line of the chosen answer has these texts; gives it."""

    def shown() -> str:
        return seen(screen.query_one(Readout))

    await until(pilot, lambda: all(text in shown() for text in texts), " and ".join(texts))
    return shown()


def run_of(folder: Path, steps: Sequence[int], **more: Any) -> RunDirectory:
    """A run with four rollouts at each of these steps; the last of them is a refusal."""
    run = write_run(folder, steps=max(steps, default=0) + 1, total=100)
    for step in steps:
        run.rollouts(step, of_step(step, **more))
    return run


def of_step(step: int, **more: Any) -> list[RolloutRecord]:
    """Three answers and a refusal."""
    said = {"latitude": 10.0 + step, "longitude": 20.0, "distance_km": 4000.0 - 10 * step}
    records = [
        rollout(step, group, 0, **(said | {"reward": 0.1 * group} | more)) for group in range(3)
    ]
    nothing = {"latitude": None, "longitude": None, "distance_km": 20015.0, "reward": -0.1}
    return [*records, rollout(step, 3, 0, outcome=Outcome.REFUSAL, **nothing)]
