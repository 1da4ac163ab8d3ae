"""The embedded engine: `api.Engine` over torch, transformers and peft."""

import secrets
import shutil
from collections import deque
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Final

import torch

from geospot_backends.local.api import (
    AdamParams,
    Datum,
    EngineError,
    EngineUserError,
    ForwardBackwardResult,
    LoraSpec,
    ModelInfo,
    SampleRequest,
    SampleResult,
    ServedModel,
)
from geospot_backends.local.checkpoints import (
    ADAPTER,
    OPTIMIZER,
    Checkpoint,
    CheckpointKind,
    CheckpointPath,
    CheckpointStore,
)
from geospot_backends.local.inputs import InputReader
from geospot_backends.local.losses import make_loss
from geospot_backends.local.models import BaseModel, ModelRegistry
from geospot_backends.local.optimiser import Adam
from geospot_backends.local.sampling import ReadRequest, read_request, sample
from geospot_backends.local.tensors import load_tensors, save_tensors, writing_tensors
from geospot_backends.local.training import read_datums, run
from geospot_backends.local.weights import Weights, WeightsHost, check_lora

SNAPSHOTS_KEPT: Final = 8
"""Unnamed samplers of one model; an older one is forgotten, or a long run would fill the memory."""
_FORGOTTEN_KNOWN: Final = 1000
"""Of so many it is still known that there was one."""


@dataclass(slots=True)
class _Model:
    """A model in training."""

    host: WeightsHost
    reader: InputReader
    lora: LoraSpec | None
    weights: Weights
    adam: Adam = field(default_factory=Adam)
    snapshots: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class _Sampler:
    """Fixed weights to sample from; None: the base model's own."""

    host: WeightsHost
    reader: InputReader
    lora: LoraSpec | None
    weights: Weights | None


