"""Rollouts as they are kept on disk, made from what was played and from what was made of it."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from geospot.outcomes import Outcome
from geospot.renderers import Tokenizer
from geospot.rl.batch import Batch
from geospot.rl.pipeline import Sampled
from geospot.rl.types import TrajectoryGroup, Transition
from geospot.runs.rollouts import RolloutRecord

_TERM: Final = "reward/"


class TokenPieces:
    """The text of each token by itself, for readers without a tokenizer.

    A token that holds only some bytes of a character is U+FFFD. Each token is decoded once.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}

    def of(self, tokens: Sequence[int]) -> list[str]:
        """The pieces of some tokens, one for one."""
        known = self._known
        for token in tokens:
            if token not in known:
                known[token] = str(self._tokenizer.decode([token]))
        return [known[token] for token in tokens]


def rollout_records(
    step: int, sampled: Sampled, batch: Batch, pieces: TokenPieces
) -> Iterator[RolloutRecord]:
    """One record for each turn of each rollout that came back."""
    used = set(batch.used)
    for number, group in enumerate(sampled.groups):
        for trajectory in group.trajectories:
            advantages = batch.advantages[number, trajectory.index] if number in used else None
            for turn, transition in enumerate(trajectory.transitions):
                yield _record(
                    (step, number, trajectory.index, turn),
                    group,
                    transition,
                    None if advantages is None else round(float(advantages[turn]), 6),
                    pieces.of(transition.action),
                )


def _record(
    at: tuple[int, int, int, int],
    group: TrajectoryGroup,
    transition: Transition,
    advantage: float | None,
    pieces: list[str],
) -> RolloutRecord:
    step, number, index, turn = at
    logs: dict[str, Any] = transition.logs
    metrics = transition.metrics
    return RolloutRecord(
        step=step,
        group=number,
        index=index,
        turn=turn,
        sample_id=group.builder.group_id,
        true_latitude=logs["true_latitude"],
        true_longitude=logs["true_longitude"],
        outcome=Outcome(logs["outcome"]),
        reward=transition.reward,
        distance_km=metrics["distance_km"],
        text=logs["text"],
        note=logs["note"],
        latitude=logs["latitude"],
        longitude=logs["longitude"],
        labels=logs["labels"],
        place=logs["place"],
        terms={
            name.removeprefix(_TERM): value
            for name, value in metrics.items()
            if name.startswith(_TERM)
        },
        advantage=advantage,
        tokens=transition.action,
        pieces=pieces,
        logprobs=transition.logprobs_T.tolist(),
        prompt_tokens=transition.observation.length,
        truncated=logs["truncated"],
        sampler_step=group.sampler_step,
        replayed=group.builder.is_replayed,
    )
