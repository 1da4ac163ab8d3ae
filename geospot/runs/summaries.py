"""Rollouts in tinker-cookbook's own format: `iteration_NNNNNN/train_rollout_summaries.jsonl`.

Written so that its readers show our runs, and read so that ours show its runs. One row a trajectory, with
its turns as `steps`; the format is `rl/rollout_logging.py` of tinker-cookbook 0.6.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from geospot.durable import json_line, parse_rows, replace_bytes, unwritable
from geospot.outcomes import Outcome
from geospot.runs.rollouts import RolloutRecord

SUMMARIES: Final = "train_rollout_summaries.jsonl"
SCHEMA_VERSION: Final = 1


def summaries_path(folder: Path, step: int) -> Path:
    """Where the step's summaries are."""
    return folder / f"iteration_{step:06d}" / SUMMARIES


def write_summaries(folder: Path, step: int, records: Sequence[RolloutRecord]) -> None:
    """Replaces the step's summaries.

    Raises:
        WriteError: the disk is full.
    """
    path = summaries_path(folder, step)
    ordered = sorted(records, key=lambda record: (*_trajectory(record), record.turn))
    rows = [_summary(list(turns)) for _, turns in groupby(ordered, key=_trajectory)]
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    replace_bytes(path, b"".join(map(json_line, rows)), sync=False)


def read_summaries(folder: Path, step: int) -> list[dict[str, Any]]:
    """The step's rows, of our run or the cookbook's; none where there is no file that can be read."""
    try:
        return parse_rows(summaries_path(folder, step).read_bytes())
    except OSError:
        return []


def _trajectory(record: RolloutRecord) -> tuple[int, int]:
    return record.group, record.index


def _summary(turns: Sequence[RolloutRecord]) -> dict[str, Any]:
    first, last = turns[0], turns[-1]
    return {
        "schema_version": SCHEMA_VERSION,
        "split": "train",
        "iteration": first.step,
        "group_idx": first.group,
        "traj_idx": first.index,
        "tags": [],
        "sampling_client_step": first.sampler_step,
        "total_reward": sum(turn.reward for turn in turns),
        # The cookbook's word for what a whole group earns at its end; ours earns it by turns.
        "final_reward": 0.0,
        "trajectory_metrics": _metrics(last),
        "steps": [_turn(turn, done=turn is last) for turn in turns],
        "final_ob_len": last.prompt_tokens,
    }


def _turn(turn: RolloutRecord, *, done: bool) -> dict[str, Any]:
    return {
        "step_idx": turn.turn,
        "ob_len": turn.prompt_tokens,
        "ac_len": len(turn.tokens),
        "reward": turn.reward,
        "episode_done": done,
        "metrics": _metrics(turn),
        "logs": {
            "sample_id": turn.sample_id,
            "text": turn.text,
            "outcome": str(turn.outcome),
            "note": turn.note,
            "latitude": turn.latitude,
            "longitude": turn.longitude,
            "true_latitude": turn.true_latitude,
            "true_longitude": turn.true_longitude,
            "advantage": turn.advantage,
        },
    }


def _metrics(turn: RolloutRecord) -> Mapping[str, float]:
    answered = float(turn.outcome == Outcome.OK)
    return {"answered": answered, "distance_km": turn.distance_km, **turn.terms}
