"""What a report is made of: results read whole, and runs with their curves and evaluations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from geospot.data.progress import Progress
from geospot.errors import ResultFormatError, UsageError
from geospot.evaluation.following import Answers, AnswersTail
from geospot.evaluation.results import EVAL
from geospot.runs.watch import RunState, RunWatch
from geospot_leaderboard.collect import Result, read_result

_CHUNK: Final = 1 << 23


@dataclass(frozen=True)
class Scored:
    """A result with its answers."""

    result: Result
    answers: Answers

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Content of eval.json."""
        return self.result.manifest

    @property
    def summary(self) -> Mapping[str, Any]:
        """Content of summary.json."""
        return self.result.summary


@dataclass(frozen=True)
class Sources:
    """Everything that one page is about, in the order in which it was named."""

    scored: Sequence[Scored] = ()
    runs: Sequence[RunState] = ()
    left_out: Sequence[str] = field(default_factory=list[str])
    """Sentences about what was found and can't be read."""


def read_sources(folders: Sequence[Path], progress: Progress) -> Sources:
    """Reads results, and runs with the evaluations in them: the first and the last of each.

    Raises:
        UsageError: a folder is neither, or there is nothing to report.
        ResultFormatError: a result that was named can't be read.
    """
    scored: list[Scored] = []
    runs: list[RunState] = []
    left_out: list[str] = []
    for folder in folders:
        if (folder / EVAL).is_file():
            scored.append(_scored(read_result(folder, folder.resolve().name), progress))
            continue
        if not _is_run(folder):
            raise UsageError(
                f"{folder} is neither a result nor a run."
                if folder.is_dir()
                else f"There is no folder {folder}.",
                "Give a directory that `geospot eval`, `score`, `sft` or `rl` wrote.",
            )
        state = _state(folder)
        runs.append(state)
        for evaluation in _first_and_last(state.evaluations):
            name = f"{folder.resolve().name}/{evaluation.name}"
            try:
                scored.append(_scored(read_result(evaluation, name), progress))
            except ResultFormatError as error:
                left_out.append(str(error))
    return Sources(scored, runs, left_out)


def _is_run(folder: Path) -> bool:
    return (folder / "config.json").is_file() or (folder / "metrics.jsonl").is_file()


def _first_and_last(evaluations: Sequence[Path]) -> Sequence[Path]:
    return evaluations if len(evaluations) < 3 else (evaluations[0], evaluations[-1])


def _state(folder: Path) -> RunState:
    watch = RunWatch(folder)
    state = watch.look(_CHUNK)
    while state.is_behind:
        state = watch.look(_CHUNK)
    return state


def _scored(result: Result, progress: Progress) -> Scored:
    tail = AnswersTail(result.path)
    total = result.summary.get("n")
    answers = tail.look(_CHUNK)
    while answers.is_behind:
        progress("Reading answers", len(answers), total if isinstance(total, int) else None)
        answers = tail.look(_CHUNK)
    return Scored(result, answers)
