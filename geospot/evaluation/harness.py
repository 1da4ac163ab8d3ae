"""Asks about every sample that is still open, and hands over one record for each that is settled.

Reading images, waiting for a place, asking, retrying and judging happen here, for many samples at
once; what is asked, where records go and what a person sees is decided elsewhere.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from geospot.data.dataset import GeoDataset
from geospot.data.sample import GeoSample
from geospot.errors import BackendError, GeospotError, ImageError, SourceUnavailableError
from geospot.evaluation.backend import Backend, BackendFault, Question, Reply
from geospot.evaluation.budget import CostCap, RatePacer
from geospot.evaluation.judge import judge, unanswered
from geospot.evaluation.limiter import AdaptiveLimiter, ClosedError, Ticket
from geospot.evaluation.records import SampleRecord
from geospot.evaluation.report import dollars
from geospot.images import PreparedImage, prepare_image
from geospot.outcomes import Outcome
from geospot.prompts import Prompt

_READ_AHEAD: Final = 16
_READERS: Final = 8

_LONG_ANSWER: Final = 50_000

_OUTCOME_OF_FAULT: Final = {
    "image": Outcome.IMAGE_ERROR,
    "missing": Outcome.MISSING,
    "permanent": Outcome.TRANSPORT_ERROR,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How hard the backend is asked. Times in seconds."""

    concurrency: int = 64
    rpm: float | None = None
    tpm: float | None = None
    max_retries: int = 6
    max_image_size: int | None = 2048
    max_tokens: int = 4096
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0
    patience_s: float = 600.0
    """How long one sample waits while it meets nothing but rate limits."""
    retry_after_max_s: float = 900.0
    """A server that asks for a longer pause ends the run; it can be resumed."""
    dead_after: int = 20
    """So many samples in a row given up, and none answered between: the server is gone."""


@dataclass(slots=True)
class Stats:
    """The run so far, for whoever shows it."""

    total: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    geoscore_sum: float = 0.0
    spent_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cut_off: int = 0
    """Answers that ended at the token limit before their coordinates."""
    waiting_for: str = ""

    @property
    def done(self) -> int:
        """Answers settled, failures among them."""
        return self.outcomes.total()

    def add(self, record: SampleRecord) -> None:
        """Counts one record."""
        self.outcomes[str(record.outcome)] += 1
        self.geoscore_sum += record.geoscore
        self.cut_off += record.note == "length"
        self.input_tokens += record.usage.get("input_tokens", 0)
        self.output_tokens += record.usage.get("output_tokens", 0)


