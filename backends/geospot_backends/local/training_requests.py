"""Requests about models in training: made, stepped, saved, loaded, each model's in their order."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from geospot_backends.local import wire
from geospot_backends.local.api import AdamParams, Engine, EngineUserError, ModelInfo
from geospot_backends.local.batches import ForwardBackward, forward_backward_payload
from geospot_backends.local.catalogue import Catalogue
from geospot_backends.local.failures import NotFoundError
from geospot_backends.local.fields import Fields
from geospot_backends.local.futures import Payload
from geospot_backends.local.promises import Promises
from geospot_backends.local.sampling_requests import SamplingRequests
from geospot_backends.local.sessions import LOST, Session, Sessions
from geospot_backends.local.turns import Turns
from geospot_backends.local.worker import Worker

SNAPSHOTS_KNOWN: Final = 1000
"""Unnamed samplers of a model, one a step, that the server knows. The engine has let go of most of them, and
says so; those before are as if they had never been."""


@dataclass(slots=True)
class _Model:
    session: Session
    info: ModelInfo
    turns: Turns = field(default_factory=Turns)
    snapshots: deque[str] = field(default_factory=deque[str])


class TrainingRequests:
    """The models in training, and one method for each message about them."""

    def __init__(
        self,
        engine: Engine,
        worker: Worker,
        promises: Promises,
        sessions: Sessions,
        sampling: SamplingRequests,
        catalogue: Catalogue,
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._promises = promises
        self._sessions = sessions
        self._sampling = sampling
        self._catalogue = catalogue
        self._models: dict[str, _Model] = {}

    def create_model(self, fields: Fields) -> dict[str, Any]:
        """A new trainable model."""
        session = self._sessions.get(fields.text("session_id"))
        model_id = f"{session.id}:train:{fields.whole('model_seq_id')}"
        base_model, lora = fields.text("base_model"), wire.lora_spec(fields)
        seed = wire.weights_seed(fields)

        def create() -> ModelInfo:
            self._engine.create_model(model_id, base_model, lora, seed=seed)
            return self._engine.info(model_id)

        def made(info: ModelInfo) -> Payload:
            self._own(session, model_id, info)
            return wire.json_payload({"type": "create_model", "model_id": model_id})

        return self._promises.promise(
            f"{model_id}:create", lambda: self._worker.call(create), made
        ) | {"model_id": model_id}

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

    def forward_backward(self, request: ForwardBackward) -> dict[str, Any]:
        """Log-probabilities, loss and, unless it is forward only, gradients."""
        model_id = request.model_id

        def compute() -> Payload:
            return forward_backward_payload(
                self._engine.forward_backward(
                    model_id,
                    request.datums(),
                    request.loss_fn,
                    request.loss_config(),
                    forward_only=request.forward_only,
                )
            )

        return self._in_turn(model_id, request.number, compute)

    def refuse(self, model_id: str, number: int, why: str) -> None:
        """Has a request that can't be carried out take its turn: its client won't send it again."""
        if model_id not in self._models:
            return

        def refuse() -> Payload:
            raise EngineUserError(why)

        self._in_turn(model_id, number, refuse)

    def optim_step(self, fields: Fields) -> dict[str, Any]:
        """One step of the optimiser."""
        model_id = fields.text("model_id")

        def compute() -> Payload:
            params: AdamParams = wire.adam_params(fields)
            return wire.json_payload({"metrics": self._engine.optim_step(model_id, params)})

        return self._in_turn(model_id, fields.whole_or_none("seq_id"), compute)

    def save_weights(self, fields: Fields) -> dict[str, Any]:
        """A checkpoint to go on training from, with the optimiser's state."""
        model_id = fields.text("model_id")

        def save() -> Payload:
            name, ttl_s = _checkpoint_name(fields), wire.time_to_live_s(fields)
            path = self._kept(self._engine.save_weights(model_id, name), ttl_s)
            return wire.json_payload({"type": "save_weights", "path": path})

        return self._in_turn(model_id, fields.whole_or_none("seq_id"), save)

    def save_weights_for_sampler(self, fields: Fields) -> dict[str, Any]:
        """A checkpoint to sample from, or an unnamed sampler of the weights as they are."""
        model_id = fields.text("model_id")
        number = fields.whole_or_none("seq_id")
        if "sampling_session_seq_id" in fields:
            return self._snapshot(model_id, number, fields)

        def save() -> Payload:
            path = self._save_for_sampler(model_id, fields)
            return wire.json_payload({"type": "save_weights_for_sampler", "path": path})

        return self._in_turn(model_id, number, save)

    def save_weights_external(self, fields: Fields) -> dict[str, Any]:
        """A checkpoint to be downloaded. Checkpoints here are PEFT folders as they are."""
        model_id = fields.text("model_id")

        def save() -> Payload:
            if fields.raw("age_encryption_recipients"):
                raise EngineUserError("this server doesn't encrypt what it exports")
            path = self._save_for_sampler(model_id, fields)
            external = path.replace("/sampler_weights/", "/external_weights/")
            return wire.json_payload({"type": "save_weights_external", "path": external})

        return self._in_turn(model_id, fields.whole_or_none("seq_id"), save)

    def load_weights(self, fields: Fields) -> dict[str, Any]:
        """A checkpoint's weights into a model, or a new model made of them."""
        if "session_id" in fields:
            return self._load_model(fields)
        model_id = fields.text("model_id")

        def load() -> Payload:
            path, optimizer = fields.text("path"), fields.flag("optimizer", default=False)
            self._engine.load_weights(model_id, path, optimizer=optimizer)
            return wire.json_payload({"type": "load_weights", "path": path, "model_id": model_id})

        return self._in_turn(model_id, fields.whole_or_none("seq_id"), load)

    def free(self, session: Session) -> None:
        """Frees the models of a session that has ended, and fails what waits for its turn."""
        for model_id in session.models:
            model = self._models.pop(model_id, None)
            if model is not None:
                model.turns.abandon("the session ended before this request's turn came")
                self._promises.forget(partial(self._engine.unload_model, model_id))

    def sweep(self) -> None:
        """Gives up requests that wait too long for one that never came."""
        for model in list(self._models.values()):
            model.turns.sweep()

    def _load_model(self, fields: Fields) -> dict[str, Any]:
        path, optimizer = fields.text("path"), fields.flag("optimizer", default=False)
        session = self._sessions.get(fields.text("session_id"))
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
            self._own(session, model_id, info)
            return wire.json_payload({"type": "load_weights", "path": path, "model_id": model_id})

        return self._promises.promise(
            f"{model_id}:create", lambda: self._worker.call(load), made
        ) | {"model_id": model_id}

    def _snapshot(self, model_id: str, number: int | None, fields: Fields) -> dict[str, Any]:
        model = self._model(model_id)

        def snapshot() -> str:
            number = fields.whole("sampling_session_seq_id")
            sampler_id = f"{model.session.id}:sample:{number}"
            self._engine.snapshot_sampler(model_id, sampler_id)
            return sampler_id

        def made(sampler_id: str) -> Payload:
            self._sampling.adopt(model.session, sampler_id, model.info)
            model.snapshots.append(sampler_id)
            if len(model.snapshots) > SNAPSHOTS_KNOWN:
                self._sampling.forget(model.session, model.snapshots.popleft())
            return wire.json_payload(
                {"type": "save_weights_for_sampler", "sampling_session_id": sampler_id}
            )

        return self._promises.in_turn(model_id, model.turns, number, snapshot, made)

    def _save_for_sampler(self, model_id: str, fields: Fields) -> str:
        name, ttl_s = _checkpoint_name(fields), wire.time_to_live_s(fields)
        return self._kept(self._engine.save_for_sampler(model_id, name), ttl_s)

    def _kept(self, path: str, ttl_s: int | None) -> str:
        """The path of a new checkpoint, which will expire if a time to live was asked for."""
        if ttl_s is not None:
            self._catalogue.keep_for(path, ttl_s)
        return path

    def _in_turn(
        self, model_id: str, number: int | None, job: Callable[[], Payload]
    ) -> dict[str, Any]:
        turns = self._model(model_id).turns
        return self._promises.in_turn(model_id, turns, number, job, lambda payload: payload)

    def _own(self, session: Session, model_id: str, info: ModelInfo) -> None:
        if session not in self._sessions:  # it ended while the model was being made
            self._promises.forget(partial(self._engine.unload_model, model_id))
            return
        session.models.add(model_id)
        self._models[model_id] = _Model(session, info)

    def _model(self, model_id: str) -> _Model:
        try:
            return self._models[model_id]
        except KeyError:
            raise NotFoundError(f"this server has no model {model_id}. {LOST}") from None


def _checkpoint_name(fields: Fields) -> str:
    name = fields.text_or_none("path")
    if name is None:
        raise EngineUserError("a checkpoint needs a name")
    return name
