"""An engine without weights: every answer follows from the question, and every call is written down.

It stands in for torch where a test is about the server: order, batches, errors, restarts.
"""

import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from geospot_backends.local.api import (
    AdamParams,
    Datum,
    DatumOutput,
    EngineError,
    EngineUserError,
    ForwardBackwardResult,
    ImageChunk,
    LoraSpec,
    ModelInfo,
    SampledSequence,
    SampleRequest,
    SampleResult,
    ServedModel,
    TokenChunk,
)

BASE = "scripted/vlm"
CONTEXT = 1000


def answer_tokens(request: SampleRequest, index: int) -> list[int]:
    """What the scripted engine answers: the prompt's tokens, the seed and the answer's number."""
    tokens = [t for c in request.prompt if isinstance(c, TokenChunk) for t in c.tokens]
    images = [len(c.data) for c in request.prompt if not isinstance(c, TokenChunk)]
    return [*tokens, *images, request.params.seed or 0, index]


def worth_of_photos(datum: Datum) -> np.float32:
    """By how many nats its photos move each position of a datum: other photos are worth something else."""
    photos = [zlib.crc32(chunk.data) for chunk in datum.chunks if isinstance(chunk, ImageChunk)]
    return np.float32(sum(photos) % 1000 / 1000)


@dataclass
class ScriptedEngine:
    """Answers at once, or as slowly as `sample_s` says; holds every call while `hold` is set."""

    sample_s: float = 0.0
    calls: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    hold: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    """Set once a call was held."""
    models: dict[str, LoraSpec | None] = field(default_factory=dict[str, LoraSpec | None])
    samplers: set[str] = field(default_factory=set[str])
    saved: set[str] = field(default_factory=set[str])
    gradient_s: float = 0.0
    refused: int = 0
    """So many gradients are refused for their NaNs; there is nothing to step with until the next one."""
    _lacks_gradient: bool = False

    def names(self) -> list[str]:
        """The calls' names, in order."""
        return [name for name, _ in self.calls]

    def _note(self, name: str, what: Any) -> None:
        while self.hold.is_set():
            self.held.set()
            time.sleep(0.005)
        self.calls.append((name, what))

    def _known(self, model_id: str) -> None:
        if model_id not in self.models:
            raise EngineUserError(f"no model {model_id}")

    def supported_models(self) -> list[ServedModel]:
        return [ServedModel(BASE, CONTEXT)]

    def create_model(
        self, model_id: str, base_model: str, lora: LoraSpec | None, *, seed: int | None = None
    ) -> None:
        self._note("create_model", lora)
        if base_model != BASE:
            raise EngineUserError(f"the model {base_model} isn't served; served: {BASE}")
        self.models[model_id] = lora

    def load_model(self, model_id: str, path: str, *, optimizer: bool) -> None:
        self._note("load_model", (path, optimizer))
        if path not in self.saved:
            raise EngineUserError(f"there is no checkpoint {path}")
        self.models[model_id] = LoraSpec()

    def unload_model(self, model_id: str) -> None:
        self._note("unload_model", model_id)
        self._known(model_id)
        del self.models[model_id]

    def info(self, model_id: str) -> ModelInfo:
        self._known(model_id)
        return ModelInfo(BASE, "/nowhere", CONTEXT, self.models[model_id])

    def sampler_info(self, sampler_id: str) -> ModelInfo:
        return ModelInfo(BASE, "/nowhere", CONTEXT, None)

    def forward_backward(
        self,
        model_id: str,
        datums: Sequence[Datum],
        loss_fn: str,
        loss_config: Mapping[str, float] | None = None,
        *,
        forward_only: bool = False,
    ) -> ForwardBackwardResult:
        time.sleep(self.gradient_s)
        if not forward_only:
            self._lacks_gradient = self.refused > 0
            if self.refused:
                self.refused -= 1
                raise EngineUserError("the gradient is not finite")
        self._note(
            "forward" if forward_only else "forward_backward", (datums, loss_fn, loss_config)
        )
        for datum in datums:
            targets = datum.inputs["target_tokens"]
            if (targets.astype(np.int64) < 0).any():
                raise EngineUserError("a target token is out of the vocabulary")
            if (targets.astype(np.int64) == 666).any():
                raise RuntimeError("the engine has a bug")
        outputs: list[DatumOutput] = []
        for datum in datums:
            scaled: npt.NDArray[np.float32] = np.multiply(
                datum.inputs["target_tokens"].astype(np.float32), np.float32(-0.1)
            )
            outputs.append(DatumOutput(scaled - worth_of_photos(datum)))
        total = -sum(float(output.logprobs.sum()) for output in outputs)
        return ForwardBackwardResult(outputs, {"loss:sum": total})

    def optim_step(self, model_id: str, params: AdamParams) -> dict[str, float]:
        if self._lacks_gradient:
            raise EngineUserError("there is no gradient")
        self._note("optim_step", params)
        return {"grad_norm": 2.5}

    def save_weights(self, model_id: str, name: str, *, optimizer: bool = True) -> str:
        self._note("save_weights", name)
        path = f"tinker://{model_id}/weights/{name}"
        self.saved.add(path)
        return path

    def load_weights(self, model_id: str, path: str, *, optimizer: bool) -> None:
        self._note("load_weights", (path, optimizer))

    def save_for_sampler(self, model_id: str, name: str) -> str:
        self._note("save_for_sampler", name)
        path = f"tinker://{model_id}/sampler_weights/{name}"
        self.saved.add(path)
        return path

    def snapshot_sampler(self, model_id: str, sampler_id: str) -> None:
        self._note("snapshot_sampler", sampler_id)
        self.samplers.add(sampler_id)

    def create_sampler(
        self, sampler_id: str, *, base_model: str | None = None, path: str | None = None
    ) -> None:
        self._note("create_sampler", base_model or path)
        if base_model not in (None, BASE):
            raise EngineUserError(f"the model {base_model} isn't served; served: {BASE}")
        if path is not None and path not in self.saved:
            raise EngineUserError(f"there is no checkpoint {path}")
        self.samplers.add(sampler_id)

    def delete_sampler(self, sampler_id: str) -> None:
        self._note("delete_sampler", sampler_id)
        self.samplers.discard(sampler_id)

    def read_ahead(self, request: SampleRequest) -> None:
        assert request.sampler_id

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult | EngineError]:
        self._note("sample", list(requests))
        time.sleep(self.sample_s)
        return [self._answer(request) for request in requests]

    def _answer(self, request: SampleRequest) -> SampleResult | EngineError:
        tokens = [t for c in request.prompt if isinstance(c, TokenChunk) for t in c.tokens]
        if not tokens or max(tokens) >= 10_000:
            return EngineUserError("a prompt token is out of the vocabulary")
        sequences: list[SampledSequence] = []
        for index in range(request.num_samples):
            answer = answer_tokens(request, index)
            sequences.append(SampledSequence(answer, [-0.5] * len(answer), "stop"))
        scores: list[float | None] | None = None
        if request.prompt_logprobs:
            scores = [None, *(-float(token) for token in tokens[1:])]
        return SampleResult(sequences, scores)
