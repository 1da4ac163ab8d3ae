"""Writes down what each step was: figures, histograms, rollouts, thumbnails."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from geospot.config.learning import RLConfig
from geospot.learning.costs import Prices, TokenCounts, cost_figures
from geospot.renderers import Tokenizer
from geospot.rl.batch import Batch
from geospot.rl.collapse import CollapseWatch
from geospot.rl.figures import fresh_groups
from geospot.rl.geo_env import photo_bytes
from geospot.rl.pipeline import Sampled
from geospot.rl.records import TokenPieces, rollout_records
from geospot.rl.replay import HardReplay
from geospot.rl.report import StepReport
from geospot.rl.types import TrajectoryGroup
from geospot.runs.directory import RunDirectory

_MISMATCH_NATS: Final = 0.01
"""Half the mean squared difference a token. Rounding in bfloat16 stays below a tenth of it."""

_GROUP_SHARES: Final = "env/all/by_group/"


class Journal:
    """The record of a run.

    Args:
        tokenizer: the model's; rollouts keep the text of each token.
        tau_km: tau of a step, one or several.
        replay: told what each step was, where hard photos are shown again.
        counts: tokens that were used before this process took over.
        tell: shown the row of each finished step.
        warn: told once what a person has to know.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: RLConfig,
        *,
        tokenizer: Tokenizer,
        tau_km: Callable[[int], Sequence[float]],
        replay: HardReplay | None,
        counts: TokenCounts,
        tell: Callable[[int, dict[str, Any]], None],
        warn: Callable[[str], None],
    ) -> None:
        self.counts = counts
        self._run = run
        self._config = config
        self._pieces = TokenPieces(tokenizer)
        self._tau_km = tau_km
        self._replay = replay
        self._prices = Prices.of(config)
        self._tell = tell
        self._warn = warn
        self._warned = False
        self._collapse = CollapseWatch()

    async def rollouts(self, step: int, sampled: Sampled, batch: Batch) -> None:
        """Writes rollouts and thumbnails in a thread, every `rollouts_every` steps."""
        if step % self._config.rollouts_every == 0:
            await asyncio.to_thread(self._write_rollouts, step, sampled, batch)

    def step(self, report: StepReport) -> None:
        """Writes the figures of a finished step."""
        self.counts += report.counts
        for reason in report.losses():
            self._run.log(f"Step {report.step}: {reason}", level="WARNING")
        row = report.row() | cost_figures(self.counts, self._prices)
        row["reward/tau_km"] = float(np.mean(self._tau_km(report.step)))
        groups = report.sampled.groups
        if self._replay is not None:
            row["replay/share"] = float(np.mean([group.builder.is_replayed for group in groups]))
            self._run.photos(report.step, self._replay.observe(report.step, groups))
        self._run.metrics(report.step, row)
        reward_N, distance_km_N = _spread(groups)
        shares = {
            name.removeprefix(_GROUP_SHARES): value
            for name, value in row.items()
            if name.startswith(_GROUP_SHARES)
        }
        self._run.histogram(report.step, reward_N, distance_km_N, shares)
        self._check_logprobs(report)
        if (collapsed := self._collapse.observe(groups)) is not None:
            self._warn(collapsed)
        self._tell(report.step, row)

    def _write_rollouts(self, step: int, sampled: Sampled, batch: Batch) -> None:
        self._run.rollouts(step, list(rollout_records(step, sampled, batch, self._pieces)))
        for prepared in sampled.prepared:
            if prepared.observations:
                photo = photo_bytes(prepared.observations[0][0])
                if photo is not None:
                    self._run.thumbnail(prepared.builder.group_id, photo)

    def _check_logprobs(self, report: StepReport) -> None:
        """On-policy, sampler and trainer are the same model and have to agree on every token."""
        stale = any(group.sampler_step != report.step for group in report.sampled.groups)
        apart = report.drift.get("optim/kl_sample_train_v2", 0.0)
        if self._warned or stale or len(report.batch.parts) != 1 or apart < _MISMATCH_NATS:
            return
        self._warned = True
        self._warn(
            "The sampler's log-probabilities don't agree with those of training (half the mean squared "
            f"difference is {apart:.2g} nats a token): importance ratios are off. Does the service "
            "report them at another temperature?"
        )


def _spread(groups: Sequence[TrajectoryGroup]) -> tuple[Any, Any]:
    """Reward and final distance in km of all N rollouts of fresh photos that came back."""
    played = [one for group in fresh_groups(groups) for one in group.trajectories]
    reward_N = np.array([one.reward for one in played])
    distance_km_N = np.array([one.transitions[-1].metrics["distance_km"] for one in played])
    return reward_N, distance_km_N
