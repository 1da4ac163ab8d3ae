"""Supervised fine-tuning: photos and the answers that a person would give.

The loop keeps two steps under way: while the service works at one, the next is already there, and the
photos of the one after it are being read. A checkpoint, a test NLL and an evaluation are each of the
weights of one moment, since requests are carried out in the order in which they are made.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Final

from geospot.config.learning import SFTConfig
from geospot.data.progress import Progress, silent
from geospot.errors import DataError, DivergedError, ImageError, RenderError
from geospot.learning.costs import Prices, TokenCounts, cost_figures
from geospot.learning.display import Draw, Forms, RunView, Shown, SilentView, shown
from geospot.learning.evaluation import RunEvaluator
from geospot.learning.keeping import CheckpointKeeper, PendingCheckpoint
from geospot.learning.photos import BROKEN_AT_MOST, TrainingData, open_training_data
from geospot.learning.schedule import adam_params, learning_rate
from geospot.learning.session import Finished, Session, open_session
from geospot.learning.sight import refuse_blind
from geospot.learning.steps import PendingStep, StepOutcome, forget
from geospot.learning.supervised import Batch, ExampleMaker, none_could_be_had
from geospot.runs.opening import Ask

LOSS: Final = "cross_entropy"
UNDER_WAY: Final = 2
"""Steps that are submitted at one time; the service is never without work."""


async def run(
    config: SFTConfig,
    view: RunView | None = None,
    *,
    ask: Ask | None = None,
    progress: Progress = silent,
) -> Finished:
    """Trains a model on the answers of the photos, or goes on with a run that was interrupted.

    Args:
        config: what to train on what.
        view: told what is going on.
        ask: puts a question to the person at the terminal; None where there is none.
        progress: told of long work on the data set.

    Raises:
        GeospotError: the run can't be done as asked, or has to end before its time.
    """
    view = view or SilentView()
    async with open_session(config, "sft", view, ask) as session:
        full = session.config
        data = await asyncio.to_thread(
            open_training_data, full, held_out=full.test_size, progress=progress
        )
        try:
            session.refuse_other_data(data.fingerprint)
            await refuse_blind(session, data)
            return await _Loop(session, data).run()
        finally:
            data.close()


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    """A step that is under way."""

    step: int
    batch: Batch
    pending: PendingStep | None
    """None where not one photo of the batch can be read, and so nothing was sent."""
    nll: "asyncio.Future[StepOutcome] | None"
    saving: PendingCheckpoint | None
    sent_s: float

    async def drop(self) -> None:
        """Nobody will wait for it: the run ends."""
        if self.saving is not None:
            await self.saving.drop()
        await forget(*([self.nll] if self.nll is not None else []))


@dataclass(slots=True)
class _Clock:
    """Where the loop's time goes, in seconds since the last row."""

    last_row_s: float = field(default_factory=time.monotonic)
    waited_s: float = 0.0

    def row(self, sent_s: float) -> dict[str, float]:
        now_s = time.monotonic()
        figures = {
            "time/total": now_s - self.last_row_s,
            "time/step": now_s - sent_s,
            "time/data_wait": self.waited_s,
        }
        self.last_row_s, self.waited_s = now_s, 0.0
        return figures


