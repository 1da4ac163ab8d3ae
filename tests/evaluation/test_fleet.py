"""Several workers, as far as they need no cluster: limits shared, shards, and one worker in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from geospot.config.evaluation import EvalConfig
from geospot.config.load import build
from geospot.errors import UsageError
from geospot.evaluation.budget import CostCap, RatePacer
from geospot.evaluation.fleet import Fleet, shards, until_ready
from geospot.evaluation.fleet_worker import End, Order, Question, ShardWorker, share_of
from geospot.evaluation.harness import Settings, Stats
from geospot.evaluation.opening import open_selection
from geospot.prompts import load_prompt
from tests.support.vlm_server import VlmServer

PHOTOS = 40


def test_an_address_without_the_engine_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="ray-address goes with engine ray"):
        build(EvalConfig, {"ray_address": "auto"})


def test_an_address_through_which_no_answer_comes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Ray Client.*ray job submit"):
        build(EvalConfig, {"engine": "ray", "ray_address": "ray://127.0.0.1:10001"})


def test_a_worker_that_never_begins_is_told_of_and_given_up_with_the_last_question() -> None:
    told: list[int] = []

    async def wait_for(begins_after: int | None, ends_after: int) -> str | None:
        """The cluster begins it, and everything else is done, after it was told of so many times."""
        coming: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def tell() -> None:
            told.append(len(told))
            if len(told) == begins_after:
                coming.set_result("ready")

        return await until_ready(
            coming, lambda: len(told) < ends_after, tell, glance_s=0.001, patience_s=0.003
        )

    assert asyncio.run(wait_for(begins_after=2, ends_after=9)) == "ready"
    assert len(told) == 2
    told.clear()
    assert asyncio.run(wait_for(begins_after=None, ends_after=3)) is None
    assert len(told) == 3


@pytest.mark.parametrize("begin", [1, 0])
def test_questions_do_not_wait_for_a_worker_that_never_begins(
    monkeypatch: pytest.MonkeyPatch, begin: int
) -> None:
    """Of two workers one begins, and answers all; or none does, and the person ends the waiting."""
    kept: list[str] = []
    ray = _Cluster(begin)

    def connect(*_: object) -> _Cluster:
        return ray

    monkeypatch.setattr("geospot.evaluation.fleet.connect", connect)

    async def asked(server: VlmServer) -> Fleet:
        fleet = Fleet(
            _order(server, Settings()), workers=2, address=None, cost=CostCap(None),
            stats=Stats(total=PHOTOS), on_record=lambda record: kept.append(record.id),
            on_event=_unheard, tell=_unheard,
        )  # fmt: skip
        running = asyncio.create_task(fleet.run([(at, 0) for at in range(PHOTOS)]))
        if not begin:
            asyncio.get_running_loop().call_later(0.1, fleet.stop, "interrupted")
        await asyncio.wait_for(running, 60.0)
        return fleet

    with VlmServer() as server:
        fleet = asyncio.run(asked(server))
    assert len(set(kept)) == len(kept) == (PHOTOS if begin else 0)
    assert fleet.stopped_by == (None if begin else "interrupted")
    assert fleet.failure is None
    assert ray.killed == 2 - begin


def test_limits_are_shared() -> None:
    whole = Settings(concurrency=10, rpm=60.0, tpm=None)
    parts = [share_of(whole, 3, which) for which in range(3)]
    assert [part.concurrency for part in parts] == [4, 3, 3]
    assert {part.rpm for part in parts} == {20.0}
    assert {part.tpm for part in parts} == {None}
    assert share_of(Settings(concurrency=1), 8, 7).concurrency == 1


def test_a_worker_keeps_its_rate_from_one_shard_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits_s: list[float] = []
    is_booked = asyncio.Event()
    book = RatePacer.book

    def noted(pacer: RatePacer) -> float:
        waits_s.append(book(pacer))
        if len(waits_s) == 2:
            is_booked.set()
        return waits_s[-1]

    monkeypatch.setattr(RatePacer, "book", noted)

    async def two_shards(worker: ShardWorker) -> None:
        await worker.prepare()
        await _end_of(worker, [(0, 0)])
        second = asyncio.create_task(_end_of(worker, [(1, 0)]))
        await is_booked.wait()
        await worker.stop("enough")
        await second

    with VlmServer() as server:
        asyncio.run(two_shards(_worker(server, Settings(rpm=0.01))))
    assert waits_s[0] == 0.0
    assert waits_s[1] > 5_000.0  # a request in a hundred minutes
    assert server.log.questions == 1


def test_a_worker_says_whether_its_share_of_the_dollars_was_spent() -> None:
    async def ends(worker: ShardWorker) -> list[End]:
        await worker.prepare()
        shard = [(at, 0) for at in range(PHOTOS)]
        return [
            await _end_of(worker, shard, 3.0),
            await _end_of(worker, shard, 3.0, 3.5),  # an answer costs more than its share
            await _end_of(worker, shard[:2]),
        ]

    prices = {"price_in": 1000.0, "price_out": 2500.0}  # one dollar an answer
    with VlmServer() as server:
        worker = _worker(server, Settings(concurrency=1), max_cost=9.0, **prices)
        first, second, third = asyncio.run(ends(worker))
        assert server.log.questions == 3 + 2
    assert [first.is_spent, second.is_spent, third.is_spent] == [True, True, False]
    assert third.stopped_by is None


def test_shards_hold_every_question_once_and_are_small_at_the_end() -> None:
    questions = [(at, draw) for at in range(333) for draw in range(2)]
    dealt = shards(questions, 8)
    assert [question for shard in dealt for question in shard] == questions
    assert max(map(len, dealt)) <= 21
    assert max(map(len, shards(questions * 50, 2))) == 256
    assert shards([], 4) == []


def _unheard(*_: Any, **__: Any) -> None:
    """What is told to nobody."""


class _Optional:
    """What is called by `remote`, with options or without."""

    def __init__(self, remote: Callable[..., Any]) -> None:
        self.remote = remote

    def options(self, **_: Any) -> "_Optional":
        """The same: they are for a scheduler."""
        return self


class _Cluster:
    """What `Fleet` uses of Ray, with real workers in this process, of which only the first so many begin."""

    exceptions = SimpleNamespace(RayActorError=ConnectionError, RayTaskError=RuntimeError)

    def __init__(self, begin: int) -> None:
        self.killed = 0
        self._left = begin

    def remote(self, _: type[ShardWorker]) -> Any:
        """What makes workers."""
        return _Optional(self._place)

    def kill(self, _: object) -> None:
        """A worker is given up."""
        self.killed += 1

    def shutdown(self) -> None:
        """The end."""

    def _place(self, order: Order) -> Any:
        worker, self._left = ShardWorker(order), self._left - 1
        never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        begins = self._left >= 0

        async def answered(*asked: Any) -> AsyncIterator[asyncio.Future[Any]]:
            async for messages in worker.answer(*asked):
                given: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                given.set_result(messages)
                yield given

        return SimpleNamespace(
            prepare=SimpleNamespace(remote=lambda: worker.prepare() if begins else never),
            answer=_Optional(answered),
            stop=_Optional(_unheard),
        )


def _order(server: VlmServer, settings: Settings, **more: Any) -> Order:
    where = {"model": "some-vlm", "base_url": server.base_url, "dataset": "world", "limit": PHOTOS}
    config = build(EvalConfig, where, more)
    dataset, selection = open_selection(config)
    dataset.close()
    return Order(config, load_prompt("five-lines"), selection.fingerprint, settings)


def _worker(server: VlmServer, settings: Settings, **more: Any) -> ShardWorker:
    """One in this process."""
    return ShardWorker(_order(server, settings, **more))


async def _end_of(
    worker: ShardWorker,
    shard: Sequence[Question],
    max_cost_usd: float | None = None,
    expected_usd: float = 0.0,
) -> End:
    """Has a shard answered."""
    *_, last = [
        message
        async for some in worker.answer(shard, max_cost_usd, expected_usd)
        for message in some
    ]
    assert isinstance(last, End)
    return last
