"""A scripted engine that training commands can use: it has a tokenizer, says places, and fails as told."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from geospot.renderers import Tokenizer
from geospot.renderers.tokenizers import load_tokenizer
from geospot_backends.local.api import (
    Datum,
    DatumOutput,
    EngineError,
    EngineUserError,
    ForwardBackwardResult,
    LoraSpec,
    ModelInfo,
    SampledSequence,
    SampleRequest,
    SampleResult,
    TokenChunk,
)
from geospot_backends.local.checkpoints import CheckpointPath, CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.support.engines import tiny_folder
from tests.support.scripted_engine import BASE, CONTEXT, ScriptedEngine, worth_of_photos


@cache
def tokenizer() -> Tokenizer:
    """The engine's."""
    return load_tokenizer(BASE, str(tiny_folder()))


@dataclass(kw_only=True)
class TrainingEngine(ScriptedEngine):
    """Trains nothing, at once or as slowly as `gradient_s` says."""

    store: CheckpointStore
    refused_forward: int = 0
    """So many computations without a gradient are."""
    no_forward: bool = False
    """Whether computing without a gradient is refused."""
    blind: bool = False
    """Whether photos change nothing."""
    noise_nats: float = 0.0
    """By how much a log-probability differs at most from one computation to the next."""
    unsaved: str = ""
    """Checkpoints whose name begins so can't be saved."""
    texts: list[str] = field(default_factory=lambda: ["Latitude: 10.0\nLongitude: 20.0"])
    """What is answered to a photo, in turn within a call."""
    spoilt_after: int = 1000
    """Optimiser steps after which it says nothing that can be read."""
    silent_after: int = 1000
    """Optimiser steps after which every photo is refused."""
    logprob: float = -0.5
    """Of every sampled token."""
    _noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def info(self, model_id: str) -> ModelInfo:
        return ModelInfo(BASE, str(tiny_folder()), CONTEXT, self.models[model_id])

    def forward_backward(
        self,
        model_id: str,
        datums: Sequence[Datum],
        loss_fn: str,
        loss_config: Mapping[str, float] | None = None,
        *,
        forward_only: bool = False,
    ) -> ForwardBackwardResult:
        if self.refused_forward and forward_only:
            self.refused_forward -= 1
            raise EngineUserError("the loss is not finite")
        if self.no_forward and forward_only:
            raise EngineUserError("there is no forward here")
        result = super().forward_backward(
            model_id, datums, loss_fn, loss_config, forward_only=forward_only
        )
        return replace(result, outputs=[*map(self._seen, datums, result.outputs)])

    def _seen(self, datum: Datum, output: DatumOutput) -> DatumOutput:
        """The output as it is where photos are dropped, or numbers differ each time."""
        logprobs = output.logprobs
        if self.blind:
            logprobs = logprobs + worth_of_photos(datum)
        if self.noise_nats:
            noise_N = self._noise.uniform(0, self.noise_nats, len(logprobs))
            logprobs = logprobs - noise_N.astype(np.float32)
        return DatumOutput(logprobs)

    def save_weights(self, model_id: str, name: str, *, optimizer: bool = True) -> str:
        if self.unsaved and name.startswith(self.unsaved):
            raise EngineUserError("no room")
        return self._written(super().save_weights(model_id, name, optimizer=optimizer))

    def save_for_sampler(self, model_id: str, name: str) -> str:
        return self._written(super().save_for_sampler(model_id, name))

    def _written(self, path: str) -> str:
        """An empty checkpoint: enough for a server to know it."""
        self.store.write(CheckpointPath.parse(path), BASE, LoraSpec(), lambda _: None)
        return path

    def _answer(self, request: SampleRequest) -> SampleResult | EngineError:
        if all(isinstance(chunk, TokenChunk) for chunk in request.prompt):
            return super()._answer(request)
        sequences: list[SampledSequence] = []
        stepped = self.names().count("optim_step")
        if stepped >= self.silent_after:
            return EngineUserError("no such picture")
        texts = ["Who knows"] if stepped >= self.spoilt_after else self.texts
        for index in range(request.num_samples):
            spoken = tokenizer().encode(texts[index % len(texts)] + "<|im_end|>")
            sequences.append(SampledSequence(spoken, [self.logprob] * len(spoken), "stop"))
        return SampleResult(sequences, None)


@contextmanager
def served(state: Path, **said: Any) -> Generator[tuple[TrainingEngine, str]]:
    """Such an engine and its address; its checkpoints lie in the folder."""
    store = CheckpointStore(state)
    engine = TrainingEngine(store=store, **said)
    server = EmbeddedServer(engine, store)
    try:
        yield engine, server.base_url
    finally:
        server.close()


def settings_for(url: str, log_path: Path, **changed: Any) -> dict[str, Any]:
    """Settings of a run of either kind on such an engine: six steps, and nothing besides."""
    settings: dict[str, Any] = {
        "service": url,
        "model_name": BASE,
        "renderer_name": "qwen3_vl_instruct",
        "hf_repo": "world",
        "max_samples": 12,
        "batch_size": 2,
        "max_image_size": 64,
        "save_every": 100,
        "eval_every": 0,
        "log_path": log_path,
    }
    return settings | changed
