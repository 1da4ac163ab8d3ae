"""Where the answers on the map come from: a run's steps as they come, or an evaluation."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from geospot.evaluation.following import Answers, AnswersTail, read_answer
from geospot.runs.rollouts import RolloutRecord
from geospot.runs.watch import RunState
from geospot.tui.placed import EMPTY, Placed, joined, of_evaluation, of_rollouts
from geospot.tui.reading import Reader, Watching

if TYPE_CHECKING:
    from geospot.tui.screens.map import MapScreen

MOST_ANSWERS: Final = 200_000
"""Of a range of steps. Of a longer one only every so manieth step is read, and the status says so."""

_REDRAW_S: Final = 0.5
_PAUSE_S: Final = 0.5
_IDLE_S: Final = 2.0
_LOOK_BYTES: Final = 1 << 20
_STEP: Final = re.compile(r"step-(\d+)", re.ASCII)


class Source:
    """What a map screen shows. `standing` are the parts of the status that it is responsible for."""

    has_steps = False

    def __init__(self) -> None:
        self.title: Sequence[str] = ()
        self.standing: Sequence[str] = ("reading…",)

    def start(self, screen: "MapScreen") -> Callable[[], None]:
        """Hands the screen answers from now on; returns what ends that."""
        raise NotImplementedError

    async def record(self, placed: Placed, row: int) -> Mapping[str, Any]:
        """A whole answer in the form of samples.jsonl; empty where it isn't there any more."""
        raise NotImplementedError

    def move(self, by: int) -> None:
        """Shows the steps before or after."""

    def widen(self, direction: int) -> None:
        """Shows twice as many steps."""

    def narrow(self) -> None:
        """Shows the last of the steps."""

    def follow(self) -> None:
        """Shows the newest step, and newer ones as they come."""

    def switch(self) -> None:
        """Shows evaluations on the way instead of rollouts, or rollouts again."""


