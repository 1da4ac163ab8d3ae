"""A Tinker service without weights that keeps time like the hosted one: `python -m … CYCLE_S SCALE`.

Training runs in clock cycles: what is queued before a tick is carried out in the cycle that begins with
it, and done at its end, however much it is. Samples come after a latency that is drawn from the photo,
and any number is under way at once. With a cycle and a scale of 0 everything is answered at once.

Sockets, protocol and bookkeeping are the embedded server's own; only the worker and the engine are other
ones. It counts what comes in, and tells at `/bench`. It ends when its standard input does.
"""

import asyncio
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import numpy as np
from tokenizers import Tokenizer

from benchmarks.clock import MODEL, Clock, Seen, latency_s
from geospot_backends.local import operations, tiny_vlm
from geospot_backends.local.api import (
    Datum,
    DatumOutput,
    EngineError,
    ForwardBackwardResult,
    ImageChunk,
    LoraSpec,
    ModelInfo,
    SampledSequence,
    SampleRequest,
    SampleResult,
    ServedModel,
)
from geospot_backends.local.checkpoints import CheckpointPath, CheckpointStore
from geospot_backends.local.failures import EngineDiedError
from geospot_backends.local.http import Request, Response
from geospot_backends.local.server import TinkerServer, address_of, open_listener
from tests.support.scripted_engine import ScriptedEngine

T = TypeVar("T")

_REFUSALS: Final = 0.05
_VARIABLE: Final = re.compile(r"(?<=/)([0-9a-f-]{30,}|[^/]*:[^/]*)(?=/|$)")


class Answers(ScriptedEngine):
    """Says something about each photo, mostly a place; its trainer agrees with its sampler."""

    def __init__(self, store: CheckpointStore) -> None:
        super().__init__()
        self._store = store
        self._tokenizer = Tokenizer.from_file(str(tiny_vlm.FOLDER / "tokenizer.json"))
        self._end = self._tokenizer.encode(tiny_vlm.IM_END).ids[0]

    def _note(self, name: str, what: Any) -> None:
        del name, what  # a bench has no use for what was asked, and no memory for it

    def supported_models(self) -> list[ServedModel]:
        """See `api.Engine`."""
        return [ServedModel(MODEL, 32_768)]

    def create_model(
        self, model_id: str, base_model: str, lora: LoraSpec | None, *, seed: int | None = None
    ) -> None:
        """See `api.Engine`."""
        self.models[model_id] = lora

    def save_weights(self, model_id: str, name: str, *, optimizer: bool = True) -> str:
        """See `api.Engine`."""
        self._keep(CheckpointPath(model_id, "weights", name))
        return super().save_weights(model_id, name, optimizer=optimizer)

    def save_for_sampler(self, model_id: str, name: str) -> str:
        """See `api.Engine`."""
        self._keep(CheckpointPath(model_id, "sampler_weights", name))
        return super().save_for_sampler(model_id, name)

    def _keep(self, path: CheckpointPath) -> None:
        """A checkpoint without weights: the server asks for it when it is to expire."""
        self._store.write(path, MODEL, self.models[path.run], lambda _folder: None)

    def info(self, model_id: str) -> ModelInfo:
        """See `api.Engine`."""
        return ModelInfo(MODEL, str(tiny_vlm.FOLDER), 32_768, self.models[model_id])

    def forward_backward(
        self,
        model_id: str,
        datums: Sequence[Datum],
        loss_fn: str,
        loss_config: Mapping[str, float] | None = None,
        *,
        forward_only: bool = False,
    ) -> ForwardBackwardResult:
        """See `api.Engine`."""
        outputs = [DatumOutput(datum.inputs["logprobs"].astype(np.float32)) for datum in datums]
        return ForwardBackwardResult(outputs, {"loss:sum": 0.0})

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult | EngineError]:
        """See `api.Engine`."""
        return [SampleResult(self._sequences(one), None) for one in requests]

    def _sequences(self, request: SampleRequest) -> list[SampledSequence]:
        draw = random.Random(photo_of(request) + str(request.params.seed).encode())
        return [self._sequence(draw) for _ in range(request.num_samples)]

    def _sequence(self, draw: random.Random) -> SampledSequence:
        latitude, longitude = draw.uniform(-60, 70), draw.uniform(-180, 180)
        said = (
            f"City: Lyon\nRegion: Savoy\nCountry: France\nLatitude: {latitude:.4f}\n"
            f"Longitude: {longitude:.4f}"
        )
        text = "I can't tell." if draw.random() < _REFUSALS else said
        tokens: list[int] = [*self._tokenizer.encode(text).ids, self._end]
        return SampledSequence(tokens, [-draw.expovariate(3.0) for _ in tokens], "stop")


