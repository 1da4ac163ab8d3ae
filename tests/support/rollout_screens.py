"""The rollouts screen under test: what stands on it, and runs with rollouts."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from geospot.runs.rollouts import RolloutRecord, RolloutWriter
from geospot.tui.app import GeospotApp
from geospot.tui.screens.rollouts import RolloutsScreen
from geospot.tui.widgets.answer import AnswerColumn
from geospot.tui.widgets.filterbar import FilterBar
from geospot.tui.widgets.rollout_bars import GroupStrip, Scrubber
from tests.support.rollouts import rollout, step_rollouts
from tests.support.screens import seen, until

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)


class Shown:
    """A screen under test, and what stands on it."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot
        self.app = pilot.app
        screen = self.app.screen
        assert isinstance(screen, RolloutsScreen)
        self.screen = screen

    @property
    def columns(self) -> list[str]:
        """Texts of the columns that are shown."""
        shown = self.screen.query(AnswerColumn)
        return [column.text for column in shown if column.has_class("-shown")]

    @property
    def truth(self) -> str:
        return str(self.screen.query_one("#rollouts-truth", Static).render())

    @property
    def status(self) -> str:
        return str(self.screen.query_one("#room-status", Static).render())

    @property
    def nothing(self) -> str:
        """What is said instead of rollouts; empty where there are some."""
        if not self.screen.has_class("-nothing"):
            return ""
        return str(self.screen.query_one("#rollouts-nothing", Static).render())

    @property
    def scrubber(self) -> str:
        return self.screen.query_one(Scrubber).render_line(0).text

    @property
    def strip(self) -> str:
        return self.screen.query_one(GroupStrip).render_line(0).text

    @property
    def place(self) -> tuple[int, int, int]:
        """Step, group and index of the chosen answer."""
        answer = self.screen.answer
        assert answer is not None
        return answer.first.step, answer.first.group, answer.first.index

    @property
    def painted(self) -> str:
        """Everything on the terminal."""
        return seen(self.screen)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, holds: Callable[[], object]) -> None:
        await until(self.pilot, lambda: bool(holds()))

    async def at(self, step: int, group: int | None = None, index: int | None = None) -> None:
        """Waits until this is shown."""

        def is_there() -> bool:
            answer = self.screen.answer
            if answer is None or self.screen.step != step or not all(self.columns):
                return False
            first = answer.first
            return group in (None, first.group) and index in (None, first.index)

        await self.until(is_there)
        await self.pilot.pause()

    async def filter(self, text: str) -> None:
        self.screen.query_one(FilterBar).set_text(text)
        await self.pilot.pause()


def run_with_rollouts(
    tmp_path: Path, steps: Iterable[int] = (0, 1, 2), kind: str = "rl", **config: Any
) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"kind": kind} | config))
    write_rollouts(folder, {step: step_rollouts(step, 4, 4) for step in steps})
    return folder


def write_rollouts(folder: Path, records: dict[int, list[RolloutRecord]]) -> None:
    writer = RolloutWriter(folder)
    for step, rows in records.items():
        writer.write(step, rows)
    for file in writer.files:
        file.close()


def show_rollouts(
    folder: Path,
    look: Callable[[Shown], Awaitable[None]],
    size: tuple[int, int] = MIDDLE,
    step: int | None = None,
    query: str = "",
    among: Sequence[int] = (),
) -> None:
    """Opens the screen and looks at it."""

    async def show() -> None:
        app = GeospotApp(
            (folder.parent,), first=lambda app: app.open_rollouts(folder, step, query, among)
        )
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            await look(Shown(pilot))

    asyncio.run(show())


def rollout_of_tokens(pieces: list[str], logprobs: list[float], **more: Any) -> RolloutRecord:
    return rollout(
        0, tokens=list(range(len(pieces))), pieces=pieces, logprobs=logprobs,
        text="".join(pieces), **more,
    )  # fmt: skip
