"""One of several workers of an evaluation: an actor on a Ray cluster that answers shards of questions.

It opens the data set and the backend itself, keeps its own share of the rate limits, and hands over each
record as soon as it is there. It writes no file: the directory belongs to who sent the questions.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from geospot.config.evaluation import EvalConfig
from geospot.errors import DataError, GeospotError
from geospot.evaluation.budget import CostCap
from geospot.evaluation.harness import Harness, Settings, Stats, make_pacer
from geospot.evaluation.opening import make_backend, open_selection
from geospot.evaluation.records import SampleRecord
from geospot.prompts import Prompt

Question = tuple[int, int]
"""Place of the image in the selection, and which of its answers."""

_MOST: Final = 256
"""Messages handed over at a time."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to evaluate; all workers of an evaluation get the same but for `settings`.

    `prompt` and `config` are as the evaluation settled them; `fingerprint` is the selection's.
    """

    config: EvalConfig
    prompt: Prompt
    fingerprint: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a question."""

    question: Question
    record: SampleRecord


@dataclass(frozen=True, slots=True)
class Event:
    """Something for events.jsonl: a retry, a change of pace."""

    name: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """A shard is over. `stopped_by` says why before its end; a failure has its sentence and advice."""

    stopped_by: str | None = None
    is_spent: bool = False
    """Whether what stopped it is that its share of the dollars was spent."""
    failure: tuple[str, str] | None = None


Message = Answered | Event | End


class ShardWorker:
    """Answers shards, one after the other."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._pacer = make_pacer(order.prompt, order.settings)
        self._harness: Harness | None = None
        self._stop_reason: str | None = None

    async def prepare(self) -> dict[str, Any]:
        """Opens backend and data set; what the backend says of itself.

        Raises:
            GeospotError: the backend can't be used here, or the images are other ones.
        """
        config = self._order.config
        self._backend = make_backend(config)
        await self._backend.check()
        self._dataset, self._selection = await asyncio.to_thread(open_selection, config)
        if self._selection.fingerprint != self._order.fingerprint:
            raise DataError(
                f"A worker selects other images of {config.dataset} than the program that started it.",
                "Give all machines the same files.",
            )
        return self._backend.describe()

    async def answer(
        self, questions: Sequence[Question], max_cost_usd: float | None, expected_usd: float
    ) -> AsyncIterator[list[Message]]:
        """Records and events as they come; the last message is the `End`.

        Args:
            questions: the shard.
            max_cost_usd: what it may cost.
            expected_usd: what an answer has cost so far, by all workers.
        """
        messages: asyncio.Queue[Message] = asyncio.Queue()
        samples = [(self._selection.table[at], draw) for at, draw in questions]
        asked = {
            (s.id, draw): (at, draw) for (s, _), (at, draw) in zip(samples, questions, strict=True)
        }

        def answered(record: SampleRecord) -> None:
            messages.put_nowait(Answered(asked[record.id, record.draw], record))

        def happened(name: str, **details: Any) -> None:
            messages.put_nowait(Event(name, details))

        harness = self._harness = Harness(
            self._backend,
            self._dataset,
            self._order.prompt,
            self._order.settings,
            on_record=answered,
            on_event=happened,
            cost=CostCap(
                max_cost_usd, price=self._order.config.cost_usd, expected_usd=expected_usd
            ),
            stats=Stats(total=len(questions)),
            pacer=self._pacer,
        )
        if self._stop_reason is not None:
            harness.stop(self._stop_reason)
        asking = asyncio.create_task(harness.run(samples))
        try:
            while not (asking.done() and messages.empty()):
                yield await _some(messages, asking)
            asking.result()
        finally:
            asking.cancel()
        failure = harness.failure
        told = (failure.message, failure.advice) if failure is not None else None
        yield [End(harness.stopped_by, harness.is_spent, told)]

    async def stop(self, reason: str) -> None:
        """Begins nothing more; what is under way is finished and handed over."""
        self._stop_reason = reason
        if self._harness is not None:
            self._harness.stop(reason)


def share_of(settings: Settings, workers: int, which: int) -> Settings:
    """A worker's part of the limits: of the requests at once, a minute, and tokens a minute."""
    at_once = settings.concurrency // workers + (which < settings.concurrency % workers)
    return replace(
        settings,
        concurrency=max(at_once, 1),
        rpm=settings.rpm / workers if settings.rpm else None,
        tpm=settings.tpm / workers if settings.tpm else None,
    )


async def _some(messages: "asyncio.Queue[Message]", asking: "asyncio.Task[None]") -> list[Message]:
    """What has come; waits for something, or for the end of the asking."""
    if messages.empty():
        coming = asyncio.ensure_future(messages.get())
        await asyncio.wait([coming, asking], return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            coming.cancel()
            return []
        some = [coming.result()]
    else:
        some = []
    while not messages.empty() and len(some) < _MOST:
        some.append(messages.get_nowait())
    return some


def sentence_of(error: BaseException) -> GeospotError | None:
    """The error of ours that a worker raised, wherever Ray has wrapped it; None where it is none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, GeospotError):
            return seen
        seen = getattr(seen, "cause", None) or seen.__cause__
    return None