class Harness:
    """One session of asking.

    Args:
        on_record: called once for each settled sample; when it returns, the record is safe.
        on_event: called for each retry and halving, with a name and details.
        pacer: of whoever asks in several sessions, and keeps to one rate over all of them.
    """

    def __init__(
        self,
        backend: Backend,
        dataset: GeoDataset,
        prompt: Prompt,
        settings: Settings,
        *,
        on_record: Callable[[SampleRecord], None],
        on_event: Callable[..., None],
        cost: CostCap,
        stats: Stats,
        pacer: RatePacer | None = None,
    ) -> None:
        self.stats = stats
        self.limiter = AdaptiveLimiter(settings.concurrency)
        self.stopped_by: str | None = None
        self.is_spent = False
        """Whether the cost limit is what stopped it."""
        self.failure: GeospotError | None = None
        self._backend = backend
        self._dataset = dataset
        self._prompt = prompt
        self._settings = settings
        self._on_record = on_record
        self._on_event = on_event
        self._cost = cost
        self._pacer = pacer or make_pacer(prompt, settings)
        self._stop = asyncio.Event()
        self._given_up_in_a_row = 0
        self._under_way = 0
        self._bug: BaseException | None = None
        self._room = asyncio.Semaphore(settings.concurrency + _READ_AHEAD)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="geospot-image")
        # Jitter only spreads retries in time; it needn't be repeatable.
        self._jitter = random.Random()

    async def run(self, pending: Iterable[tuple[GeoSample, int]]) -> None:
        """Asks about each (sample, draw) until done or stopped; see `stopped_by` and `failure`.

        Raises:
            Exception: a bug, ours or a plug-in's, once everything under way has ended.
        """
        tasks: set[asyncio.Task[None]] = set()
        try:
            for sample, draw in pending:
                await self._room.acquire()
                if self._stop.is_set():
                    break
                task = asyncio.create_task(self._settle(sample, draw))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                task.add_done_callback(self._settled)
            while tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            self._readers.shutdown(wait=False, cancel_futures=True)
        if self._bug is not None:
            raise self._bug

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._room.release()
        if not task.cancelled() and task.exception() is not None:
            self._bug = self._bug or task.exception()
            self.stop("of a bug")

    def stop(self, reason: str) -> None:
        """Admits nothing more. Requests under way are waited for and kept."""
        if self.stopped_by is None:
            self.stopped_by = reason
        self._stop.set()
        self.limiter.close()
        self._room.release()  # the loop in `run` may be waiting for room

    async def _settle(self, sample: GeoSample, draw: int) -> None:
        """One sample from image to record; leaves none if the run stops before it was answered."""
        try:
            await self._locate(sample, draw)
        except ClosedError:
            return
        except GeospotError as error:  # the key was revoked, the disk is full: nothing will work
            self.failure = self.failure or error
            self.stop(error.message)

    async def _locate(self, sample: GeoSample, draw: int) -> None:
        image = None
        try:
            if self._backend.needs_image:
                image = await self._read_image(sample)
        except ImageError as error:
            self._keep(unanswered(sample, Outcome.IMAGE_ERROR, str(error), draw=draw))
            return
        except SourceUnavailableError as error:
            tries = self._settings.max_retries + 1
            self._give_up(sample, draw, str(error), attempts=tries, latency_s=0.0)
            return
        await self._ask(sample, draw, Question(sample.id, draw, self._prompt, image))

    async def _ask(self, sample: GeoSample, draw: int, question: Question) -> None:
        began = time.monotonic()
        attempts = transient = limited = 0
        while True:
            ticket = await self._turn()
            if not self._cost.allows(self._under_way):
                self.limiter.failed()
                self.is_spent = self.is_spent or self.stopped_by is None
                self.stop(all_spent(self._cost))
                raise ClosedError
            attempts += 1
            sent = time.monotonic()
            try:
                reply = await self._request(question, ticket)
            except BackendFault as fault:
                limited += fault.kind == "rate_limit"
                transient += fault.kind == "transient"
                tired = time.monotonic() - began > self._settings.patience_s
                over = (
                    fault.kind in _OUTCOME_OF_FAULT
                    or transient > self._settings.max_retries
                    or (fault.kind == "rate_limit" and tired)
                )
                self._count_fault(fault, sample, draw, attempts)
                if over:
                    self._close_faulty(
                        fault, sample, draw, attempts=attempts, latency_s=time.monotonic() - sent
                    )
                    return
                await self._sleep(self._backoff_s(fault, limited, transient))
                continue
            latency_s = time.monotonic() - sent
            judged = partial(
                judge, sample, reply, draw=draw, latency_s=latency_s, attempts=attempts
            )
            # A hostile answer of megabytes takes seconds to read; the others mustn't wait for it.
            long = len(reply.text) > _LONG_ANSWER
            self._keep(await asyncio.to_thread(judged) if long else judged())
            return

    async def _turn(self) -> Ticket:
        """A place among the requests under way, at a moment that rate limits and pauses allow."""
        ticket = await self.limiter.acquire()
        try:
            await self._sleep(self._pacer.book())
            while self.limiter.paused_s > 0.0:  # a pause that began while this one was waiting
                await self._sleep(self.limiter.paused_s)
                await self._sleep(self._pacer.book())
        except BaseException:
            self.limiter.failed()
            raise
        return ticket

    async def _request(self, question: Question, ticket: Ticket) -> Reply:
        """One request; tells the limiter how it went."""
        self._under_way += 1
        try:
            reply = await self._backend.ask(question)
        except BackendFault as fault:
            if fault.kind != "rate_limit":
                self.limiter.failed()
                raise
            if (fault.retry_after_s or 0.0) > self._settings.retry_after_max_s:
                self.limiter.failed()
                raise BackendError(
                    f"The server asks for a pause of {fault.retry_after_s:,.0f} s ({fault.message}).",
                    "Run the same command again after that; nothing is lost.",
                ) from None
            self.limiter.refused(ticket, fault.retry_after_s)
            raise
        except BaseException:
            self.limiter.failed()
            raise
        finally:
            self._under_way -= 1
        self.limiter.succeeded(ticket)
        self._pacer.used(reply.usage.input_tokens + reply.usage.output_tokens)
        return reply

    async def _read_image(self, sample: GeoSample) -> PreparedImage:
        """The image, read and prepared in a thread; a source that doesn't answer is asked again."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            if self._stop.is_set():
                raise ClosedError
            try:
                return await loop.run_in_executor(self._readers, self._load, sample)
            except SourceUnavailableError as error:
                attempt += 1
                self.stats.faults["source"] += 1
                self._event("fault", sample, 0, attempt, kind="source", message=str(error))
                if attempt > self._settings.max_retries:
                    raise
            await self._sleep(self._jittered_s(attempt))

    def _load(self, sample: GeoSample) -> PreparedImage:
        return prepare_image(self._dataset.read_image(sample), self._settings.max_image_size)

    def _keep(self, record: SampleRecord) -> None:
        if self._cost.is_limited and record.text and not any(record.usage.values()):
            self.stop("the server counts no tokens, so --max-cost can't be kept")
        self._cost.spend(record.usage)
        self.stats.spent_usd = self._cost.spent_usd
        self._on_record(record)
        self.stats.add(record)
        # An image that was broken before it was sent says nothing of the server.
        if record.outcome is not Outcome.TRANSPORT_ERROR and record.attempts:
            self._given_up_in_a_row = 0

    def _close_faulty(
        self,
        fault: BackendFault,
        sample: GeoSample,
        draw: int,
        *,
        attempts: int,
        latency_s: float,
    ) -> None:
        outcome = _OUTCOME_OF_FAULT.get(fault.kind, Outcome.TRANSPORT_ERROR)
        if outcome is Outcome.TRANSPORT_ERROR:
            self._give_up(sample, draw, fault.message, attempts=attempts, latency_s=latency_s)
            return
        self._keep(
            unanswered(
                sample, outcome, fault.message, draw=draw, latency_s=latency_s, attempts=attempts
            )
        )

    def _give_up(
        self, sample: GeoSample, draw: int, reason: str, *, attempts: int, latency_s: float
    ) -> None:
        self._keep(
            unanswered(
                sample,
                Outcome.TRANSPORT_ERROR,
                reason,
                draw=draw,
                attempts=attempts,
                latency_s=latency_s,
            )
        )
        self._given_up_in_a_row += 1
        if self._given_up_in_a_row >= self._settings.dead_after:
            self.stop(nobody_answers(self._settings))

    def _count_fault(self, fault: BackendFault, sample: GeoSample, draw: int, attempt: int) -> None:
        self.stats.faults[fault.label] += 1
        self._event(
            "fault",
            sample,
            draw,
            attempt,
            kind=fault.kind,
            label=fault.label,
            message=fault.message,
            retry_after_s=fault.retry_after_s,
            window=int(self.limiter.window),
        )

    def _event(self, name: str, sample: GeoSample, draw: int, attempt: int, **more: Any) -> None:
        self._on_event(name, id=sample.id, draw=draw, attempt=attempt, **more)

    def _backoff_s(self, fault: BackendFault, limited: int, transient: int) -> float:
        """Never less than the server asks for, and never less than our own patience either."""
        own_s = self._jittered_s(limited if fault.kind == "rate_limit" else transient)
        return max(own_s, fault.retry_after_s or 0.0)

    def _jittered_s(self, failures: int) -> float:
        """Exponential backoff with equal jitter."""
        ceiling = min(
            self._settings.backoff_s * 2 ** max(failures - 1, 0), self._settings.backoff_max_s
        )
        return self._jitter.uniform(ceiling / 2.0, ceiling)

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, but not beyond a stop."""
        if seconds <= 0.0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return
        raise ClosedError


def all_spent(cost: CostCap) -> str:
    """Why nothing more is asked, where the cost limit is the reason."""
    return f"the cost limit is reached: {dollars(cost.spent_usd)} are spent"


def nobody_answers(settings: Settings) -> str:
    """Why nothing more is asked, where the server is gone."""
    return f"{settings.dead_after} samples in a row got no answer"


def make_pacer(prompt: Prompt, settings: Settings) -> RatePacer:
    """Keeps to the settings' rates; until usage is known a request is text, a photo, and an answer."""
    guess = len(prompt.text) / 4.0 + 800.0 + min(settings.max_tokens, 256)
    return RatePacer(settings.rpm, settings.tpm, tokens_guess=guess)
