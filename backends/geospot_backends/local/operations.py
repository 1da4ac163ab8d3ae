"""What the Tinker protocol's messages do: sessions, models, samplers and the results they promise.

Everything here happens on one event loop; the engine works in the worker's thread. A request that
takes long is answered at once with an id, under which its result is collected later.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from geospot_backends.local import wire
from geospot_backends.local.api import (
    AdamParams,
    Engine,
    EngineError,
    EngineUserError,
    ModelInfo,
    SampleRequest,
    SampleResult,
    ServedModel,
)
from geospot_backends.local.failures import GoneError, NotFoundError
from geospot_backends.local.futures import FutureStore, Payload
from geospot_backends.local.turns import Turns
from geospot_backends.local.wire import Fields
from geospot_backends.local.worker import Worker

log = logging.getLogger(__name__)

T = TypeVar("T")

SESSION_S: Final = 900.0
"""A client beats every ten seconds; one that is silent for so long has died, and frees its models."""
_SWEEP_S: Final = 5.0
_LOST: Final = "It may have been restarted: open a new session, and load the last checkpoint."


@dataclass(slots=True)
class _Session:
    id: str
    seen_s: float
    models: set[str] = field(default_factory=set[str])
    samplers: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class _Model:
    session: _Session
    info: ModelInfo
    turns: Turns = field(default_factory=Turns)


@dataclass(frozen=True, slots=True)
class _Sampler:
    info: ModelInfo
    path: str | None


class Operations:
    """The server's state, and one method for each message."""

    def __init__(self, engine: Engine) -> None:
        self.futures = FutureStore()
        self._engine = engine
        self._worker = Worker(engine)
        self._sessions: dict[str, _Session] = {}
        self._models: dict[str, _Model] = {}
        self._samplers: dict[str, asyncio.Future[_Sampler]] = {}
        self._sampling: dict[str, asyncio.Future[SampleResult]] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._served: list[ServedModel] = []

    async def start(self) -> None:
        """Begins to work, when the models are loaded.

        Raises:
            EngineError: one can't be.
        """
        self._worker.start()
        self._served = await self._worker.call(self._engine.supported_models)
        self._sweeper = asyncio.create_task(self._sweep(), name="geospot-sweeper")

    async def aclose(self) -> None:
        """Drops what waits and ends the worker."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._worker.aclose()

    # Sessions

    def capabilities(self) -> dict[str, Any]:
        """The models served."""
        return {
            "supported_models": [
                {
                    "model_name": model.name,
                    "max_context_length": model.context_length,
                    "trainable": True,
                    "sampleable": True,
                }
                for model in self._served
            ]
        }

    def model_names(self) -> list[str]:
        """Names of the models served."""
        return [model.name for model in self._served]

    def create_session(self) -> dict[str, Any]:
        """A new session; everything else belongs to one."""
        session = _Session(str(uuid.uuid4()), time.monotonic())
        self._sessions[session.id] = session
        return {"type": "create_session", "session_id": session.id}

    def heartbeat(self, fields: Fields) -> dict[str, Any]:
        """Says that the client lives.

        Raises:
            GoneError: its session has ended.
        """
        session = self._sessions.get(fields.text("session_id"))
        if session is None:
            raise GoneError("this session has ended")
        session.seen_s = time.monotonic()
        return {"type": "session_heartbeat"}

    def session(self, session_id: str) -> dict[str, Any]:
        """What belongs to a session."""
        session = self._session(session_id)
        return {
            "training_run_ids": sorted(session.models),
            "sampler_ids": sorted(session.samplers),
        }

    def sessions(self) -> dict[str, Any]:
        """Every open session."""
        return {"sessions": list(self._sessions)}

    def finish_session(self, session_id: str) -> None:
        """Ends a session and frees what belongs to it; its checkpoints stay."""
        session = self._sessions.pop(session_id, None)
        if session is None:
            return
        for model_id in session.models:
            if self._models.pop(model_id, None) is not None:
                self._forget(partial(self._engine.unload_model, model_id))
        for sampler_id in session.samplers:
            if self._samplers.pop(sampler_id, None) is not None:
                self._forget(partial(self._engine.delete_sampler, sampler_id))

    # Models

    def create_model(self, fields: Fields) -> dict[str, Any]:
        """A new trainable model."""
        session = self._session(fields.text("session_id"))
        model_id = f"{session.id}:train:{fields.whole('model_seq_id')}"
        base_model, lora = fields.text("base_model"), wire.lora_spec(fields)

        def create() -> ModelInfo:
            self._engine.create_model(model_id, base_model, lora)
            return self._engine.info(model_id)

        def made(info: ModelInfo) -> Payload:
            self._own_model(session, model_id, info)
            return wire.json_payload({"type": "create_model", "model_id": model_id})

        return self._promise(f"{model_id}:0", model_id, lambda: self._worker.call(create), made)

    def get_info(self, fields: Fields) -> dict[str, Any]:
        """What a training client must know of its model."""
        model_id = fields.text("model_id")
        info = self._model(model_id).info
        return {
            "type": "get_info",
            "model_id": model_id,
            "model_name": info.base_model,
            "model_data": {"model_name": info.base_model, "tokenizer_id": info.tokenizer_dir},
            "is_lora": info.lora is not None,
            "lora_rank": info.lora.rank if info.lora else None,
        }

    def forward_backward(self, request: wire.ForwardBackward) -> dict[str, Any]:
        """Log-probabilities, loss and, unless it is forward only, gradients."""
        model_id = request.model_id

        def compute() -> Payload:
            return wire.forward_backward_payload(
                self._engine.forward_backward(
                    model_id,
                    request.datums(),
                    request.loss_fn,
                    request.loss_config(),
                    forward_only=request.forward_only,
                )
            )

        return self._in_turn(model_id, request.number, compute, _as_it_is)

    def optim_step(self, fields: Fields) -> dict[str, Any]:
        """One step of the optimiser."""
        model_id = fields.text("model_id")

        def compute() -> Payload:
            params: AdamParams = wire.adam_params(fields)
            return wire.json_payload({"metrics": self._engine.optim_step(model_id, params)})

        return self._in_turn(model_id, fields.whole_or_none("seq_id"), compute, _as_it_is)

    def save_weights(self, fields: Fields) -> dict[str, Any]:
        """A checkpoint to go on training from, with the optimiser's state."""
        model_id = fields.text("model_id")

        def save() -> Payload:
            path = self._engine.save_weights(model_id, _checkpoint_name(fields))
            return wire.json_payload({"type": "save_weights", "path": path})

        return self._in_turn(model_id, fields.whole_or_none("seq_id"), save, _as_it_is)

    def save_weights_for_sampler(self, fields: Fields) -> dict[str, Any]:
        """A checkpoint to sample from, or an unnamed sampler of the weights as they are."""
        model_id = fields.text("model_id")
        number = fields.whole_or_none("seq_id")
        if "sampling_session_seq_id" in fields:
            return self._snapshot(model_id, number, fields)

        def save() -> Payload:
            path = self._engine.save_for_sampler(model_id, _checkpoint_name(fields))
            return wire.json_payload({"type": "save_weights_for_sampler", "path": path})

        return self._in_turn(model_id, number, save, _as_it_is)

    def save_weights_external(self, fields: Fields) -> dict[str, Any]:
        """A checkpoint to be downloaded. Checkpoints here are PEFT folders as they are."""
        model_id = fields.text("model_id")

        def save() -> Payload:
            if fields.raw("age_encryption_recipients"):
                raise EngineUserError("this server doesn't encrypt what it exports")
            path = self._engine.save_for_sampler(model_id, _checkpoint_name(fields))
            external = path.replace("/sampler_weights/", "/external_weights/")
            return wire.json_payload({"type": "save_weights_external", "path": external})

        return self._in_turn(model_id, fields.whole_or_none("seq_id"), save, _as_it_is)

    def _snapshot(self, model_id: str, number: int | None, fields: Fields) -> dict[str, Any]:
        session, info = self._model(model_id).session, self._model(model_id).info

        def snapshot() -> str:
            sampler_id = f"{session.id}:sample:{fields.whole('sampling_session_seq_id')}"
            self._engine.snapshot_sampler(model_id, sampler_id)
            return sampler_id

        def made(sampler_id: str) -> Payload:
            done: asyncio.Future[_Sampler] = asyncio.get_running_loop().create_future()
            done.set_result(_Sampler(info, None))
            session.samplers.add(sampler_id)
            self._samplers[sampler_id] = done
            return wire.json_payload(
                {"type": "save_weights_for_sampler", "sampling_session_id": sampler_id}
            )

        return self._in_turn(model_id, number, snapshot, made)

    def load_weights(self, fields: Fields) -> dict[str, Any]:
        """A checkpoint's weights into a model, or a new model made of them."""
        if "session_id" in fields:
            return self._load_model(fields)
        model_id = fields.text("model_id")

        def load() -> Payload:
            path, optimizer = fields.text("path"), fields.flag("optimizer", default=False)
            self._engine.load_weights(model_id, path, optimizer=optimizer)
            return wire.json_payload({"type": "load_weights", "path": path, "model_id": model_id})

        return self._in_turn(model_id, fields.whole_or_none("seq_id"), load, _as_it_is)

    def _load_model(self, fields: Fields) -> dict[str, Any]:
        path, optimizer = fields.text("path"), fields.flag("optimizer", default=False)
        session = self._session(fields.text("session_id"))
        model_id = f"{session.id}:train:{fields.whole('model_seq_id')}"
        wanted = fields.text_or_none("base_model")

        def load() -> ModelInfo:
            self._engine.load_model(model_id, path, optimizer=optimizer)
            info = self._engine.info(model_id)
            if wanted is not None and wanted != info.base_model:
                self._engine.unload_model(model_id)
                raise EngineUserError(f"{path} was trained on {info.base_model}, not on {wanted}")
            return info

        def made(info: ModelInfo) -> Payload:
            self._own_model(session, model_id, info)
            return wire.json_payload({"type": "load_weights", "path": path, "model_id": model_id})

        return self._promise(f"{model_id}:0", model_id, lambda: self._worker.call(load), made)

    # Samplers

    async def create_sampling_session(self, fields: Fields) -> dict[str, Any]:
        """A sampler of a base model or a checkpoint; sent again, it waits for the first.

        Raises:
            NotFoundError: no such model or checkpoint.
        """
        session = self._session(fields.text("session_id"))
        sampler_id = f"{session.id}:sample:{fields.whole('sampling_session_seq_id')}"
        base_model, path = fields.text_or_none("base_model"), fields.text_or_none("model_path")
        if path is None and base_model is None:
            raise wire.BadMessageError("base_model or model_path must be given")

        def create() -> _Sampler:
            if path is not None:
                self._engine.create_sampler(sampler_id, path=path)
            else:
                self._engine.create_sampler(sampler_id, base_model=base_model)
            return _Sampler(self._engine.sampler_info(sampler_id), path)

        if sampler_id not in self._samplers:
            self._samplers[sampler_id] = self._worker.call(create)
            session.samplers.add(sampler_id)
        try:
            await asyncio.shield(self._samplers[sampler_id])
        except EngineError as error:
            self._samplers.pop(sampler_id, None)
            session.samplers.discard(sampler_id)
            if error.category == "user":
                raise NotFoundError(error.message) from error
            raise
        return {"type": "create_sampling_session", "sampling_session_id": sampler_id}

    async def sampler(self, sampler_id: str) -> dict[str, Any]:
        """What a sampler samples from."""
        found = await asyncio.shield(self._sampler(sampler_id))
        answer = {"sampler_id": sampler_id, "base_model": found.info.base_model}
        return answer | ({"model_path": found.path} if found.path else {})

    def sample(self, fields: Fields) -> dict[str, Any]:
        """Answers to one prompt."""
        sampler_id = fields.text("sampling_session_id")
        self._sampler(sampler_id)
        request_id = f"{sampler_id}:{fields.whole('seq_id')}"
        last_n = fields.whole_or_none("prompt_logprobs_last_n")
        request = SampleRequest(
            sampler_id=sampler_id,
            prompt=wire.prompt(fields),
            params=wire.sampling_params(fields),
            num_samples=wire.num_samples(fields),
            prompt_logprobs=fields.flag("prompt_logprobs", default=False),
        )

        def begin() -> asyncio.Future[SampleResult]:
            wire.check_offered(fields)
            future = self._worker.sample(request)
            self._sampling[request_id] = future
            future.add_done_callback(lambda _: self._sampling.pop(request_id, None))
            return future

        ids = [f"{request_id}:{index}" for index in range(request.num_samples)]
        promised = self._promise(
            request_id, None, begin, partial(wire.sample_payload, last_n=last_n)
        )
        return promised | {"sample_sequence_ids": ids}

    def cancel(self, fields: Fields) -> None:
        """Takes back a sample request that nobody waits for any more."""
        request_id = fields.text("request_id")
        future = self._sampling.get(request_id)
        if future is not None:
            future.cancel()

    # How a result is promised

    def _promise(
        self,
        request_id: str,
        model_id: str | None,
        begin: "Callable[[], asyncio.Future[T]]",
        payload: Callable[[T], Payload],
    ) -> dict[str, Any]:
        """Begins the work unless the same request was sent before; names the result's id."""
        if self.futures.open(request_id):
            try:
                self._settle_after(begin(), request_id, payload)
            except EngineUserError as error:
                self.futures.settle(request_id, wire.error_payload(error))
        return {"request_id": request_id} | ({"model_id": model_id} if model_id else {})

    def _in_turn(
        self,
        model_id: str,
        number: int | None,
        job: Callable[[], T],
        made: Callable[[T], Payload],
    ) -> dict[str, Any]:
        """Promises what the job says, done when the requests before it have been.

        The job reads the request's other fields, not the caller: a request that is refused must
        take its turn too, or those after it would wait for it.
        """
        model = self._model(model_id)
        request_id = f"{model_id}:{number if number is not None else uuid.uuid4()}"
        if self.futures.open(request_id):
            model.turns.arrive(
                number,
                lambda: self._settle_after(self._worker.call(job), request_id, made),
                lambda error: self.futures.settle(request_id, wire.error_payload(error)),
            )
        return {"request_id": request_id, "model_id": model_id}

    def _settle_after(
        self, future: "asyncio.Future[T]", request_id: str, payload: Callable[[T], Payload]
    ) -> None:
        def settle(done: "asyncio.Future[T]") -> None:
            if done.cancelled():
                self.futures.drop(request_id)
                return
            error = done.exception()
            if isinstance(error, EngineError):
                self.futures.settle(request_id, wire.error_payload(error))
            else:
                self.futures.settle(request_id, payload(done.result()))

        future.add_done_callback(settle)

    def _forget(self, job: Callable[[], None]) -> None:
        """Has the engine free something; that it knows nothing of it any more is no failure."""
        self._worker.call(job).add_done_callback(
            lambda done: None if done.cancelled() else done.exception()
        )

    def _own_model(self, session: _Session, model_id: str, info: ModelInfo) -> None:
        if session.id not in self._sessions:  # it ended while the model was being made
            self._forget(partial(self._engine.unload_model, model_id))
            return
        session.models.add(model_id)
        self._models[model_id] = _Model(session, info)

    def _session(self, session_id: str) -> _Session:
        try:
            return self._sessions[session_id]
        except KeyError:
            raise NotFoundError(f"this server has no session {session_id}. {_LOST}") from None

    def _model(self, model_id: str) -> _Model:
        try:
            return self._models[model_id]
        except KeyError:
            raise NotFoundError(f"this server has no model {model_id}. {_LOST}") from None

    def _sampler(self, sampler_id: str) -> "asyncio.Future[_Sampler]":
        try:
            return self._samplers[sampler_id]
        except KeyError:
            raise NotFoundError(f"this server has no sampler {sampler_id}. {_LOST}") from None

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.futures.sweep()
            for model in list(self._models.values()):
                model.turns.sweep()
            silent_since_s = time.monotonic() - SESSION_S
            for session in list(self._sessions.values()):
                if session.seen_s < silent_since_s:
                    log.info("Session %s was silent for %g s and has ended.", session.id, SESSION_S)
                    self.finish_session(session.id)


def _checkpoint_name(fields: Fields) -> str:
    name = fields.text_or_none("path")
    if name is None:
        raise EngineUserError("a checkpoint needs a name")
    return name


def _as_it_is(payload: Payload) -> Payload:
    return payload
