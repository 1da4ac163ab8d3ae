"""The figures of one step, under tinker-cookbook's names where it has one."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from geospot.learning.costs import TokenCounts
from geospot.learning.steps import StepOutcome
from geospot.rl.batch import Batch
from geospot.rl.figures import step_figures
from geospot.rl.pipeline import Sampled

_REASONS: Final = 10  # told of one step


@dataclass(frozen=True, slots=True, eq=False)
class StepReport:
    """All that is known of a step when it is done.

    `scored_tokens`: read by the reference of the divergence. `waited_s`: for rollouts. `seconds`: from
    the end of the step before to the end of this one. `min_range`: groups whose rewards lie no farther
    apart give no gradient.
    """

    step: int
    total: int
    sampled: Sampled
    batch: Batch
    outcomes: list[StepOutcome]
    learning_rate: float
    drift: dict[str, float]
    divergence: dict[str, float]
    scored_tokens: int
    waited_s: float
    seconds: float
    min_range: float

    def row(self) -> dict[str, float]:
        """One flat row for metrics.jsonl."""
        groups, log = self.sampled.groups, self.sampled.log
        failures = Counter(failure.error for group in groups for failure in group.failures)
        row = {
            "progress/batch": self.step,
            "progress/done_frac": (self.step + 1) / self.total,
            "optim/lr": self.learning_rate,
            "optim/substeps": len(self.batch.parts),
            "optim/groups_used": len(self.batch.used),
            "rollouts/returned": self.batch.rollouts,
            "rollouts/lost": failures.total(),
            "rollouts/retried": log.faults["again"],
            "rollouts/steps_off_policy": self._staleness(),
            "time/total": self.seconds,
            "time/sample": self.sampled.seconds,
            "time/wait_for_rollouts": self.waited_s,
            "time/train": self.seconds - self.waited_s,
        }
        figures = step_figures(groups, self.min_range)
        return row | figures | self.drift | self.divergence | self._optimiser()

    @property
    def counts(self) -> TokenCounts:
        """What the step used."""
        log = self.sampled.log
        return TokenCounts(
            prefill=log.prompt_tokens + self.scored_tokens,
            cached_prefill=log.cached_prompt_tokens,
            sample=log.sampled_tokens,
            train=self.batch.trained_tokens,
        )

    def losses(self) -> list[str]:
        """Why photos and rollouts were lost, a sentence for each reason."""
        return lost_words(self.sampled)

    def _staleness(self) -> float:
        """Mean over the groups of how many steps old the weights were that sampled them."""
        groups = self.sampled.groups
        return sum(self.step - group.sampler_step for group in groups) / len(groups)

    def _optimiser(self) -> dict[str, float]:
        if not self.outcomes:
            return {}
        figures = {"optim/loss": sum(one.loss_sum for one in self.outcomes) / len(self.outcomes)}
        norms = [one.grad_norm for one in self.outcomes if one.grad_norm is not None]
        if norms:
            figures["optim/grad_norm"] = sum(norms) / len(norms)
        return figures


def lost_words(sampled: Sampled) -> list[str]:
    """Why photos couldn't be read and rollouts didn't come back: each reason once, with its count.

    The most frequent first, and no more than `_REASONS` of them.
    """
    photos = Counter(one.error for one in sampled.prepared if one.error is not None)
    rollouts = Counter(
        failure.error
        for prepared, group in zip(sampled.prepared, sampled.groups, strict=True)
        if prepared.error is None
        for failure in group.failures
    )
    words = [_counted(count, "photo", reason) for reason, count in photos.most_common()]
    words += [_counted(count, "rollout", reason) for reason, count in rollouts.most_common()]
    more = len(words) - _REASONS
    return [*words[:_REASONS], f"And {more} further reasons."] if more > 0 else words


def _counted(count: int, what: str, reason: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''} lost: {reason}"
