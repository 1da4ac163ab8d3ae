"""A small training, what it has to leave, and in which respects another one left something else."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from geospot.durable import parse_rows
from geospot.runs.checkpoints import read_checkpoints, read_settings
from geospot.runs.heartbeat import read_heartbeat
from geospot.runs.histograms import HISTOGRAMS, HistogramReader
from geospot.runs.rollouts import RolloutReader
from geospot.runs.tail import StepTail
from tests.drills.killing import torn_files
from tests.support.learning import rows_of, small

Kind = Literal["sft", "rl"]

_CLOSE: Final[Mapping[Kind, float]] = {"sft": 1e-6, "rl": 1e-4}
"""How near two runs' figures are: in RL, what is decoded together changes the last digits."""
MOVED: Final = ".pre_resume_"
"""In names of files with steps that were done again."""
_ASIDE: Final = (MOVED, ".aside-unfinished", "output.log")
"""Steps done again; an evaluation that asked an engine which has gone; what a launched run prints."""
_OF_SFT: Final = ("test_size", "nll_every")
_OF_RL: Final = {
    "model_name": "geospot/tiny-vlm",  # whose answers earn rewards that differ
    "max_steps": 6,
    "batch_size": 2,
    "group_size": 4,
    "max_tokens": 64,
    "coord_tau": 2000,
    "learning_rate": 1e-3,
    "save_every": 2,
    "eval_every": 3,
}


def settings(kind: Kind, service: str, log_path: Path, **changed: Any) -> list[str | Path]:
    """The command of a training of seconds, begun or gone on with."""
    values = small(service, log_path, eval_every=6, eval_limit=4, keep_checkpoints=2)
    if kind == "rl":
        values = {name: value for name, value in values.items() if name not in _OF_SFT} | _OF_RL
    values |= {"behavior_if_log_dir_exists": "resume"} | changed
    return [kind, *(f"{name}={value}" for name, value in values.items())]


def unreadable(run: Path) -> list[str]:
    """What a reader couldn't take of a run that is going on, was killed, or is over."""
    if not (run / "config.json").is_file():
        return []
    read_settings(run)
    if (run / "checkpoints.jsonl").exists():
        read_checkpoints(run)
    tail, rollouts, histograms = (
        StepTail(run / "metrics.jsonl"),
        RolloutReader(run),
        HistogramReader(run),
    )
    tail.look()
    rollouts.look()
    histograms.look()
    lost = torn_files(run)
    for step in rollouts.steps:
        if {record.step for record in rollouts.read(step)} != {step}:
            lost.append(f"the rollouts of step {step} are another's")
    steps = sorted(tail.rows)
    if steps != list(range(len(steps))):
        lost.append(f"steps have no row: {steps}")
    return lost


def standing(run: Path) -> str:
    """What the heartbeat says of the run; `none` where there is none."""
    beat = read_heartbeat(run)
    return "none" if beat is None else beat.standing()


def unlike(run: Path, whole: Path, kind: Kind) -> Iterator[str]:
    """In which respects a run that went on isn't what nobody interrupted."""
    yield from _other_figures(rows_of(run), rows_of(whole), _CLOSE[kind])
    for name in ("metrics.jsonl", HISTOGRAMS):
        if _steps(run / name) != _steps(whole / name):
            yield f"{name} has other rows: {_steps(run / name)} for {_steps(whole / name)}"
    ours, theirs = (
        sorted((row.batch or 0, row.name) for row in read_checkpoints(one)) for one in (run, whole)
    )  # an evaluation's is saved beside a step's, and either may come first
    if ours != theirs:
        yield f"other checkpoints: {ours} for {theirs}"
    yield from _other_rollouts(run, whole)
    yield from _other_files(run, whole)
    if standing(run) != "finished":
        yield f"its heartbeat says {standing(run)}"


def _other_figures(
    ours: Mapping[int, Mapping[str, Any]], theirs: Mapping[int, Mapping[str, Any]], close: float
) -> Iterator[str]:
    if list(ours) != list(theirs):
        yield f"other steps: {list(ours)} for {list(theirs)}"
        return
    for step, row in theirs.items():
        if differing := row.keys() ^ ours[step].keys():
            yield f"step {step} has other figures: {sorted(differing)}"
            continue
        for name, value in row.items():
            if not _same(ours[step][name], value, close):
                yield f"step {step}: {name} is {ours[step][name]} for {value}"


def _same(one: Any, other: Any, close: float) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=close, abs_tol=1e-6)
    return bool(one == other)


def _steps(path: Path) -> dict[Any, int]:
    """How many rows of a file belong to each step."""
    if not path.is_file():
        return {}
    counts = Counter(row.get("step") for row in parse_rows(path.read_bytes()))
    return dict(sorted(counts.items(), key=str))


def _other_rollouts(run: Path, whole: Path) -> Iterator[str]:
    ours, theirs = RolloutReader(run), RolloutReader(whole)
    ours.look()
    theirs.look()
    if ours.steps != theirs.steps:
        yield f"rollouts of other steps: {ours.steps} for {theirs.steps}"
        return
    for step in theirs.steps:
        pairs = [
            [(one.group, one.index, one.sample_id, one.text) for one in reader.read(step)]
            for reader in (ours, theirs)
        ]
        if pairs[0] != pairs[1]:
            yield f"other rollouts of step {step}"


def _other_files(run: Path, whole: Path) -> Iterator[str]:
    """Files that one has and the other hasn't, but for what going on sets aside on purpose."""
    ours, theirs = ({str(p.relative_to(one)) for p in one.rglob("*")} for one in (run, whole))
    extra = {name for name in ours - theirs if not any(mark in name for mark in _ASIDE)}
    if extra:
        yield f"files that nobody needs: {sorted(extra)}"
    if theirs - ours:
        yield f"files are missing: {sorted(theirs - ours)}"
