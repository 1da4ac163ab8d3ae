"""Rollouts as tinker-cookbook summarises them, as records.

What an environment logs is its own affair. Taken are the names that ours uses and the usual ones for
text. What isn't said is unknown: NaN for truth and distance, no tokens, and `ok` for the outcome of an
answer of which nothing bad is known. Where other answers of the step have a distance, one without any is
`unparsed`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from geospot.geo import HALF_CIRCUMFERENCE_KM
from geospot.outcomes import Outcome
from geospot.runs.rollouts import RolloutRecord
from geospot.runs.tail import is_whole

_TEXTS: Final = ("text", "response", "answer", "completion", "output", "transcript")
_LARGEST: Final = 3.4e38
_LONGEST: Final = 1 << 20
"""Characters of a text."""


def records(step: int, rows: Sequence[Mapping[str, Any]]) -> list[RolloutRecord]:
    """Rollouts of a step from its summaries, as far as these say.

    The advantage is the cookbook's: the reward less the group's mean, unless the environment logs another.
    """
    totals: dict[int, list[float]] = {}
    for row in rows:
        totals.setdefault(whole(row.get("group_idx")), []).append(number(row.get("total_reward")))
    means = {group: sum(rewards) / len(rewards) for group, rewards in totals.items()}
    is_measured = any(not math.isnan(distance_of(row, turns_of(row)[-1:])) for row in rows)
    found: list[RolloutRecord] = []
    for row in rows:
        turns = turns_of(row)
        group = whole(row.get("group_idx"))
        advantage = number(row.get("total_reward")) - means[group]
        for place, turn in enumerate(turns):
            is_last = place == len(turns) - 1
            record = _record(step, row, turn, advantage, is_last=is_last)
            if (
                is_measured
                and is_last
                and record.latitude is None
                and math.isnan(record.distance_km)
            ):
                record = replace(record, outcome=Outcome.UNPARSED)
            found.append(record)
    return sorted(found, key=lambda record: (record.group, record.index, record.turn))


def _record(
    step: int, row: Mapping[str, Any], turn: Mapping[str, Any], advantage: float, *, is_last: bool
) -> RolloutRecord:
    logs, group = mapping(turn.get("logs")), whole(row.get("group_idx"))
    distance_km = distance_of(row if is_last else {}, [turn])
    latitude, longitude = number(logs.get("latitude")), number(logs.get("longitude"))
    has_place = not math.isnan(latitude + longitude)
    whole_trajectory = mapping(row.get("trajectory_metrics") if is_last else None)
    metrics = {**whole_trajectory, **mapping(turn.get("metrics"))}
    reward = number(turn.get("reward")) + (number(row.get("final_reward")) if is_last else 0.0)
    logged = number(logs.get("advantage"))
    advantage = advantage if math.isnan(logged) else logged
    sampler_step = row.get("sampling_client_step")
    return RolloutRecord(
        step=step,
        group=group,
        index=whole(row.get("traj_idx")),
        sample_id=str(logs.get("sample_id") or _group_name(row, group)),
        true_latitude=number(logs.get("true_latitude")),
        true_longitude=number(logs.get("true_longitude")),
        outcome=_outcome(logs, metrics, distance_km, has_place=has_place),
        reward=reward,
        distance_km=distance_km,
        text=_text(logs),
        note=note if isinstance(note := logs.get("note"), str) else None,
        latitude=latitude if has_place else None,
        longitude=longitude if has_place else None,
        terms={
            key: value
            for key in metrics
            if key != "distance_km" and not math.isnan(value := number(metrics[key]))
        },
        advantage=None if math.isnan(advantage) else advantage,
        prompt_tokens=whole(turn.get("ob_len")),
        sampler_step=whole(sampler_step) if sampler_step is not None else None,
        turn=whole(turn.get("step_idx")),
    )


def _outcome(
    logs: Mapping[str, Any], metrics: Mapping[str, Any], distance_km: float, *, has_place: bool
) -> Outcome:
    said = logs.get("outcome")
    if isinstance(said, str) and said in set(Outcome):
        return Outcome(said)
    if has_place:
        return Outcome.OK
    failed = metrics.get("answered") == 0 or distance_km >= HALF_CIRCUMFERENCE_KM - 1
    return Outcome.UNPARSED if failed else Outcome.OK


def _text(logs: Mapping[str, Any]) -> str:
    """What the model said, or else everything that the environment logged."""
    for key in _TEXTS:
        if isinstance(text := logs.get(key), str):
            return text[:_LONGEST]
    return "\n".join(f"{key}: {value}" for key, value in logs.items())[:_LONGEST]


def _group_name(row: Mapping[str, Any], group: int) -> str:
    tags = row.get("tags")
    names = [str(tag) for tag in cast(list[Any], tags)] if isinstance(tags, list) else []
    return "/".join([*names, f"group {group}"])


def distance_of(row: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]) -> float:
    """The distance in km: what the turn's or the trajectory's figures say, NaN where neither does."""
    for metrics in (*(turn.get("metrics") for turn in turns), row.get("trajectory_metrics")):
        distance_km = number(mapping(metrics).get("distance_km"))
        if distance_km >= 0:
            return distance_km
    return math.nan


def turns_of(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The turns of a trajectory; none where the row has none."""
    steps = row.get("steps")
    turns = cast(list[Any], steps) if isinstance(steps, list) else []
    return [mapping(turn) for turn in turns]


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def number(value: Any) -> float:
    """A number that 32 bits hold, so that none of those added here is infinite; NaN for anything else."""
    if type(value) is float and abs(value) < _LARGEST:
        return value
    return float(value) if is_whole(value) else math.nan


def whole(value: Any) -> int:
    """The value where it is a whole number, else 0."""
    return value if is_whole(value) else 0
