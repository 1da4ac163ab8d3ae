"""A step's rollouts as the screen shows them: groups of answers, sorted and filtered. Made in a thread."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np

from geospot.places import same_country
from geospot.query import Query
from geospot.runs.rollouts import RolloutRecord
from geospot.tui.rollout_filter import matches

GroupOrder = Literal["photo", "worst", "spread"]
GROUP_ORDERS: Final[Sequence[GroupOrder]] = ("photo", "worst", "spread")
"""As the photos were drawn; lowest mean reward first; rewards that lie farthest apart first."""

AnswerOrder = Literal["index", "km", "reward", "advantage"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One rollout, its turns in order; a rollout of GRPO has one."""

    turns: Sequence[RolloutRecord]
    right_country: Sequence[bool | None] = ()
    """Of each turn, whether it names the true country, None where one of the two isn't named; empty before
    that is known (`StepView.judged`)."""
    is_hit: bool = True
    """Whether the filter lets it through."""

    @property
    def first(self) -> RolloutRecord:
        """The first turn, which has what all turns share: the photo, its truth, the place in the group."""
        return self.turns[0]

    @property
    def last(self) -> RolloutRecord:
        """The last turn, whose answer counts."""
        return self.turns[-1]

    @property
    def reward(self) -> float:
        """What all turns earned together; NaN where one of them has no reward."""
        return sum(turn.reward for turn in self.turns)

    @property
    def distance_km(self) -> float:
        """Of the last turn's answer."""
        return self.last.distance_km

    @property
    def tokens(self) -> int:
        """How many there are in all turns."""
        return sum(len(turn.tokens) for turn in self.turns)

    @property
    def advantage(self) -> float | None:
        """Of the first turn, from which the whole rollout is judged."""
        return self.first.advantage


@dataclass(frozen=True)
class Group:
    """The answers to one photo."""

    number: int
    answers: Sequence[Answer]

    @cached_property
    def rewards(self) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """Of the answers that have one."""
        values = np.array([answer.reward for answer in self.answers], np.float64)
        return values[np.isfinite(values)]

    @property
    def mean_reward(self) -> float:
        """Failures count as 0, as everywhere; NaN where nothing has a reward."""
        return float(np.maximum(self.rewards, 0).mean()) if self.rewards.size else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation of the rewards."""
        return float(self.rewards.std()) if self.rewards.size else math.nan

    @property
    def most_advantage(self) -> float:
        """The largest size of an advantage, for bars that compare within the group; above 0."""
        found = [answer.advantage for answer in self.answers]
        return max((abs(value) for value in found if value is not None), default=0.0) or 1.0

    @property
    def hits(self) -> int:
        """Answers that the filter lets through."""
        return sum(answer.is_hit for answer in self.answers)

    def ordered(self, order: AnswerOrder, *, descending: bool = False) -> list[Answer]:
        """The answers, those that the filter lets through first; what has no value comes last."""

        def rank(answer: Answer) -> tuple[bool, bool, float, int]:
            value = _value(answer, order)
            known = value is not None and math.isfinite(value)
            place = (-value if descending else value) if known and value is not None else 0.0
            return not answer.is_hit, not known, place, answer.first.index

        return sorted(self.answers, key=rank)


@dataclass(frozen=True)
class StepView:
    """All groups of a step."""

    step: int
    groups: Sequence[Group] = ()

    @cached_property
    def answers(self) -> int:
        """How many rollouts there are."""
        return sum(len(group.answers) for group in self.groups)

    @cached_property
    def hits(self) -> int:
        """How many of them the filter lets through."""
        return sum(group.hits for group in self.groups)

    @cached_property
    def characters(self) -> int:
        """Length of all texts, for a cache to know what it keeps."""
        return sum(len(t.text) for g in self.groups for a in g.answers for t in a.turns)

    def shown(self, order: GroupOrder) -> list[Group]:
        """Groups with an answer that the filter lets through, in order; what has no value comes last."""
        groups = [group for group in self.groups if group.hits]
        if order == "worst":
            return sorted(groups, key=lambda g: (math.isnan(g.mean_reward), g.mean_reward))
        if order == "spread":
            return sorted(groups, key=lambda g: (math.isnan(g.spread), -g.spread))
        return groups

    def filtered(self, query: Query) -> "StepView":
        """The same with every answer marked by whether one of its turns fulfils the query.

        Reward and distance are those of the whole answer, as histograms count them.
        """

        def marked(answer: Answer) -> Answer:
            turns: Sequence[RolloutRecord] = answer.turns
            if len(turns) > 1:
                whole = {"reward": answer.reward, "distance_km": answer.distance_km}
                turns = [replace(turn, **whole) for turn in turns]
            return replace(answer, is_hit=any(matches(query, turn) for turn in turns))

        return self._with(marked)

    def judged(self) -> "StepView":
        """The same with every answer marked by whether it names the true country."""
        return self._with(
            lambda answer: replace(answer, right_country=[*map(_names_country, answer.turns)])
        )

    def _with(self, change: Callable[[Answer], Answer]) -> "StepView":
        groups = [Group(group.number, [*map(change, group.answers)]) for group in self.groups]
        return StepView(self.step, groups)


def step_view(step: int, records: Sequence[RolloutRecord]) -> StepView:
    """Records of a step as groups, rollouts and turns."""
    found: dict[int, dict[int, list[RolloutRecord]]] = {}
    for record in records:
        found.setdefault(record.group, {}).setdefault(record.index, []).append(record)
    groups = [
        Group(number, [_answer(turns) for _, turns in sorted(rollouts.items())])
        for number, rollouts in sorted(found.items())
    ]
    return StepView(step, groups)


def _answer(turns: Sequence[RolloutRecord]) -> Answer:
    return Answer(sorted(turns, key=lambda turn: turn.turn))


def _names_country(record: RolloutRecord) -> bool | None:
    said, true = record.place.get("country"), record.labels.get("country")
    return same_country(said, true) if said and true else None


def _value(answer: Answer, order: AnswerOrder) -> float | None:
    match order:
        case "km":
            return answer.distance_km
        case "reward":
            return answer.reward
        case "advantage":
            return answer.advantage
        case "index":
            return float(answer.first.index)


def outward(steps: Sequence[int], step: int, direction: int = 0) -> Iterator[int]:
    """The other steps, nearest first: on both sides by turns, or only after (1) or before (-1) `step`."""
    before = [s for s in reversed(steps) if s < step] if direction <= 0 else []
    after = [s for s in steps if s > step] if direction >= 0 else []
    for place in range(max(len(before), len(after))):
        yield from after[place : place + 1]
        yield from before[place : place + 1]


def nearest(steps: Sequence[int], step: int) -> int:
    """The step that is shown where `step` was asked for: it, the last one before it, or the first of all."""
    return max((s for s in steps if s <= step), default=steps[0])
