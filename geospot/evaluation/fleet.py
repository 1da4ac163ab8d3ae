"""Several workers answer one selection: `geospot eval --engine ray`.

The program that was started keeps everything: which questions are open, the result directory, what may be
spent. It deals the open questions out in shards; each worker (an actor on a Ray cluster, so on any of its
machines) asks with its own part of the rate limits and hands over records as they come. A worker that
dies costs nothing that it had handed over: the rest of its shard is dealt again. So the directory is the
same whatever the number of workers, and can be gone on with by any other.
"""

import asyncio
import importlib
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

from geospot.errors import (
    BackendError,
    GeospotError,
    PluginError,
    UnreachableError,
    refuse_if_exhausted,
)
from geospot.evaluation.budget import CostCap
from geospot.evaluation.fleet_worker import (
    End,
    Event,
    Message,
    Order,
    Question,
    ShardWorker,
    sentence_of,
    share_of,
)
from geospot.evaluation.harness import Stats, all_spent, nobody_answers
from geospot.evaluation.records import SampleRecord
from geospot.outcomes import Outcome
from geospot.textsafe import printable

_T = TypeVar("_T")

_SMALLEST: Final = 8
_LARGEST: Final = 256
_SHARDS_A_WORKER: Final = 4
"""So many shards for each worker, where there are questions enough: the last to end is waited for."""

_KNOCK_S: Final = 7.0
_LOOK_S: Final = 5.0
_GLANCE_S: Final = 1.0
_PATIENCE_S: Final = 30.0
"""A worker that has a machine is mostly ready in this time."""

_LOOPBACK_ONLY: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""At 0 Ray listens on the loopback interface alone, as it does on the systems of this name."""

_DEATHS: Final = 3
"""So many workers in a row that died without a single record: it is not chance."""


class FleetGauge:
    """How many questions are under way, for the display; waits are the workers' own business."""

    def __init__(self, upper: int) -> None:
        self.window = float(upper)
        self.in_flight = 0
        self.paused_s = 0.0