def photo_of(request: SampleRequest) -> bytes:
    """The photo that a request is about."""
    return next(chunk.data for chunk in request.prompt if isinstance(chunk, ImageChunk))


class ClockedWorker:
    """Takes the place of the embedded server's worker."""

    clock: ClassVar[Clock]
    latest: ClassVar["ClockedWorker"]

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._queue: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._asked: Counter[bytes] = Counter()
        self.answered_s: list[float] = []
        ClockedWorker.latest = self
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """See `worker.Worker`."""
        if self.clock.cycle_s:
            self._ticking = asyncio.create_task(self._tick())

    async def broken(self) -> EngineDiedError:
        """Never."""
        await asyncio.Event().wait()
        raise AssertionError

    async def aclose(self) -> None:
        """See `worker.Worker`."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)

    def call(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        """Queues a job for the next cycle."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self.clock.cycle_s:
            self._queue.append((job, future))
        else:
            _settle(future, _done(job))
        return future

    def sample(self, request: SampleRequest) -> "asyncio.Future[SampleResult]":
        """Begins to sample."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[SampleResult] = loop.create_future()
        photo = photo_of(request)
        first = self._asked[photo]
        self._asked[photo] += request.num_samples
        taken_s = self.clock.scale * latency_s(photo, first, request.num_samples)
        self.answered_s.append(time.monotonic() + taken_s)
        loop.call_later(taken_s, _settle, future, self._engine.sample([request])[0])
        return future

    async def _tick(self) -> None:
        while True:
            tick_s = self.clock.tick_after(time.monotonic())
            await asyncio.sleep(max(0.0, tick_s - time.monotonic()))
            jobs, self._queue = self._queue, []
            if jobs:
                asyncio.create_task(self._cycle(jobs, tick_s + self.clock.cycle_s))  # noqa: RUF006

    async def _cycle(
        self, jobs: list[tuple[Callable[[], Any], "asyncio.Future[Any]"]], ends_s: float
    ) -> None:
        outcomes = await asyncio.to_thread(lambda: [_done(job) for job, _ in jobs])
        await asyncio.sleep(max(0.0, ends_s - time.monotonic()))
        for (_, future), outcome in zip(jobs, outcomes, strict=True):
            _settle(future, outcome)


def _done(job: Callable[[], T]) -> T | EngineError:
    try:
        return job()
    except EngineError as error:
        return error


def _settle(future: "asyncio.Future[Any]", outcome: Any) -> None:
    if future.done():
        return
    if isinstance(outcome, EngineError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class CountingServer(TinkerServer):
    """Notes when each request comes, where to, and how long its body is."""

    def __init__(self, clock: Clock, store: CheckpointStore) -> None:
        super().__init__(Answers(store), store)
        self._clock = clock
        self._seen: list[tuple[float, str, int]] = []

    async def _handle(self, request: Request) -> Response:
        if request.path == "/bench":
            seen = Seen(self._clock, self._seen, ClockedWorker.latest.answered_s)
            return Response.of(asdict(seen))
        route = _VARIABLE.sub("…", request.path.removeprefix("/api/v1/"))
        self._seen.append((time.monotonic(), route, len(request.body)))
        if route == "client/config":
            return Response.of({})  # the SDK's own limits, as with the hosted service
        return await super()._handle(request)


async def serve(clock: Clock) -> None:
    """Serves until standard input ends."""
    ClockedWorker.clock = clock
    operations.Worker = ClockedWorker  # pyright: ignore[reportAttributeAccessIssue]
    with tempfile.TemporaryDirectory() as folder:
        server = CountingServer(clock, CheckpointStore(Path(folder)))
        listener = open_listener("127.0.0.1", 0, key=None)
        await server.start(listener)
        print(address_of(listener), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await server.aclose()


if __name__ == "__main__":
    asyncio.run(serve(Clock(float(sys.argv[1]), float(sys.argv[2]))))