class EvaluationSource(Source):
    """An evaluation, which may still be going on."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.title = ("map", folder.name)

    def start(self, screen: "MapScreen") -> Callable[[], None]:
        """Follows its answers."""
        worker = screen.run_worker(partial(self._follow, screen), exclusive=True, group="source")
        return worker.cancel

    async def _follow(self, screen: "MapScreen") -> None:
        read = screen.geospot.reader.do
        tail, answers = AnswersTail(self.folder), Answers()
        clock = asyncio.get_running_loop().time
        shown, shown_at = -1, 0.0
        while True:
            answers = await read(tail.look, _LOOK_BYTES)
            pause_s = _REDRAW_S * (
                1 + len(answers) / 50_000
            )  # the more there is, the longer it takes
            is_due = not answers.is_behind or clock() - shown_at > pause_s
            self.standing = self._standing(answers)
            if is_due and answers.revision != shown:
                shown, shown_at = answers.revision, clock()
                await screen.show(await read(of_evaluation, answers))
            screen.say(*self.standing)
            if not answers.is_behind:
                await asyncio.sleep(_PAUSE_S if clock() - shown_at < 30 else _IDLE_S)

    def _standing(self, answers: Answers) -> Sequence[str]:
        if not len(answers) and not answers.is_behind:
            return (f"{self.folder} has no answers (yet); they appear as they come",)
        passed = f"{answers.passed_over:,} lines are no records" if answers.passed_over else ""
        return ("reading…" if answers.is_behind else "", passed)

    async def record(self, placed: Placed, row: int) -> Mapping[str, Any]:
        """Read where the answer is in the file."""
        offset = int(placed.source_N[row])
        record = await asyncio.to_thread(read_answer, self.folder, offset)
        return record if record is not None and record.get("id") == placed.ids[row] else {}


class RunSource(Source):
    """Rollouts of a run's steps, or, of a run without any, the evaluations on its way."""

    has_steps = True

    def __init__(self, folder: Path, steps: tuple[int, int] | None) -> None:
        super().__init__()
        self.folder = folder
        self.title = ("map", folder.name)
        self.first, self.last = steps or (-1, -1)
        self.is_live = steps is None
        self.is_about_evaluations = False
        self._evaluations: Mapping[int, Path] = {}
        self._rollout_steps: Sequence[int] = ()
        self._trouble = ""
        self._asked_for_rollouts = steps is not None
        self._known: dict[int, Placed] = {}
        self._shown: Sequence[int] | None = None
        self._records: tuple[int, Sequence[RolloutRecord]] = (-1, ())

    def start(self, screen: "MapScreen") -> Callable[[], None]:
        """Follows the run."""
        self._screen = screen
        self._reader: Reader = screen.geospot.reader
        self._watching: Watching = screen.geospot.watchings.of(self.folder)
        return self._watching.subscribe(self._told)

    @property
    def steps(self) -> Sequence[int]:
        """Steps that have answers, ascending."""
        return sorted(self._evaluations) if self.is_about_evaluations else self._rollout_steps

    def _told(self, state: RunState) -> None:
        if self._screen.is_leaving:
            return
        gone = set(self._known) - set(state.rollout_steps)
        if gone and not self.is_about_evaluations:  # the run went back, and does these steps again
            self._known = {s: p for s, p in self._known.items() if s < min(gone)}
            self._shown = None
        self._rollout_steps, self._trouble = state.rollout_steps, state.trouble
        self._evaluations = _by_step(state.evaluations)
        if not self._rollout_steps and self._evaluations and not self._asked_for_rollouts:
            self._become(about_evaluations=True)
        if state.is_gone or not self.steps:
            self.standing = (_reason(state),)
            self._screen.say(*self.standing)
            return
        self._load()

    def _become(self, *, about_evaluations: bool) -> None:
        if about_evaluations != self.is_about_evaluations:
            self.is_about_evaluations = about_evaluations
            self._known, self._shown = {}, None

    # Which steps

    def move(self, by: int) -> None:
        """A range moves by its length, as far as there are steps."""
        begin, end = self._window()
        length = end - begin
        begin = min(max(begin + by * length, 0), max(len(self.steps) - length, 0))
        self._choose(begin, begin + length)

    def widen(self, direction: int) -> None:
        """As many steps again, before or after."""
        begin, end = self._window()
        more = end - begin
        if direction < 0:
            self._choose(max(begin - more, 0), end)
        else:
            self._choose(begin, min(end + more, len(self.steps)))

    def narrow(self) -> None:
        """Only the last one."""
        _, end = self._window()
        self._choose(end - 1, end)

    def follow(self) -> None:
        """The newest, from now on."""
        self.is_live = True
        self._choose(len(self.steps) - 1, len(self.steps))
        self.is_live = True

    def switch(self) -> None:
        """Rollouts or evaluations, where there are both."""
        if self._rollout_steps and self._evaluations:
            self._become(about_evaluations=not self.is_about_evaluations)
            self.is_live = True
            self._load()

    def _window(self) -> tuple[int, int]:
        """Which of `steps` are shown: the first, and the one after the last; at least one."""
        steps = np.asarray(self.steps)
        begin = int(np.searchsorted(steps, self.first))
        end = int(np.searchsorted(steps, self.last, side="right"))
        if end > begin:
            return begin, end
        nearest = max(end - 1, 0)
        return nearest, nearest + 1

    def _choose(self, begin: int, end: int) -> None:
        steps = self.steps
        if not steps:
            return
        self.first, self.last = steps[begin], steps[end - 1]
        self.is_live = self.is_live and self.last == steps[-1]
        self._load()

    # Reading

    def _load(self) -> None:
        """Reads the chosen steps, unless they are what is shown."""
        steps = self.steps
        if self.is_live:
            begin, end = self._window() if self.last >= 0 else (0, 1)
            self.last = steps[-1]
            self.first = steps[max(len(steps) - (end - begin), 0)]
        begin, end = self._window()
        chosen = steps[begin:end]
        if chosen != self._shown:
            self._shown = chosen
            work = partial(self._read, chosen)
            self._screen.run_worker(work, exclusive=True, group="source")

    async def _read(self, chosen: Sequence[int]) -> None:
        clock = asyncio.get_running_loop().time
        shown_at, every, place = clock(), 1, 0
        parts: list[Placed] = []
        wanted = list(chosen)
        while place < len(wanted):
            part = await self._part(wanted[place])
            parts.append(part)
            place += 1
            if place == 1 and len(part) * len(wanted) > MOST_ANSWERS:
                every = -(-len(part) * len(wanted) // MOST_ANSWERS)
                wanted = [wanted[0], *wanted[every::every]]
            self.standing = self._standing(
                chosen, every, f"read {place:,} of {len(wanted):,} steps"
            )
            if clock() - shown_at > _REDRAW_S and place < len(wanted):
                await self._screen.show(await self._reader.do(joined, tuple(parts)))
                shown_at = clock()
        self.standing = self._standing(chosen, every, "")
        await self._screen.show(await self._reader.do(joined, tuple(parts)))

    async def _part(self, step: int) -> Placed:
        part = self._known.get(step)
        if part is None:
            if self.is_about_evaluations:
                part = await self._reader.do(_read_evaluation, self._evaluations[step], step)
            else:
                records = await self._watching.rollouts(step)
                part = await self._reader.do(of_rollouts, records)
            while self._known and sum(map(len, self._known.values())) > MOST_ANSWERS:
                del self._known[next(iter(self._known))]
            self._known[step] = part
        return part

    def _standing(self, chosen: Sequence[int], every: int, progress: str) -> Sequence[str]:
        what = "evaluation, step" if self.is_about_evaluations else "step"
        text = f"{what} {chosen[0]:,}"
        if len(chosen) > 1:
            text = f"{what}s {chosen[0]:,}–{chosen[-1]:,}"
        text += f" of {self.steps[-1]:,}" if chosen[-1] != self.steps[-1] else ""
        text += f" ({len(chosen):,} with answers)" if len(chosen) > 1 else ""
        thinned = f"one in {every:,} steps is read" if every > 1 else ""
        return (text, "newest" if self.is_live else "", thinned, self._trouble, progress)

    async def record(self, placed: Placed, row: int) -> Mapping[str, Any]:
        """Read with the others of its step."""
        assert placed.step_N is not None  # noqa: S101 — this source's answers have steps
        step, number = int(placed.step_N[row]), int(placed.source_N[row])
        if self.is_about_evaluations:
            folder = self._evaluations.get(step)
            record = await self._reader.do(read_answer, folder, number) if folder else None
            return record if record is not None and record.get("id") == placed.ids[row] else {}
        if self._records[0] != step:
            self._records = (step, await self._watching.rollouts(step))
        records = self._records[1]
        if number < len(records) and records[number].sample_id == placed.ids[row]:
            return records[number].to_json()
        self._records = (-1, ())
        return {}


def _by_step(folders: Sequence[Path]) -> Mapping[int, Path]:
    found = ((_STEP.fullmatch(folder.name), folder) for folder in folders)
    return {int(match[1]): folder for match, folder in found if match is not None}


def _read_evaluation(folder: Path, step: int) -> Placed:
    """Every answer of an evaluation that a run made. Blocks."""
    tail = AnswersTail(folder)
    answers = tail.look(-1)
    placed = of_evaluation(answers) if len(answers) else EMPTY
    count = len(placed)
    return replace(
        placed,
        step_N=np.full(count, step),
        group_N=np.full(count, -1),
        reward_N=np.full(count, np.nan),
    )


def _reason(state: RunState) -> str:
    """Why there is nothing to show."""
    if state.is_gone:
        return f"{state.folder} isn't there (any more)"
    if state.kind == "sft":
        return "SFT has no rollouts; answers appear with its first evaluation"
    return "no rollouts yet; they appear with the first step that keeps them"
