"""Group relative policy optimisation: sample, judge, take a step, and write down what was.

Of step i + 1 the photos are read while step i is sampled, and the sampling starts the moment that
step i's weights are there; what step i was is written meanwhile. With `max_steps_off_policy` = k the
rollouts of a step come from weights up to k steps old, so that sampling need not wait for training.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from geospot.completers import TinkerTokenCompleter
from geospot.config.learning import RLConfig
from geospot.errors import TooFewRolloutsError
from geospot.learning.keeping import PendingCheckpoint
from geospot.learning.schedule import adam_params, learning_rate
from geospot.learning.steps import PendingStep
from geospot.learning.trainer import Trainer
from geospot.rl.batch import Batch, RolloutKey, drift_figures, make_batch
from geospot.rl.divergence import Divergence
from geospot.rl.pipeline import RolloutPipeline, Sampled
from geospot.rl.report import StepReport
from geospot.rl.rollouts import Sampler, SamplingLog
from geospot.rl.types import RLDataset

if TYPE_CHECKING:
    import tinker


class Chronicle(Protocol):
    """Who writes down what happened."""

    async def rollouts(self, step: int, sampled: Sampled, batch: Batch) -> None:
        """The rollouts of a step, while it is trained on."""
        ...

    def step(self, report: StepReport) -> None:
        """The figures of a step, when it is done."""
        ...


class GRPO:
    """The loop over steps.

    Args:
        config: with every gap filled.
        trainer: the model.
        dataset: the groups of each step.
        chronicle: told what happened.
        save: given the number of steps done, sends for a checkpoint if one is due; what it returns is
            awaited when the step's figures are on record.
        evaluate: given the number of steps done, begins an evaluation if one is due.
        should_stop: whether somebody wants the run to end after this step.
        tell_phase: told what is waited for, and how many steps are done.
    """

    def __init__(
        self,
        config: RLConfig,
        trainer: Trainer[RLConfig],
        dataset: RLDataset,
        chronicle: Chronicle,
        *,
        save: Callable[[int], PendingCheckpoint | None],
        evaluate: Callable[[int], None],
        should_stop: Callable[[], bool],
        tell_phase: Callable[[str, int], None] = lambda _phase, _done: None,
    ) -> None:
        self.done = 0
        """Steps done."""
        self._config = config
        self._trainer = trainer
        self._chronicle = chronicle
        self._save = save
        self._evaluate = evaluate
        self._should_stop = should_stop
        self._tell_phase = tell_phase
        self._total = len(dataset)
        self._pipeline = RolloutPipeline(
            dataset,
            self._sampler,
            group_size=config.group_size,
            total=self._total,
            segment=config.save_every,
            ahead=config.max_steps_off_policy,
        )
        self._divergence = Divergence(config.kl_penalty_coef, config.kl_reference)

    async def run(self, start: int) -> int:
        """Steps `start` … len − 1. Returns how many are done, fewer than all where it was stopped.

        Raises:
            TooFewRolloutsError: service or network lost most rollouts of a step.
            DivergedError: loss or gradient is NaN.
            BackendError: the service can't be used any more.
        """
        try:
            if self._config.kl_penalty_coef:
                reference = await self._trainer.reference_sampler(self._config.kl_reference)
                self._divergence.reference = reference
            self.done = start
            client = await self._trainer.snapshot()
            self._pipeline.weights(start, client)
            self._evaluate(start)
            for step in range(start, self._total):
                if self._should_stop():
                    break
                client = await self._step(step, client)
                self.done = step + 1
                self._evaluate(self.done)
            return self.done
        finally:
            await self._pipeline.aclose()

    async def _step(self, step: int, client: "tinker.SamplingClient") -> "tinker.SamplingClient":
        """One step; gives a client of the weights after it."""
        began = time.monotonic()
        self._tell_phase("sampling", step)
        sampled = await self._pipeline.take(step)
        waited_s = time.monotonic() - began
        self._refuse_too_few(step, sampled)
        penalties = await self._divergence.penalties(sampled.groups)
        batch = await asyncio.to_thread(self._batch, sampled, penalties)
        self._tell_phase("training", step)
        pending = await self._submit(step, batch)
        # Sent behind the step, before anything is waited for: the service takes them in this order.
        snapshot = self._trainer.snapshot() if batch.parts else _at_once(client)
        saving = self._save(step + 1)
        writing = asyncio.create_task(self._chronicle.rollouts(step, sampled, batch))
        try:
            outcomes = [await one.result() for one in pending]
            client = await snapshot
        except BaseException:
            if saving is not None:
                saving.drop()
            await _forget(writing, snapshot)
            raise
        self._pipeline.weights(step + 1, client)
        await writing
        self._chronicle.step(
            StepReport(
                step=step,
                total=self._total,
                sampled=sampled,
                batch=batch,
                outcomes=outcomes,
                learning_rate=learning_rate(self._config, step, self._total),
                drift=drift_figures(batch.parts, [one.logprobs for one in outcomes]),
                divergence=self._divergence.figures(penalties),
                scored_tokens=self._divergence.tokens(sampled.groups),
                waited_s=waited_s,
                seconds=time.monotonic() - began,
            )
        )
        if saving is not None:
            self._tell_phase("saving", step + 1)
            await saving
        return client

    def _batch(self, sampled: Sampled, penalties: dict[RolloutKey, float]) -> Batch:
        return make_batch(
            sampled.groups,
            min_range=self._config.min_group_range,
            normalize=self._config.normalize_advantages,
            substeps=self._config.num_substeps,
            penalties=penalties,
        )

    async def _submit(self, step: int, batch: Batch) -> list[PendingStep]:
        """Sends all substeps. Nothing is sent where no group says which answer was better."""
        config = self._config
        clip = {"clip_low_threshold": config.clip_low, "clip_high_threshold": config.clip_high}
        said = {name: value for name, value in clip.items() if value is not None}
        adam = adam_params(config, step, self._total)
        return [
            await self._trainer.submit(part.datums, config.loss_fn, adam, said or None)
            for part in batch.parts
        ]

    def _refuse_too_few(self, step: int, sampled: Sampled) -> None:
        groups = sampled.groups
        asked = len(groups) * self._config.group_size
        came = sum(len(group.trajectories) for group in groups)
        if came and came >= self._config.min_rollouts * asked:
            return
        reasons = [failure.error for group in groups for failure in group.failures]
        raise TooFewRolloutsError(
            f"Of the {asked} rollouts of step {step} only {came} came back "
            f"({reasons[0] if reasons else 'no reason was given'}).",
            "Start the same command again to go on from the last checkpoint; min_rollouts says how "
            "few are enough.",
        )

    def _sampler(self, client: "tinker.SamplingClient", step: int, log: SamplingLog) -> Sampler:
        config = self._config
        completer = TinkerTokenCompleter(
            client,
            max_tokens=config.max_tokens or 128,
            temperature=config.temperature,
            context_length=self._trainer.context_length,
        )
        return Sampler(
            completer, step, config.seed, config.rollout_timeout, config.max_retries, log
        )


async def _at_once(client: "tinker.SamplingClient") -> "tinker.SamplingClient":
    return client


async def _forget(*waited: Awaitable[Any]) -> None:
    """Ends what is still under way when a step has failed, so that nothing complains later."""
    tasks = [asyncio.ensure_future(one) for one in waited]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
