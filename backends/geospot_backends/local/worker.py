"""Who computes when: one thread, jobs in the order of their arrival, sample requests in batches.

A failed job fails alone. Where more than a job fails, as when a native library panics, the worker has
died: it fails whatever waits, and whatever is asked of it later.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from geospot_backends.local.api import Engine, EngineError, SampleRequest, SampleResult
from geospot_backends.local.failures import EngineDiedError

log = logging.getLogger(__name__)

T = TypeVar("T")

QUIET_S: Final = 0.004
"""A batch is closed when no sample request has come for so long: a client that asks about 16 images
needs about a millisecond a request to send them."""
LONGEST_S: Final = 0.06
MAX_SEQUENCES: Final = 1024
"""Sequences that are handed to the engine at once; it may divide them further."""


@dataclass(slots=True)
class _Job:
    run: Callable[[], Any]
    future: "asyncio.Future[Any]"


@dataclass(slots=True)
class _Sampling:
    request: SampleRequest
    future: "asyncio.Future[SampleResult]"


class Worker:
    """Runs the engine in a thread of its own.

    Sample requests that wait while the engine is busy are answered together, and may overtake other
    jobs: a sampler's weights never change. What is cancelled before its turn isn't computed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: deque[_Job | _Sampling] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="geospot-engine")
        self._task: asyncio.Task[None] | None = None
        self._promised: set[asyncio.Future[Any]] = set()
        self._died = asyncio.Event()
        self._death: EngineDiedError | None = None

    def start(self) -> None:
        """Begins to work off the queue."""
        self._task = asyncio.create_task(self._work(), name="geospot-engine-queue")
        self._task.add_done_callback(self._ended)

    async def broken(self) -> EngineDiedError:
        """Returns when the worker has died, and says of what."""
        while self._death is None:
            await self._died.wait()
        return self._death

    async def aclose(self) -> None:
        """Drops what waits, and waits for what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for item in self._queue:
            item.future.cancel()
        self._queue.clear()
        await asyncio.to_thread(self._thread.shutdown)

    def call(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        """Queues a job; its result, or the EngineError that it ended with."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Job(job, future))
        return future

    def sample(self, request: SampleRequest) -> "asyncio.Future[SampleResult]":
        """Queues a sample request."""
        future: asyncio.Future[SampleResult] = asyncio.get_running_loop().create_future()
        self._put(_Sampling(request, future))
        return future

    def _put(self, item: _Job | _Sampling) -> None:
        if self._death is not None:
            item.future.set_exception(self._death)
            return
        self._promised.add(item.future)
        item.future.add_done_callback(self._promised.discard)
        self._queue.append(item)
        self._arrived.set()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        log.critical("The engine has died.", exc_info=error)
        cause = error.cause if isinstance(error, _FatalError) else error
        self._death = EngineDiedError(
            f"the engine has died of {type(cause).__name__}: {cause}; start the server again, and "
            "load the last checkpoint"
        )
        self._queue.clear()
        for future in list(self._promised):
            if not future.done():
                future.set_exception(self._death)
        self._died.set()

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            if isinstance(self._queue[0], _Sampling):
                await self._gather()
                if batch := self._take_batch():
                    await self._answer(batch)
                continue
            job = self._queue.popleft()
            if isinstance(job, _Job) and not job.future.done():
                await self._run(job)

    async def _run(self, job: _Job) -> None:
        outcome = await self._in_thread(job.run)
        if job.future.done():
            return
        if isinstance(outcome, EngineError):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)

    async def _gather(self) -> None:
        """Waits a moment for the rest of what a client is about to send, and reads what is there."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + LONGEST_S
        ahead: set[int] = set()
        while loop.time() < ends_s:
            waiting = len(self._queue)
            began_s = loop.time()
            for item in tuple(self._queue):
                if isinstance(item, _Sampling) and id(item) not in ahead:
                    ahead.add(id(item))
                    await self._in_thread(partial(self._engine.read_ahead, item.request))
            await asyncio.sleep(max(0.0, QUIET_S - (loop.time() - began_s)))
            if len(self._queue) == waiting:
                return

    def _take_batch(self) -> list[_Sampling]:
        batch: list[_Sampling] = []
        rest: deque[_Job | _Sampling] = deque()
        sequences = 0
        for item in self._queue:
            if isinstance(item, _Job):
                rest.append(item)
            elif item.future.done():
                continue
            elif batch and sequences + item.request.num_samples > MAX_SEQUENCES:
                rest.append(item)
            else:
                batch.append(item)
                sequences += item.request.num_samples
        self._queue = rest
        return batch

    async def _answer(self, batch: list[_Sampling]) -> None:
        requests = [item.request for item in batch]
        outcome = await self._in_thread(lambda: self._sample(requests))
        if isinstance(outcome, EngineError):
            if len(batch) > 1:  # something broke: whose fault it is shows when each goes alone
                for item in batch:
                    await self._answer([item])
                return
            outcome = [outcome]
        for item, result in zip(batch, outcome, strict=True):
            if item.future.done():
                continue
            if isinstance(result, EngineError):
                item.future.set_exception(result)
            else:
                item.future.set_result(result)

    def _sample(self, requests: list[SampleRequest]) -> list[SampleResult | EngineError]:
        results = self._engine.sample(requests)
        if len(results) != len(requests):
            raise EngineError(f"{len(results)} answers to {len(requests)} requests")
        return results

    async def _in_thread(self, job: Callable[[], T]) -> T | EngineError:
        outcome = await asyncio.get_running_loop().run_in_executor(self._thread, _guarded, job)
        if isinstance(outcome, _FatalError):
            raise outcome
        return outcome


class _FatalError(Exception):
    """Carries what ended the engine out of its thread: asyncio would stop the event loop for some."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _guarded(job: Callable[[], T]) -> T | EngineError | _FatalError:
    """The job's result, or its failure as an error that can be sent to a client."""
    try:
        return job()
    except EngineError as error:
        return error
    except Exception as error:
        log.exception("An operation of the engine failed.")
        return EngineError(f"the engine failed: {type(error).__name__}: {error}")
    except BaseException as error:
        log.exception("An operation ended the engine.")
        return _FatalError(error)
