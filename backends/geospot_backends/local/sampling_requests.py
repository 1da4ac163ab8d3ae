"""Requests about samplers: made of a base model or a checkpoint, and asked for answers."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

from geospot_backends.local import wire
from geospot_backends.local.api import (
    Engine,
    EngineError,
    ModelInfo,
    SampleRequest,
    SampleResult,
)
from geospot_backends.local.failures import NotFoundError
from geospot_backends.local.fields import BadMessageError, Fields
from geospot_backends.local.promises import Promises
from geospot_backends.local.sessions import LOST, Session, Sessions
from geospot_backends.local.worker import Worker


@dataclass(frozen=True, slots=True)
class _Sampler:
    info: ModelInfo
    path: str | None


class SamplingRequests:
    """The samplers, and one method for each message about them."""

    def __init__(
        self, engine: Engine, worker: Worker, promises: Promises, sessions: Sessions
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._promises = promises
        self._sessions = sessions
        self._samplers: dict[str, asyncio.Future[_Sampler]] = {}
        self._asked: dict[str, asyncio.Future[SampleResult]] = {}

    async def create(self, fields: Fields) -> dict[str, Any]:
        """A sampler of a base model or a checkpoint; sent again, it waits for the first.

        Raises:
            NotFoundError: no such model or checkpoint.
        """
        session = self._sessions.get(fields.text("session_id"))
        sampler_id = f"{session.id}:sample:{fields.whole('sampling_session_seq_id')}"
        base_model, path = fields.text_or_none("base_model"), fields.text_or_none("model_path")
        if path is None and base_model is None:
            raise BadMessageError("base_model or model_path must be given")

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

    def adopt(self, session: Session, sampler_id: str, info: ModelInfo) -> None:
        """Takes in a sampler that the engine made of a model in training."""
        if session not in self._sessions:  # it ended meanwhile; the model takes its samplers along
            return
        done: asyncio.Future[_Sampler] = asyncio.get_running_loop().create_future()
        done.set_result(_Sampler(info, None))
        session.samplers.add(sampler_id)
        self._samplers[sampler_id] = done

    def forget(self, session: Session, sampler_id: str) -> None:
        """Knows nothing more of a sampler that the engine has let go of."""
        session.samplers.discard(sampler_id)
        self._samplers.pop(sampler_id, None)

    async def describe(self, sampler_id: str) -> dict[str, Any]:
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
            top_sampled=fields.whole_or_none("topk_sample_logprobs") or 0,
            top_of_prompt=fields.whole_or_none("topk_prompt_logprobs") or 0,
        )

        def begin() -> asyncio.Future[SampleResult]:
            wire.check_offered(fields)
            future = self._worker.sample(request)
            self._asked[request_id] = future
            future.add_done_callback(lambda _: self._asked.pop(request_id, None))
            return future

        ids = [f"{request_id}:{index}" for index in range(request.num_samples)]
        made = partial(wire.sample_payload, last_n=last_n)
        return self._promises.promise(request_id, begin, made) | {"sample_sequence_ids": ids}

    def cancel(self, fields: Fields) -> None:
        """Takes back a sample request that nobody waits for any more."""
        future = self._asked.get(fields.text("request_id"))
        if future is not None:
            future.cancel()

    def free(self, session: Session) -> None:
        """Frees the samplers of a session that has ended."""
        for sampler_id in session.samplers:
            if self._samplers.pop(sampler_id, None) is not None:
                self._promises.forget(partial(self._engine.delete_sampler, sampler_id))

    def _sampler(self, sampler_id: str) -> "asyncio.Future[_Sampler]":
        try:
            return self._samplers[sampler_id]
        except KeyError:
            raise NotFoundError(f"this server has no sampler {sampler_id}. {LOST}") from None
