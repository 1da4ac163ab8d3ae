"""What a report is made of: results, and runs with their curves and evaluations.

Answers are read when a result's part of the page is made, and let go after it: there may be hundreds of
thousands of each result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from geospot.data.progress import Progress
from geospot.errors import ResultFormatError, UsageError
from geospot.evaluation.following import Answers, AnswersTail
from geospot.evaluation.results import EVAL
from geospot.runs.watch import RunState, RunWatch
from geospot_leaderboard.collect import Result, read_result

_CHUNK: Final = 1 << 23


@dataclass(frozen=True)
class Run:
    """A run with the evaluations on its way, in the order of their steps."""

    state: RunState
    course: Sequence[Result] = ()


@dataclass(frozen=True)
class Sources:
    """Everything that one page is about, in the order in which it was named."""

    results: Sequence[Result] = ()
    runs: Sequence[Run] = ()
    left_out: Sequence[str] = field(default_factory=list[str])
    """Sentences about what was found and can't be read."""


def read_sources(folders: Sequence[Path]) -> Sources:
    """Finds results, and runs with the evaluations in them; the first and last of these are results, too.

    Raises:
        UsageError: a folder is neither, or there is nothing to report.
        ResultFormatError: a result that was named can't be read.
    """
    results: list[Result] = []
    runs: list[Run] = []
    left_out: list[str] = []
    for folder in folders:
        if (folder / EVAL).is_file():
            results.append(read_result(folder, folder.resolve().name))
            continue
        if not _is_run(folder):
            raise UsageError(
                f"{folder} is neither a result nor a run."
                if folder.is_dir()
                else f"There is no folder {folder}.",
                "Give a directory that `geospot eval`, `score`, `sft` or `rl` wrote.",
            )
        state = _state(folder)
        course: list[Result] = []
        for evaluation in state.evaluations:
            try:
                course.append(read_result(evaluation, f"{folder.resolve().name}/{evaluation.name}"))
            except ResultFormatError as error:
                left_out.append(str(error))
        runs.append(Run(state, course))
        results += course if len(course) < 3 else (course[0], course[-1])
    return Sources(results, runs, left_out)


def step_of(evaluation: Result) -> int:
    """After how many steps of its run the weights were that were evaluated."""
    return int("".join(filter(str.isdecimal, evaluation.path.name)) or 0)


def _is_run(folder: Path) -> bool:
    return (folder / "config.json").is_file() or (folder / "metrics.jsonl").is_file()


def _state(folder: Path) -> RunState:
    watch = RunWatch(folder)
    state = watch.look(_CHUNK)
    while state.is_behind:
        state = watch.look(_CHUNK)
    return state


def read_answers(result: Result, progress: Progress) -> Answers:
    """All answers of a result. Blocks while its file is read."""
    tail = AnswersTail(result.path)
    total = result.summary.get("n")
    answers = tail.look(_CHUNK)
    while answers.is_behind:
        progress("Reading answers", len(answers), total if isinstance(total, int) else None)
        answers = tail.look(_CHUNK)
    return answers