class LocalEngine:
    """See `api.Engine` for what each method does.

    Args:
        state: folder of the checkpoints.
        device: where models are computed; None takes CUDA where there is one (never for the tiny model).
        dtype: of the frozen weights; None takes bfloat16 on an accelerator, else float32.
        models: Hugging Face ids or folders to be served beside the embedded models; no other name
            is taken.
        threads: of torch on the CPU, for the whole process. One suits the tiny model best.
    """

    def __init__(
        self,
        state: Path,
        *,
        device: str | None = None,
        dtype: torch.dtype | None = None,
        models: Many[str] = (),
        threads: int = 1,
    ) -> None:
        torch.set_num_threads(threads)
        self.checkpoints = CheckpointStore(state)
        self._registry = ModelRegistry(device, dtype, models)
        self._hosts: dict[str, tuple[WeightsHost, InputReader]] = {}
        self._models: dict[str, _Model] = {}
        self._samplers: dict[str, _Sampler] = {}
        self._forgotten: deque[str] = deque(maxlen=_FORGOTTEN_KNOWN)
        self._lock = RLock()

    def supported_models(self) -> list[ServedModel]:
        """The base models served; loads none of them."""
        with self._lock:
            return [
                ServedModel(name, self._registry.context_length(name))
                for name in self._registry.names
            ]

    def create_model(
        self, model_id: str, base_model: str, lora: LoraSpec | None, *, seed: int | None = None
    ) -> None:
        """A trainable model with a fresh adapter, or all weights of a copy."""
        with self._lock:
            self._is_new(model_id)
            host, reader = self._listed_host(base_model)
            if lora is not None:
                check_lora(host.base, lora)
            if lora is None:
                weights = host.all_weights(seed)
            else:
                weights = host.adapter(
                    lora, secrets.randbits(62) if lora.seed is None else lora.seed
                )
            self._models[model_id] = _Model(host, reader, lora, weights)

    def load_model(self, model_id: str, path: str, *, optimizer: bool) -> None:
        """A new trainable model from a checkpoint."""
        with self._lock:
            self._is_new(model_id)
            checkpoint = self._find(path, "weights")
            host, reader = self._host(checkpoint.base_model)
            weights, adam = self._read(checkpoint, host, optimizer=optimizer)
            self._models[model_id] = _Model(host, reader, checkpoint.lora, weights, adam)

    def unload_model(self, model_id: str) -> None:
        """Forgets a model and its snapshots."""
        with self._lock:
            for sampler_id in self._model(model_id).snapshots:
                self._samplers.pop(sampler_id, None)
            del self._models[model_id]

    def info(self, model_id: str) -> ModelInfo:
        """Facts about a trainable model."""
        with self._lock:
            model = self._model(model_id)
            return _info(model.host.base, model.lora)

    def sampler_info(self, sampler_id: str) -> ModelInfo:
        """Facts about a sampler."""
        with self._lock:
            sampler = self._sampler(sampler_id)
            return _info(sampler.host.base, sampler.lora)

    def forward_backward(
        self,
        model_id: str,
        datums: Many[Datum],
        loss_fn: str,
        loss_config: Mapping[str, float] | None = None,
        *,
        forward_only: bool = False,
    ) -> ForwardBackwardResult:
        """Log-probabilities, loss, and gradients that are added to those that wait."""
        with self._lock:
            model = self._model(model_id)
            loss = make_loss(loss_fn, loss_config)
            base = model.host.base
            read = read_datums(model.reader, base, datums, loss)
            network = model.host.bind(model.lora, model.weights)
            for weight in model.weights.values():
                weight.requires_grad_(True)  # peft may have frozen what was bound
            result, gradients = run(
                base, network, model.weights, read, loss, backward=not forward_only
            )
            if not forward_only:
                model.adam.add(model.weights, gradients)
            return result

    def optim_step(self, model_id: str, params: AdamParams) -> dict[str, float]:
        """One Adam step; the norm of the gradient before clipping."""
        with self._lock:
            model = self._model(model_id)
            if not model.adam.gradient:
                raise EngineUserError(
                    "There is no gradient: no forward_backward has succeeded since the last step."
                )
            return {"grad_norm": model.adam.step(model.weights, params)}

    def save_weights(self, model_id: str, name: str, *, optimizer: bool = True) -> str:
        """Writes weights, and the optimiser's state if asked."""
        return self._save(model_id, "weights", name, optimizer=optimizer)

    def save_for_sampler(self, model_id: str, name: str) -> str:
        """Writes weights for sampling."""
        return self._save(model_id, "sampler_weights", name, optimizer=False)

    def load_weights(self, model_id: str, path: str, *, optimizer: bool) -> None:
        """Replaces weights and optimiser state."""
        with self._lock:
            model = self._model(model_id)
            checkpoint = self._find(path, "weights")
            theirs = (checkpoint.base_model, _shape(checkpoint.lora))
            if theirs != (model.host.base.name, _shape(model.lora)):
                raise EngineUserError(
                    f"The checkpoint {path} is of another base model or adapter shape."
                )
            model.weights, model.adam = self._read(checkpoint, model.host, optimizer=optimizer)

    def snapshot_sampler(self, model_id: str, sampler_id: str) -> None:
        """A sampler of the weights as they are."""
        with self._lock:
            model = self._model(model_id)
            self._is_new_sampler(sampler_id)
            weights = {
                name: torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
                for name, weight in model.weights.items()
            }
            self._samplers[sampler_id] = _Sampler(model.host, model.reader, model.lora, weights)
            model.snapshots.append(sampler_id)
            while len(model.snapshots) > SNAPSHOTS_KEPT:
                old = model.snapshots.pop(0)
                if self._samplers.pop(old, None) is not None:
                    self._forgotten.append(old)

    def create_sampler(
        self, sampler_id: str, *, base_model: str | None = None, path: str | None = None
    ) -> None:
        """A sampler of a base model or of a checkpoint."""
        with self._lock:
            self._is_new_sampler(sampler_id)
            if path is None:
                if base_model is None:
                    raise EngineUserError("A sampler needs a base model or a checkpoint path.")
                host, reader = self._listed_host(base_model)
                self._samplers[sampler_id] = _Sampler(host, reader, None, None)
                return
            checkpoint = self._find(path, "sampler_weights")
            host, reader = self._host(checkpoint.base_model)
            weights, _ = self._read(checkpoint, host, optimizer=False)
            self._samplers[sampler_id] = _Sampler(host, reader, checkpoint.lora, weights)

    def delete_sampler(self, sampler_id: str) -> None:
        """Forgets a sampler."""
        with self._lock:
            self._sampler(sampler_id)
            del self._samplers[sampler_id]

    def read_ahead(self, request: SampleRequest) -> None:
        """Decodes images that a request holds. What is wrong with it is said when it is answered."""
        with self._lock:
            sampler = self._samplers.get(request.sampler_id)
            if sampler is not None:
                sampler.reader.read_ahead(request.prompt)

    def sample(self, requests: Many[SampleRequest]) -> list[SampleResult | EngineError]:
        """Answers the requests, those to the same weights in shared batches."""
        with self._lock:
            results: dict[int, SampleResult | EngineError] = {}
            batches: dict[int, tuple[_Sampler, list[tuple[int, ReadRequest]]]] = {}
            for number, request in enumerate(requests):
                try:
                    sampler = self._sampler(request.sampler_id)
                    read = read_request(sampler.reader, sampler.host.base, request)
                except EngineUserError as error:
                    results[number] = error
                    continue
                key = id(sampler.host) if sampler.weights is None else id(sampler.weights)
                batches.setdefault(key, (sampler, []))[1].append((number, read))
            for sampler, batch in batches.values():
                answers = _sample(sampler, [read for _, read in batch])
                for (number, _), answer in zip(batch, answers, strict=True):
                    results[number] = answer
            return [results[number] for number in range(len(requests))]

    def _listed_host(self, name: str) -> tuple[WeightsHost, InputReader]:
        """Of a base model that a caller names.

        Names come over the wire: any other folder of this machine isn't theirs to read, and a download
        would keep everybody waiting. A checkpoint's base model was listed when it was trained.
        """
        if name not in self._registry.names:
            raise EngineUserError(
                f"The base model {name!r} isn't served here. Served are "
                f"{', '.join(self._registry.names)}; `geospot serve --models` adds others."
            )
        return self._host(name)

    def _host(self, name: str) -> tuple[WeightsHost, InputReader]:
        if name not in self._hosts:
            base = self._registry.get(name)
            self._hosts[name] = (WeightsHost(base, self._registry), InputReader(base))
        return self._hosts[name]

    def _model(self, model_id: str) -> _Model:
        if model_id not in self._models:
            raise EngineUserError(f"There is no model {model_id!r}.")
        return self._models[model_id]

    def _sampler(self, sampler_id: str) -> _Sampler:
        if sampler_id in self._samplers:
            return self._samplers[sampler_id]
        if sampler_id in self._forgotten:
            raise EngineUserError(
                f"The unnamed sampler {sampler_id!r} was let go: only a model's newest "
                f"{SNAPSHOTS_KEPT} are kept. Save weights under a name to keep them."
            )
        raise EngineUserError(f"There is no sampler {sampler_id!r}.")

    def _is_new(self, model_id: str) -> None:
        if model_id in self._models:
            raise EngineUserError(f"There is a model {model_id!r} already.")

    def _is_new_sampler(self, sampler_id: str) -> None:
        if sampler_id in self._samplers:
            raise EngineUserError(f"There is a sampler {sampler_id!r} already.")

    def _find(self, path: str, kind: CheckpointKind) -> Checkpoint:
        checkpoint = self.checkpoints.find(path)
        if checkpoint.path.kind != kind:
            what = "sampled from" if kind == "sampler_weights" else "trained further"
            raise EngineUserError(f"{path} can't be {what}; that takes a path with /{kind}/ in it.")
        return checkpoint

    def _save(self, model_id: str, kind: CheckpointKind, name: str, *, optimizer: bool) -> str:
        with self._lock:
            model = self._model(model_id)

            def fill(folder: Path) -> None:
                _write_weights(model, folder)
                if optimizer:
                    save_tensors(model.adam.tensors(), folder / OPTIMIZER)

            path = CheckpointPath(model_id, kind, name)
            self.checkpoints.write(path, model.host.base.name, model.lora, fill)
            return str(path)

    def _read(
        self, checkpoint: Checkpoint, host: WeightsHost, *, optimizer: bool
    ) -> tuple[Weights, Adam]:
        if optimizer and not checkpoint.has_optimizer:
            raise EngineUserError(f"{checkpoint.path} was saved without the optimiser's state.")
        device = host.base.device
        if checkpoint.lora is None:
            network = self._registry.network_from(host.base, checkpoint.folder)
            tensors = {name: value.data for name, value in network.named_parameters()}
        else:
            tensors = load_tensors(checkpoint.folder / ADAPTER, device)
        expected = host.shapes(checkpoint.lora)
        if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != expected:
            raise EngineUserError(f"The weights of {checkpoint.path} don't fit its base model.")
        weights = {name: torch.nn.Parameter(tensors[name]) for name in expected}
        if not optimizer:
            return weights, Adam()
        return weights, Adam.from_tensors(load_tensors(checkpoint.folder / OPTIMIZER, device))


