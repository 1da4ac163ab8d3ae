"""Group relative policy optimisation: sample, judge, take a step, and write down what was.

Of step i + 1 the photos are read while step i is sampled, and the sampling starts the moment that
step i's weights are there; what step i was is written meanwhile. With `max_steps_off_policy` = k the
rollouts of a step come from weights up to k steps old, so that sampling need not wait for training;
and a step whose rollouts are there is sent while those before it are under way, so that it is in the
service's next cycle.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from geospot.completers import TinkerTokenCompleter
from geospot.config.learning import RLConfig
from geospot.errors import DivergedError, GeospotError, TooFewRolloutsError
from geospot.learning.keeping import PendingCheckpoint
from geospot.learning.photos import BROKEN_AT_MOST
from geospot.learning.schedule import adam_params, learning_rate
from geospot.learning.steps import PendingStep, forget
from geospot.learning.stopping import StopRequest
from geospot.learning.trainer import Trainer
from geospot.rl.batch import Batch, RolloutKey, drift_figures, make_batch
from geospot.rl.collapse import FailingStreak
from geospot.rl.divergence import Divergence
from geospot.rl.pipeline import RolloutPipeline, Sampled
from geospot.rl.report import StepReport, lost_words
from geospot.rl.rollouts import Sampler, SamplingLog
from geospot.rl.types import RLDataset
from geospot.services.faults import RESUME

if TYPE_CHECKING:
    import tinker


_FRESH_ENOUGH: Final = 1
"""Optimiser steps by which rollouts may be old without a bound on their ratios."""


class Chronicle(Protocol):
    """Who writes down what happened."""

    async def rollouts(self, step: int, sampled: Sampled, batch: Batch) -> None:
        """The rollouts of a step, while it is trained on."""
        ...

    def step(self, report: StepReport) -> None:
        """The figures of a step, when it is done."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Sent:
    """A step that the service is at work on. `came_s`: when its rollouts were there (monotonic)."""

    step: int
    sampled: Sampled
    penalties: dict[RolloutKey, float]
    batch: Batch
    pending: list[PendingStep]
    snapshot: "asyncio.Future[tinker.SamplingClient] | None"
    saving: PendingCheckpoint | None
    writing: asyncio.Task[None]
    came_s: float

    async def drop(self) -> None:
        """Nobody will wait for it: the run ends."""
        if self.saving is not None:
            await self.saving.drop()
        await forget(self.writing, *([self.snapshot] if self.snapshot is not None else []))


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
        stop: whether somebody wants the run to end, after the steps that are sent.
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
        stop: StopRequest,
        tell_phase: Callable[[str, int], None] = lambda _phase, _done: None,
    ) -> None:
        self.done = 0
        """Steps done."""
        self.is_whole = False
        """After an error: whether all that was sent is done, so that the weights are those of `done`."""
        self._config = config
        self._trainer = trainer
        self._chronicle = chronicle
        self._save = save
        self._evaluate = evaluate
        self._stop = stop
        self._tell_phase = tell_phase
        self._total = len(dataset)
        self._pipeline = RolloutPipeline(
            dataset,
            self._sampler,
            group_size=config.group_size,
            total=self._total,
            segment=config.save_every,
            ahead=config.max_steps_off_policy,
            max_retries=config.max_retries,
        )
        self._ended_s = time.monotonic()
        self._writing = asyncio.Lock()
        self._failing = FailingStreak()
        self._broken_in_a_row = 0
        self._divergence = Divergence(
            config.kl_penalty_coef, config.kl_reference, config.max_retries
        )

    @property
    def failing_steps(self) -> int:
        """Of how many steps, up to the last one, every rollout has failed."""
        return self._failing.steps

    async def run(self, start: int) -> int:
        """Steps `start` … len − 1. Returns how many are done, fewer than all where it was stopped.

        Raises:
            TooFewRolloutsError: service or network lost most rollouts of a step.
            DivergedError: loss, gradient or sampled log-probabilities are NaN, or the rollouts of many
                steps have all failed.
            BackendError: the service can't be used any more.
        """
        try:
            if self._config.kl_penalty_coef:
                reference = await self._trainer.reference_sampler(self._config.kl_reference)
                self._divergence.reference = reference
            self.done = start
            client = await self._trainer.snapshot()
            self._ended_s = time.monotonic()
            self._pipeline.weights(start, client)
            self._evaluate(start)
            await self._steps(start, client)
            return self.done
        finally:
            await self._pipeline.aclose()

    async def _steps(self, start: int, client: "tinker.SamplingClient") -> None:
        """Sends each step as soon as its rollouts are there, and lets it end behind those before it."""
        ending = {start: asyncio.create_task(_at_once(client))}
        last, under_way = ending[start], start
        stopping = asyncio.create_task(self._stop.wait())
        try:
            for step in range(start, self._total):
                await ending[self._pipeline.source(step)]
                if not await self._came(step, last, stopping):
                    break
                sent = await self._send(step)
                last = ending[step + 1] = asyncio.create_task(self._end(sent, last))
                under_way = step + 1
                ending.pop(step - self._config.max_steps_off_policy, None)
                self._evaluate(step + 1)
            await last
        except GeospotError as error:
            await asyncio.wait({last})  # what was sent is done, and goes on record
            self.is_whole = last.exception() is None
            if isinstance(error, DivergedError) and under_way > self.done + 1:
                # Steps behind it have moved the weights on.
                raise DivergedError(error.message, error.advice) from error
            raise
        finally:
            await forget(last, stopping)

    async def _came(
        self,
        step: int,
        last: "asyncio.Task[tinker.SamplingClient]",
        stopping: "asyncio.Task[None]",
    ) -> bool:
        """Waits for a step's rollouts; False where the run is to end without them.

        A batch system gives half a minute, and a step's rollouts may take longer than that. They are
        sampled again, and the same, when the run goes on.

        Args:
            last: the end of the step before. If it fails meanwhile, so does this.
        """
        self._tell_phase("sampling", self.done)
        sampling = self._pipeline.sampling(step)
        await asyncio.wait({sampling, last}, return_when="FIRST_COMPLETED")
        if last.done():
            last.result()
            await asyncio.wait({sampling, stopping}, return_when="FIRST_COMPLETED")
        return not self._stop.is_set

    async def _send(self, step: int) -> "_Sent":
        """Sends what is made of a step's rollouts."""
        sampled = await self._pipeline.take(step)
        came = time.monotonic()
        self._refuse_too_few(step, sampled)
        penalties = await self._divergence.penalties(sampled.groups)
        batch = await asyncio.to_thread(self._batch, sampled, penalties)
        end = self._failing.observe(sampled.groups, learns=bool(batch.parts))
        if end is not None:  # the weights go where nobody takes them up by mistake
            raise DivergedError(end, weights_intact=True)
        self._tell_phase("training", self.done)
        pending = await self._submit(step, batch)
        # Sent behind the step, before anything is waited for: the service takes them in this order.
        snapshot = self._trainer.snapshot() if batch.parts else None
        # What a step that failed as a whole has changed is nothing: a checkpoint of it would only push
        # an older one out that may be better.
        is_worth_saving = not self._failing.steps or step + 1 == self._total
        saving = self._save(step + 1) if is_worth_saving else None
        writing = asyncio.create_task(self._write(step, sampled, batch))
        return _Sent(step, sampled, penalties, batch, pending, snapshot, saving, writing, came)

    async def _write(self, step: int, sampled: Sampled, batch: Batch) -> None:
        async with self._writing:  # steps in their order, one at a time
            await self._chronicle.rollouts(step, sampled, batch)

    async def _end(
        self, sent: "_Sent", last: "asyncio.Task[tinker.SamplingClient]"
    ) -> "tinker.SamplingClient":
        """What is left of a step when it is sent; gives a client of the weights after it."""
        try:
            return await self._ended(sent, last)
        except BaseException:
            await sent.drop()
            raise

    async def _ended(
        self, sent: "_Sent", last: "asyncio.Task[tinker.SamplingClient]"
    ) -> "tinker.SamplingClient":
        step, batch = sent.step, sent.batch
        client = await last
        outcomes = [await one.result() for one in sent.pending]
        if sent.snapshot is not None:
            client = await sent.snapshot
        self._pipeline.weights(step + 1, client)
        await sent.writing
        before_s, self._ended_s = self._ended_s, time.monotonic()
        self._chronicle.step(
            StepReport(
                step=step,
                total=self._total,
                sampled=sent.sampled,
                batch=batch,
                outcomes=outcomes,
                learning_rate=learning_rate(self._config, step, self._total),
                drift=drift_figures(batch.parts, [one.logprobs for one in outcomes]),
                divergence=self._divergence.figures(sent.penalties),
                scored_tokens=self._divergence.tokens(sent.sampled.groups),
                waited_s=max(0.0, sent.came_s - before_s),
                seconds=self._ended_s - before_s,
                min_range=self._config.min_group_range,
            )
        )
        self.done = step + 1
        if sent.saving is not None:
            self._tell_phase("saving", self.done)
            await sent.saving
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
        """A step of which too much was lost ends the run; what broken photos cost isn't counted there.

        They are as broken when it goes on. Many of them in a row, and nothing else, end it all the same.

        Raises:
            TooFewRolloutsError: service, network or source lost most of it.
        """
        groups = sampled.groups
        sound = sum(not one.is_broken for one in sampled.prepared)
        self._broken_in_a_row = 0 if sound else self._broken_in_a_row + len(groups)
        if 0 < self._broken_in_a_row < BROKEN_AT_MOST:
            return
        asked = (sound or len(groups)) * self._config.group_size
        came = sum(len(group.trajectories) for group in groups)
        if came and came >= self._config.min_rollouts * asked:
            return
        reasons = "; ".join(reason.rstrip(".") for reason in lost_words(sampled))
        raise TooFewRolloutsError(
            f"Of the {asked} rollouts of step {step} only {came} came back. {reasons}.",
            f"{RESUME} min_rollouts says how few are enough.",
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


def unbounded_ratios(config: RLConfig) -> str | None:
    """What a person must be told whose loss isn't made for rollouts as old as theirs; else None.

    Importance sampling is unbiased however old they are, and its variance grows with the ratios.
    """
    steps, substeps = config.max_steps_off_policy, config.num_substeps
    oldest = steps * substeps + substeps - 1
    if config.loss_fn != "importance_sampling" or oldest <= _FRESH_ENOUGH:
        return None
    return (
        f"Rollouts are up to {oldest} optimiser steps older than the weights that learn from them, and "
        "loss_fn=importance_sampling sets no bound to how much one answer may count that has become "
        "likelier since. Use loss_fn=ppo or cispo, which do, or a smaller "
        f"{'max_steps_off_policy' if steps else 'num_substeps'}."
    )


async def _at_once(client: "tinker.SamplingClient") -> "tinker.SamplingClient":
    return client
