"""What the embedded engine offers: plain records and the protocol that the server speaks to.

Nothing here imports torch. Semantics follow the hosted Tinker service: datums and prompts are lists of
chunks, losses are sums over tokens, a checkpoint has a `tinker://<run>/<kind>/<name>` path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

ErrorCategory = Literal["user", "server"]


class EngineError(Exception):
    """An operation that failed. `category` is `user` where the caller's input was at fault."""

    category: ErrorCategory = "server"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class EngineUserError(EngineError):
    """The caller asked for something impossible; nothing has changed, and no other call is harmed."""

    category: ErrorCategory = "user"


MAX_SAMPLES: Final = 1024
"""Answers to one prompt that a request may ask for."""
NO_LOGPROB: Final = -99999.0
"""The log-probability of a token that is never sampled, or isn't there. Finite, so that a weight of 0 makes
it 0; tinker's SDK knows this number."""


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """Text, as token ids."""

    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """An encoded image.

    The engine counts its tokens itself; a different `expected_tokens` is a user error.
    """

    data: bytes
    format: str = "jpeg"
    expected_tokens: int | None = None


Chunk = TokenChunk | ImageChunk
Chunks = tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class LoraSpec:
    """Which low-rank adapter to train; alpha is 32, as on the hosted service."""

    rank: int = 32
    seed: int | None = None
    """Of the initial weights; None draws one."""
    train_attn: bool = True
    train_mlp: bool = True
    train_unembed: bool = True


LossName = Literal["cross_entropy", "importance_sampling", "ppo", "cispo"]
LOSS_NAMES: tuple[LossName, ...] = ("cross_entropy", "importance_sampling", "ppo", "cispo")


@dataclass(frozen=True, slots=True)
class Datum:
    """One training sequence of N positions and the arrays of shape (N,) that the loss needs.

    Position i predicts `target_tokens[i]`. cross_entropy: `target_tokens`, `weights` (ones if absent).
    importance_sampling, ppo, cispo: `target_tokens`, `logprobs` of the sampler, `advantages`.
    """

    chunks: Chunks
    inputs: Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class DatumOutput:
    """What a forward pass says of one datum: `logprobs` of the targets, float32 of shape (N,)."""

    logprobs: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ForwardBackwardResult:
    """Outputs in the order of the datums. `metrics` has `loss:sum`, natural logarithms, summed."""

    outputs: list[DatumOutput]
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class AdamParams:
    """One step of AdamW with decoupled weight decay; defaults as in tinker's AdamParams."""

    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: float = 0.0
    """Largest global norm of the gradient; 0 doesn't clip."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to decode; defaults as in tinker's SamplingParams."""

    max_tokens: int | None = None
    """None: as many as the context has room for."""
    seed: int | None = None
    """Equal seeds give equal samples, whatever else is in the batch."""
    stop: str | Sequence[str] | Sequence[int] | None = None
    """None stops at the model's end tokens; an empty list never; what stops is part of the tokens."""
    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_k: int = -1
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """`num_samples` answers to one prompt. Requests to different samplers may share a call."""

    sampler_id: str
    prompt: Chunks
    params: SamplingParams = field(default_factory=SamplingParams)
    num_samples: int = 1
    prompt_logprobs: bool = False
    top_sampled: int = 0
    """How many of the likeliest tokens to list at each sampled position."""
    top_of_prompt: int = 0
    """The same for each position of the prompt."""


StopReason = Literal["stop", "length"]
TopTokens = list[tuple[int, float]]
"""The likeliest tokens of a position with their log-probabilities at temperature 1, the likeliest first."""


@dataclass(frozen=True, slots=True)
class SampledSequence:
    """Token ids and their log-probabilities under the model itself: temperature 1, nothing cut off."""

    tokens: list[int]
    logprobs: list[float]
    stop_reason: StopReason
    top: list[TopTokens] | None = None
    """One entry a token; None where it wasn't asked for."""


@dataclass(frozen=True, slots=True)
class SampleResult:
    """Answers to one request.

    `prompt_logprobs` has one entry a prompt position: None for the first and for positions of images.
    So has `prompt_top`, the likeliest tokens there.
    """

    sequences: list[SampledSequence]
    prompt_logprobs: list[float | None] | None = None
    prompt_top: list[TopTokens | None] | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a client must know to speak to a model."""

    base_model: str
    tokenizer_dir: str
    """Local folder with tokenizer and image processor settings; usable as `tokenizer_id`."""
    context_length: int
    lora: LoraSpec | None
    """None: all weights are trained (or it is a base model)."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A base model that `create_model` and `create_sampler` take."""

    name: str
    context_length: int


class Engine(Protocol):
    """One call at a time: the engine holds one lock; the server queues and coalesces.

    Every method may raise EngineUserError; after one, the engine is as it was before the call.
    Model and sampler ids are made up by the caller or returned here; they are forgotten on restart,
    while `tinker://` paths are found again.
    """

    def supported_models(self) -> list[ServedModel]:
        """The base models served; the embedded one first."""
        ...

    def create_model(
        self, model_id: str, base_model: str, lora: LoraSpec | None, *, seed: int | None = None
    ) -> None:
        """A trainable model. `lora=None` trains all weights (small models only).

        `seed` is for all weights of a base whose weights are random: they are drawn from it.
        """
        ...

    def load_model(self, model_id: str, path: str, *, optimizer: bool) -> None:
        """A new trainable model made from a `weights/` checkpoint, which says base model and LoRA."""
        ...

    def unload_model(self, model_id: str) -> None:
        """Forgets a model and its unnamed snapshots; its named checkpoints stay."""
        ...

    def info(self, model_id: str) -> ModelInfo:
        """Base model, tokenizer folder, context length and adapter of a trainable model."""
        ...

    def sampler_info(self, sampler_id: str) -> ModelInfo:
        """The same for a sampler."""
        ...

    def forward_backward(
        self,
        model_id: str,
        datums: Sequence[Datum],
        loss_fn: str,
        loss_config: Mapping[str, float] | None = None,
        *,
        forward_only: bool = False,
    ) -> ForwardBackwardResult:
        """Log-probabilities and loss; unless `forward_only`, gradients are added to the model's."""
        ...

    def optim_step(self, model_id: str, params: AdamParams) -> dict[str, float]:
        """One Adam step on the gradients added up so far, which are then cleared."""
        ...

    def save_weights(self, model_id: str, name: str, *, optimizer: bool = True) -> str:
        """Writes `tinker://<model_id>/weights/<name>` and returns that path."""
        ...

    def load_weights(self, model_id: str, path: str, *, optimizer: bool) -> None:
        """Replaces a model's weights, and its optimiser's state or a fresh one."""
        ...

    def save_for_sampler(self, model_id: str, name: str) -> str:
        """Writes `tinker://<model_id>/sampler_weights/<name>` and returns that path."""
        ...

    def snapshot_sampler(self, model_id: str, sampler_id: str) -> None:
        """A sampler of the weights as they are now, in memory; the newest 8 of a model are kept."""
        ...

    def create_sampler(
        self, sampler_id: str, *, base_model: str | None = None, path: str | None = None
    ) -> None:
        """A sampler of a base model, or of a `sampler_weights/` checkpoint."""
        ...

    def delete_sampler(self, sampler_id: str) -> None:
        """Forgets a sampler."""
        ...

    def read_ahead(self, request: SampleRequest) -> None:
        """Reads what a request holds while others are still on their way; `sample` finds it there."""
        ...

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult | EngineError]:
        """Answers many requests in shared batches. A bad request yields its error in its place."""
        ...