class _Loop:
    """One call of `run`, from its first step to its last."""

    def __init__(self, session: Session[SFTConfig], data: TrainingData) -> None:
        config, trainer = session.config, session.trainer
        self.session = session
        self.config = config
        self.trainer = trainer
        self.data = data
        self.order = data.order(config.seed)
        self.total = config.steps_on(len(data.samples))
        self.maker = ExampleMaker.of(trainer, data)
        self.evaluator = RunEvaluator(
            config,
            trainer,
            session.directory,
            total=self.total,
            tell=session.view.say,
            warn=session.view.warn,
        )
        self.keeper = CheckpointKeeper(
            config, trainer, session.directory, self.total, self._loop_state
        )
        self.tokens = TokenCounts.of(session.kept.get("tokens"))
        self.lost = int(session.kept.get("lost", 0))
        self.broken_in_a_row = 0
        self.figures: dict[str, float] = {}
        self.clock = _Clock()
        self.reading: dict[int | None, asyncio.Task[Batch]] = {}
        self.flights: deque[_Flight] = deque()

    async def run(self) -> Finished:
        """All steps that are still to be done."""
        session, start = self.session, self.session.first_step
        session.directory.start(start, self.total)
        session.view.say(self._opening_words(start))
        await self.evaluator.rewind(start)
        if self.config.test_size and len(self.data.held_out):
            self.reading[None] = asyncio.create_task(self._held_out())
        try:
            with session.view.live(start, self.total) as draw:
                reached = await self._steps(start, draw)
            session.stopped = reached < self.total or not await self._measure_end()
        finally:
            await forget(*self.reading.values())
            for flight in self.flights:
                await flight.drop()
            await self.evaluator.cancel()
        return session.finished(reached, self.total, self.figures | self.evaluator.latest)

    async def _steps(self, start: int, draw: Draw) -> int:
        """Steps from `start` to the last, or to where the run is asked to end; how many are done."""
        done = start
        try:
            while done < self.total and not self.session.stop.is_set:
                self.evaluator.begin(done)
                self.flights.append(await self._send(done))
                done += 1
                if len(self.flights) == UNDER_WAY:
                    await self._land(draw)
        except (DataError, ImageError, RenderError):  # no photos; of this step nothing was sent
            await self._land_all(draw)
            self.session.view.say(await self.keeper.rescue(done))
            raise
        await self._land_all(draw)
        if done < self.total:
            await self.keeper.catch_up(done)
        return done

    async def _send(self, step: int) -> _Flight:
        """Submits a step, and whatever is to be of the weights before and after it."""
        self.session.directory.beat("training", step)
        began_s = time.monotonic()
        batch = await self._batch(step)
        held_out = await self.reading[None] if self._nll_is_due(step) else None
        self.clock.waited_s += time.monotonic() - began_s
        nll = self.trainer.forward(held_out.datums, LOSS) if held_out is not None else None
        pending = await self._submit(step, batch)
        saving = self.keeper.begin(step + 1) if self.keeper.is_due(step + 1) else None
        return _Flight(step, batch, pending, nll, saving, time.monotonic())

    async def _submit(self, step: int, batch: Batch) -> PendingStep | None:
        """Sends a batch; not one without photos, which a resume would only come to again.

        Raises:
            DataError: it was the last of too many.
        """
        if batch.datums:
            self.broken_in_a_row = 0
            return await self.trainer.submit(
                batch.datums, LOSS, adam_params(self.config, step, self.total)
            )
        self.broken_in_a_row += len(batch.lost)
        if self.broken_in_a_row >= BROKEN_AT_MOST:
            raise none_could_be_had(batch.lost)
        sentence = f"Step {step} trains nothing: not one of its photos can be read."
        self.session.directory.log(sentence, level="WARNING")
        self.session.view.warn(sentence)
        return None

    async def _land_all(self, draw: Draw) -> None:
        while self.flights:
            await self._land(draw)

    async def _land(self, draw: Draw) -> None:
        """Waits for the oldest step under way, and writes down what it was."""
        # One of them until it is down, so that none is forgotten on the way.
        flight = self.flights[0]
        try:
            outcome = await flight.pending.result() if flight.pending is not None else None
            nll = await self._nll(flight.nll) if flight.nll is not None else {}
        except DivergedError as error:
            raise await self._diverged(error, flight) from error
        self.tokens += TokenCounts(train=flight.batch.positions)
        self.lost += len(flight.batch.lost)
        for reason in flight.batch.lost:
            self.session.directory.log(f"Photo lost: {reason}", level="WARNING")
        row = self._row(flight, outcome) | nll
        self.session.directory.metrics(flight.step, row)
        self.figures |= row
        draw(flight.step + 1, self._shown())
        if flight.saving is not None:
            self.session.directory.beat("saving", flight.step + 1)
            await flight.saving
        self.flights.popleft()

    async def _diverged(self, error: DivergedError, flight: _Flight) -> DivergedError:
        """What the run ends with. The steps behind have been sent; one that was done is in the weights."""
        behind = [
            one.pending.result()
            for one in self.flights
            if one is not flight and one.pending is not None
        ]
        ends = await asyncio.gather(*behind, return_exceptions=True)
        if not all(isinstance(one, DivergedError) and one.weights_intact for one in ends):
            error = DivergedError(error.message, error.advice)
        return await self.keeper.set_aside(error, flight.step)

    def _batch(self, step: int) -> "asyncio.Task[Batch]":
        """The batch of a step; that of the step after it begins to be read."""
        for wanted in (step, step + 1):
            if wanted not in self.reading and wanted < self.total:
                indices = self.order.batch(wanted, self.config.batch_size)
                samples = [self.data.samples[index] for index in indices]
                self.reading[wanted] = asyncio.create_task(self.maker.batch(samples))
        return self.reading.pop(step)

    async def _measure_end(self) -> bool:
        """Test NLL and evaluation of the weights after the last step; False where it was stopped."""
        self.session.directory.beat("evaluating", self.total)
        self.evaluator.begin(self.total)
        if self.evaluator.is_due(self.total):
            self.session.view.say("Training is done; its last evaluation is under way.")
        if None in self.reading:
            held_out = await self.reading[None]
            row = await self._nll(self.trainer.forward(held_out.datums, LOSS))
            self.session.directory.metrics(self.total, row)
            self.figures |= row
        return await self.session.stop.unless(self.evaluator.finish())

    async def _held_out(self) -> Batch:
        """The photos of the test NLL.

        Raises:
            DataError: not one can be had.
        """
        batch = await self.maker.batch(list(self.data.held_out))
        if not batch.datums:
            raise none_could_be_had(batch.lost)
        return batch

    def _nll_is_due(self, step: int) -> bool:
        return None in self.reading and step % self.config.nll_every == 0

    async def _nll(self, computing: "Awaitable[StepOutcome]") -> dict[str, float]:
        held_out = await self.reading[None]
        self.tokens += TokenCounts(prefill=held_out.positions)
        try:
            return {"test/nll": (await computing).loss_sum}
        except DivergedError as error:  # it was of weights that a step has changed since
            raise DivergedError(error.message, error.advice) from error

    def _row(self, flight: _Flight, outcome: StepOutcome | None) -> dict[str, float]:
        """Figures of a step, under the names that tinker-cookbook gives them."""
        step, batch = flight.step, flight.batch
        row: dict[str, float] = {
            "epoch": step * self.config.batch_size // len(self.data.samples),
            "progress": (step + 1) / self.total,
            "learning_rate": learning_rate(self.config, step, self.total),
            "num_sequences": len(batch.datums),
            "num_tokens": batch.positions,
            "num_loss_tokens": batch.answer_tokens,
            "photos/lost": self.lost,
        }
        if outcome is not None:
            row["train_mean_nll"] = outcome.loss_sum
        if outcome is not None and outcome.grad_norm is not None:
            row["optim/grad_norm"] = outcome.grad_norm
        return (
            row | cost_figures(self.tokens, Prices.of(self.config)) | self.clock.row(flight.sent_s)
        )

    def _loop_state(self) -> dict[str, Any]:
        """What a checkpoint's row says of the loop; the rest follows from the number of steps."""
        return {
            "tokens": self.tokens.to_json(),
            "lost": self.lost,
            "fingerprint": self.data.fingerprint,
        }

    def _shown(self) -> Shown:
        figures = self.figures | self.evaluator.latest
        if not self.lost:
            del figures["photos/lost"]
        return shown(figures, _SHOWN)

    def _opening_words(self, start: int) -> str:
        rank, config = self.trainer.lora_rank, self.config
        what = f"a LoRA of rank {rank}" if rank else "all weights"
        at = f", from step {start} on" if start else ""
        return (
            f"Training {what} of {self.trainer.model_name} on {len(self.data.samples):,} photos of "
            f"{config.hf_repo}: {self.total} steps of {config.batch_size}{at}. "
            f"Run directory: {self.session.directory.path}"
        )


_SHOWN: Final[Forms] = {
    "train_mean_nll": ("NLL", "{:.3f}"),
    "test/nll": ("test NLL", "{:.3f}"),
    "learning_rate": ("rate", "{:.1e}"),
    "eval/geoscore": ("GeoScore", "{:.0f}"),
    "eval/median_km": ("median", "{:,.0f} km"),
    "eval/acc_25km": ("within 25 km", "{:.1%}"),
    "photos/lost": ("photos lost", "{:.0f}"),
    "tokens/train": ("trained tokens", "{:,.0f}"),
    "cost/usd": ("cost", "{:.2f} USD"),
}