class Fleet:
    """One session of asking by several workers; to its caller it is what `Harness` is.

    Args:
        order: what is asked, how; its settings hold the limits of all workers together.
        workers: how many.
        address: of a Ray cluster; None starts one on this machine, which ends with the session.
        on_record, on_event, cost, stats: as for `Harness`.
        tell: is told in sentences what takes long, and of workers that died.
    """

    def __init__(
        self,
        order: Order,
        *,
        workers: int,
        address: str | None,
        on_record: Callable[[SampleRecord], None],
        on_event: Callable[..., None],
        cost: CostCap,
        stats: Stats,
        tell: Callable[[str], None],
    ) -> None:
        self.stats = stats
        self.limiter = FleetGauge(order.settings.concurrency)
        self.stopped_by: str | None = None
        self.failure: GeospotError | None = None
        self.described: dict[str, Any] = {}
        """What a worker's backend says of itself."""
        self._order = order
        self._workers = workers
        self._address = address
        self._on_record = on_record
        self._on_event = on_event
        self._cost = cost
        self._tell = tell
        self._shards: deque[list[Question]] = deque()
        self._hired: dict[int, Any] = {}
        self._deaths_in_a_row = 0
        self._given_up_in_a_row = 0
        self._is_told_of_waiting = False
        self._ray: Any = None

    async def run(self, pending: Iterable[Question]) -> None:
        """Asks everything that is open until done or stopped; see `stopped_by` and `failure`.

        Raises:
            PluginError: Ray isn't installed.
            UnreachableError: there is no cluster at the address.
        """
        questions = list(pending)
        self._shards.extend(shards(questions, self._workers))
        self._workers = min(self._workers, len(self._shards))
        self._tell(
            f"Starting {self._workers} workers on "
            f"{f'the Ray cluster at {self._address}' if self._address else 'a Ray cluster of this machine'}."
        )
        self._ray = await asyncio.to_thread(connect, self._address, self._workers)
        try:
            async with asyncio.TaskGroup() as group:
                work = [group.create_task(self._work(which)) for which in range(self._workers)]
                watch = group.create_task(_watch_files())
                for one in work:
                    await asyncio.wait([one])
                watch.cancel()
        except* GeospotError as errors:  # nothing will work: the disk is full, a worker can't begin
            first = errors.exceptions[0]
            assert isinstance(first, GeospotError)  # noqa: S101 - tasks raise no groups
            self.failure = first
            self.stop(first.message)
        finally:
            self._hired.clear()
            await asyncio.to_thread(self._ray.shutdown)

    def stop(self, reason: str) -> None:
        """Deals nothing more. Questions under way are waited for and kept."""
        if self.stopped_by is None:
            self.stopped_by = reason
        self._shards.clear()
        for worker in self._hired.values():
            worker.stop.remote(reason)

    async def _work(self, which: int) -> None:
        """One worker, and whoever takes its place when it dies, until nothing is left to deal."""
        while self._shards and self.stopped_by is None:
            open_: dict[Question, None] = {}
            try:
                worker = self._hired.get(which) or await self._hire(which)
                if worker is None or not self._shards:
                    return  # others were ready sooner and have taken all
                open_ |= dict.fromkeys(self._shards.popleft())
                self.limiter.in_flight += len(open_)
                end = await self._answered(worker, open_)
            except self._ray.exceptions.RayActorError as error:
                self._hired.pop(which, None)
                self._bury(which, open_, error)
                continue
            finally:
                self.limiter.in_flight -= len(open_)
            self._close(end, open_)

    async def _answered(self, worker: Any, open_: dict[Question, None]) -> End:
        """Has a shard answered; takes each question out of `open_` as its record comes."""
        asked = list(open_), self._cost.left_usd(self._workers), self._cost.average_usd
        answers = worker.answer.options(num_returns="streaming").remote(*asked)
        end = End()
        async for answer in answers:
            for message in await answer:
                end = self._take(message, open_) or end
        return end

    async def _hire(self, which: int) -> Any:
        """A worker that is ready, in place `which`; None where it isn't before nothing is left to deal."""
        settings = share_of(self._order.settings, self._workers, which)
        order = Order(self._order.config, self._order.prompt, self._order.fingerprint, settings)
        # Without num_cpus an actor goes to a machine that has cores, free or not, and holds none: workers
        # mostly wait, and with one core each those beyond a cluster's cores would wait for ever.
        actor = self._ray.remote(ShardWorker).options(
            max_concurrency=8, scheduling_strategy="SPREAD"
        )
        worker = actor.remote(order)
        try:
            described = await until_ready(
                worker.prepare.remote(), lambda: bool(self._shards), self._tell_of_waiting
            )
        except self._ray.exceptions.RayTaskError as error:
            told = sentence_of(error)
            if told is None:
                raise
            raise told from None
        if described is None:
            self._ray.kill(worker)
            return None
        self.described = described
        self._hired[which] = worker
        return worker

    def _tell_of_waiting(self) -> None:
        """Once for all workers: a cluster that grows when it is asked takes minutes to have a machine."""
        if not self._is_told_of_waiting:
            self._is_told_of_waiting = True
            self._tell(
                f"A worker isn't ready after {_PATIENCE_S:.0f} s. It is still opening the data set, or the "
                "cluster has no machine with a core yet (`ray status` shows it). Others don't wait for it; "
                "ctrl+c ends the waiting, and nothing is lost."
            )

    def _take(self, message: Message, open_: dict[Question, None]) -> End | None:
        if isinstance(message, End):
            return message
        if isinstance(message, Event):
            if message.name == "fault":
                self.stats.faults[str(message.details["label"])] += 1
            self._on_event(message.name, **message.details)
            return None
        if open_.pop(message.question, self) is self:
            return None  # it can't be: nobody else was asked this
        self.limiter.in_flight -= 1
        self._keep(message.record)
        return None

    def _keep(self, record: SampleRecord) -> None:
        self._cost.spend(record.usage)
        self.stats.spent_usd = self._cost.spent_usd
        self._on_record(record)
        self.stats.add(record)
        self._deaths_in_a_row = 0
        if record.outcome is Outcome.TRANSPORT_ERROR:  # a shard may be too short to see it
            self._given_up_in_a_row += 1
            if self._given_up_in_a_row >= self._order.settings.dead_after:
                self.stop(nobody_answers(self._order.settings))
        elif record.attempts:
            self._given_up_in_a_row = 0

    def _close(self, end: End, open_: dict[Question, None]) -> None:
        """What the end of a shard means: nothing, the end of all, or that its rest is dealt again."""
        if end.failure is not None:
            self.failure = self.failure or BackendError(*end.failure)
            self.stop(end.failure[0])
        elif end.stopped_by is None or self.stopped_by is not None:
            return
        elif not end.is_spent:
            self.stop(end.stopped_by)
        elif open_ and self._cost.allows(self._workers):
            self._shards.append(list(open_))  # others have left some of their shares
        else:
            self.stop(all_spent(self._cost))

    def _bury(self, which: int, open_: dict[Question, None], error: Exception) -> None:
        """A worker died: what it hadn't answered is dealt again."""
        self._deaths_in_a_row += 1
        self._on_event("worker_lost", worker=which, open=len(open_), message=str(error))
        if self._deaths_in_a_row >= _DEATHS:
            self.failure = BackendError(
                f"{_DEATHS} workers in a row died before they answered anything.",
                "Ray's own logs say why: is there memory enough? Nothing that was answered is lost.",
            )
            self.stop(self.failure.message)
            return
        if self.stopped_by is None and open_:
            self._tell(f"A worker died; its {len(open_)} open questions are asked by another.")
            self._shards.appendleft(list(open_))


