"""Screens that are left while something is on its way to them: it comes to parts that are gone."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from geospot.runs.rollouts import RolloutWriter
from geospot.tui.app import GeospotApp
from geospot.tui.widgets.keyline import KeyLine
from tests.support.rollouts import step_rollouts
from tests.support.screens import drive, opened, until_seen

_LEAVES_WITHIN_S = 60.0
"""On a busy machine a part may take its time; what is written meanwhile is told meanwhile."""


async def once(holds: Callable[[], bool]) -> None:
    """Waits, and not for the screen, as the pilot does: that one may wait for a part that leaves."""
    end_s = time.monotonic() + _LEAVES_WITHIN_S
    while not holds() and time.monotonic() < end_s:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.02)


def write_steps(folder: Path, *steps: int) -> None:
    writer = RolloutWriter(folder)
    for step in steps:
        writer.write(step, step_rollouts(step))
    for file in writer.files:
        file.close()


@pytest.mark.parametrize(
    ("open_it", "seen", "part"),
    [
        (GeospotApp.open_rollouts, "4 answers", "AnswerList"),
        (GeospotApp.open_run_map, "step 1", "WorldMap"),
    ],
    ids=["rollouts", "map"],
)
def test_news_of_a_run_come_to_a_screen_that_is_leaving(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_it: Callable[[GeospotApp, Path], None],
    seen: str,
    part: str,
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"kind": "rl"}))
    write_steps(run, 0, 1)
    has_left = asyncio.Event()
    told: list[int] = []

    async def leave_slowly(_part: KeyLine) -> None:
        await once(lambda: told[-1:] == [3])
        has_left.set()

    async def steps(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, GeospotApp)
        await until_seen(pilot, seen)
        monkeypatch.setattr(KeyLine, "on_unmount", leave_slowly, raising=False)
        leaving = app.screen
        end = app.watchings.of(run).subscribe(lambda state: told.append(len(state.rollout_steps)))
        app.pop_screen()
        await once(lambda: not leaving.query(part))
        assert not leaving.query(part)
        write_steps(run, 2)
        await once(lambda: told[-1:] == [3])
        assert told[-1:] == [3]
        end()
        await once(has_left.is_set)
        assert has_left.is_set()

    drive(opened(lambda app: open_it(app, run), folders=[tmp_path]), steps)


@pytest.mark.parametrize(
    ("open_it", "seen"),
    [
        (GeospotApp.open_run, "unknown"),
        (GeospotApp.open_rollouts, "4 answers"),
        (GeospotApp.open_run_map, "step 1"),
    ],
    ids=["run", "rollouts", "map"],
)
def test_news_of_a_run_come_while_the_app_closes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_it: Callable[[GeospotApp, Path], None],
    seen: str,
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"kind": "rl"}))
    write_steps(run, 0, 1)
    told: list[int] = []
    failures: list[str] = []

    async def leave_slowly(_part: KeyLine) -> None:
        await once(lambda: told[-1:] == [3])

    async def steps(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, GeospotApp)
        await until_seen(pilot, seen)
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: failures.append(str(context))
        )
        monkeypatch.setattr(KeyLine, "on_unmount", leave_slowly, raising=False)
        app.watchings.of(run).subscribe(lambda state: told.append(len(state.rollout_steps)))
        app.exit()
        write_steps(run, 2)

    drive(opened(lambda app: open_it(app, run), folders=[tmp_path]), steps)
    assert told[-1:] == [3]
    assert not failures