def _sample(sampler: _Sampler, reads: list[ReadRequest]) -> Many[SampleResult | EngineError]:
    """Results in order; running out of memory fails these requests and nothing else."""
    try:
        if sampler.weights is None:
            with sampler.host.plain() as network:
                return sample(sampler.host.base, network, reads)
        network = sampler.host.bind(sampler.lora, sampler.weights)
        return sample(sampler.host.base, network, reads)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return [EngineError("The accelerator ran out of memory.") for _ in reads]


def _write_weights(model: _Model, folder: Path) -> None:
    """An adapter as peft writes it, or a whole model with its tokenizer as transformers does."""
    base = model.host.base
    if model.lora is not None:
        weights = {name: weight.detach().contiguous() for name, weight in model.weights.items()}
        save_tensors(weights, folder / ADAPTER)
        model.host.peft_config(model.lora).save_pretrained(str(folder))
        return
    network = model.host.bind(None, model.weights)
    with writing_tensors():
        network.save_pretrained(str(folder))
    for file in base.folder.iterdir():
        wanted = file.suffix in (".json", ".jinja", ".txt", ".model")
        if wanted and not file.name.endswith(".index.json") and not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)


def _shape(lora: LoraSpec | None) -> tuple[int, bool, bool, bool] | None:
    return lora and (lora.rank, lora.train_attn, lora.train_mlp, lora.train_unembed)


def _info(base: BaseModel, lora: LoraSpec | None) -> ModelInfo:
    return ModelInfo(base.name, str(base.folder), base.context_length, lora)