async def until_ready(
    coming: Awaitable[_T],
    is_wanted: Callable[[], bool],
    tell_of_waiting: Callable[[], None],
    *,
    glance_s: float = _GLANCE_S,
    patience_s: float = _PATIENCE_S,
) -> _T | None:
    """What comes; None if it isn't there when it is no longer wanted.

    Args:
        tell_of_waiting: called whenever it has taken so long again.
        glance_s: seconds after which is looked whether it is wanted still.
    """
    future = asyncio.ensure_future(coming)
    waited_s = 0.0
    while not (await asyncio.wait([future], timeout=glance_s))[0]:
        if not is_wanted():
            future.cancel()
            return None
        waited_s += glance_s
        if waited_s >= patience_s:
            waited_s = 0.0
            tell_of_waiting()
    return future.result()


async def _watch_files() -> None:
    """Ends by an error once this process can open no more files: Ray would wait for ever, and not say so.

    Raises:
        ExhaustedError: it can't.
    """
    while True:
        await asyncio.sleep(_LOOK_S)
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            refuse_if_exhausted(error)
            raise


def shards(questions: list[Question], workers: int) -> list[list[Question]]:
    """The questions in order, in portions so small that no worker is waited for long at the end."""
    size = -(-len(questions) // (workers * _SHARDS_A_WORKER)) if questions else 1
    size = min(max(size, _SMALLEST), _LARGEST)
    return [questions[start : start + size] for start in range(0, len(questions), size)]


def connect(address: str | None, workers: int) -> Any:
    """Ray, connected to the cluster at the address, or to a new one on this machine.

    Raises:
        PluginError: Ray isn't installed.
        UnreachableError: there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report its use elsewhere
    if address is None:
        os.environ.setdefault(_LOOPBACK_ONLY, "0")
        where: dict[str, Any] = {"address": "local", "num_cpus": workers}
    else:
        _knock(address)
        where = {"address": address}
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise PluginError(
            "--engine ray needs a package that isn't installed: ray.",
            "Install it with `pip install 'geospot-vlm[ray]'`.",
        ) from error
    try:
        ray.init(**where, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address is not None:
            raise UnreachableError(
                f"Ray can't connect to the cluster at {address}: {_first_line(error)}.",
                "Is it one, and of the same version of Ray? A cluster with token authentication wants "
                "RAY_AUTH_MODE=token and its token on this machine (`ray get-auth-token`).",
            ) from error
        raise UnreachableError(
            f"Ray can't be started on this machine: {_first_line(error)}.",
            "Leave --engine out: one process is enough for one machine.",
        ) from error
    return ray


def _first_line(error: Exception) -> str:
    """The gist of what a library says at length."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return printable(lines[0].rstrip(". ")) if lines else type(error).__name__


def _knock(address: str) -> None:
    """Finds out whether anybody listens there; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return  # a word such as auto, which Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address) from error


def _no_cluster(address: str) -> UnreachableError:
    return UnreachableError(
        f"There is no Ray cluster at {address}.",
        "`ray status` shows whether one runs; `ray start --head` starts one.",
    )
