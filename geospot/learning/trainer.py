"""The model in training: steps, snapshots and checkpoints through a Tinker service."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, TypeVar

from geospot.config.learning import KLReference, LearnConfig
from geospot.learning.connect import Connected, connect, unheard
from geospot.learning.steps import PendingStep, StepOutcome, answer, outcome_of
from geospot.prompts import Prompt
from geospot.renderers import Renderer, Tokenizer, get_renderer
from geospot.renderers.tokenizers import hub_id, load_tokenizer
from geospot.runs.checkpoints import FINAL, RunCheckpoint, whole_sampler_path
from geospot.services import Endpoint

if TYPE_CHECKING:
    import tinker

ConfigT = TypeVar("ConfigT", bound=LearnConfig)
LossName = Literal["cross_entropy", "importance_sampling", "ppo", "cispo"]
SaveKind = Literal["both", "sampler"]

_DAY_S: Final = 86_400


class Trainer(Generic[ConfigT]):
    """One model that is trained.

    Requests are carried out in the order in which its methods are called: each sends what it has to
    before it waits for anything, so that a step can be submitted while the one before is under way,
    and a checkpoint is that of the moment at which it was asked for.
    """

    def __init__(self, connected: Connected[ConfigT]) -> None:
        self._connected = connected
        self._client: tinker.TrainingClient | None = None
        self._renderer: Renderer | None = None
        self._tokenizer: Tokenizer | None = None

    @classmethod
    async def connect(cls, config: ConfigT, tell: Callable[[str], None] = unheard) -> Self:
        """Opens the service and settles the configuration; there is no model before `load`.

        Args:
            tell: told in sentences what takes long.

        Raises:
            UsageError: settings that contradict the checkpoint to start from.
            BackendError: the service can't be used, or doesn't serve the model.
        """
        return cls(await asyncio.to_thread(connect, config, tell))

    @classmethod
    async def open(
        cls,
        config: ConfigT,
        resume: RunCheckpoint | None = None,
        tell: Callable[[str], None] = unheard,
    ) -> Self:
        """`connect` and `load` in one."""
        trainer = await cls.connect(config, tell)
        try:
            await trainer.load(resume)
        except BaseException:
            await trainer.aclose()
            raise
        return trainer

    async def load(self, resume: RunCheckpoint | None = None) -> None:
        """Makes the model: from a checkpoint of this run with its optimiser, else from the start.

        Raises:
            ModelNotFoundError: the checkpoint or the tokenizer can't be had.
            BackendError: the service fails.
        """
        path = resume.state_path if resume is not None else None
        self._client = await asyncio.to_thread(self._create, path)
        self._tokenizer = tokenizer = await asyncio.to_thread(_tokenizer, self._client)
        self._renderer = get_renderer(
            self.model_name,
            tokenizer,
            renderer_name=self.config.renderer_name,
            max_image_side=self.config.max_image_size,
        )

    @property
    def config(self) -> ConfigT:
        """The configuration without gaps."""
        return self._connected.config

    @property
    def settings(self) -> dict[str, Any]:
        """What config.json records, the prompt's text included."""
        return self._connected.settings()

    @property
    def endpoint(self) -> Endpoint:
        """Where the service is."""
        return self._connected.service.endpoint

    @property
    def base_url(self) -> str:
        """Address of the service."""
        return self.endpoint.base_url

    @property
    def model_name(self) -> str:
        """The base model."""
        return self._connected.model.name

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and answer together, where the service tells."""
        return self._connected.model.context_length

    @property
    def prompt(self) -> Prompt:
        """What the model is asked."""
        return self._connected.prompt

    @property
    def max_image_size(self) -> int | None:
        """Longest side of a photo, in pixels."""
        return self.config.max_image_size

    @property
    def lora_rank(self) -> int:
        """Rank of the adapter; 0 where all weights are trained."""
        return self.config.lora_rank or 0

    @property
    def renderer(self) -> Renderer:
        """The model's chat format."""
        if self._renderer is None:
            raise _unloaded()
        return self._renderer

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's own."""
        if self._tokenizer is None:
            raise _unloaded()
        return self._tokenizer

    @property
    def _training(self) -> "tinker.TrainingClient":
        if self._client is None:
            raise _unloaded()
        return self._client

    async def submit(
        self,
        datums: "Sequence[tinker.Datum]",
        loss_fn: LossName,
        adam: "tinker.AdamParams",
        loss_fn_config: Mapping[str, float] | None = None,
    ) -> PendingStep:
        """Sends gradient and optimiser step together; returns without waiting for either.

        A batch beyond what one request may hold is sent in several, whose gradients the service adds.
        """
        gradient = self._training.forward_backward(list(datums), loss_fn, loss_fn_config)
        return PendingStep(gradient, self._training.optim_step(adam))

    def forward(
        self, datums: "Sequence[tinker.Datum]", loss_fn: LossName = "cross_entropy"
    ) -> "asyncio.Future[StepOutcome]":
        """Loss and log-probabilities under the weights as they are at the call; nothing is learned.

        Awaiting it raises:
            BackendError: the service failed, or refuses the batch.
        """
        future = self._training.forward(list(datums), loss_fn)

        async def computed() -> StepOutcome:
            return outcome_of(await answer(future, "the batch"), {})

        return asyncio.ensure_future(computed())

    def snapshot(self) -> "asyncio.Future[tinker.SamplingClient]":
        """A client that samples from the weights as they are at the call."""
        future = self._training.save_weights_and_get_sampling_client()
        return asyncio.ensure_future(answer(future, "to hand out the weights for sampling"))

    async def reference_sampler(self, of: KLReference = "start") -> "tinker.SamplingClient":
        """A client that samples from a model that this training leaves as it is.

        Args:
            of: `start`, the weights that the run started from, resumed or not; or `base`, the base model.
        """
        fresh_adapter = self._connected.start.state_path is None and self.lora_rank > 0
        if fresh_adapter or of == "base":  # a fresh adapter changes nothing
            service = self._connected.service
            return await asyncio.to_thread(service.sampler, base_model=self.model_name)
        client = await asyncio.to_thread(self._create, None)
        return await answer(client.save_weights_and_get_sampling_client(), "the starting weights")

    def save(
        self,
        name: str,
        *,
        batch: int,
        kind: SaveKind = "both",
        extra: Mapping[str, str] | None = None,
    ) -> "asyncio.Future[RunCheckpoint]":
        """A checkpoint of the weights as they are at the call.

        Args:
            name: unique in the run; `final` is kept by the service for good, others for `ttl_days`.
            batch: steps done.
            kind: `both` can be trained on and sampled, `sampler` only sampled.
            extra: kept with it by the service.
        """
        days = None if name == FINAL else self.config.ttl_days
        lives_s = None if days is None else max(3600, round(days * _DAY_S))
        told = {"created_by": "geospot", "step": str(batch), **(extra or {})}
        sampler = self._training.save_weights_for_sampler(name, lives_s, told)
        state = (
            self._training.save_state(name, lives_s, user_metadata=told) if kind == "both" else None
        )

        async def saved() -> RunCheckpoint:
            what = f"to save the checkpoint {name}"
            state_path = None if state is None else (await answer(state, what)).path
            sampler_path = whole_sampler_path((await answer(sampler, what)).path)
            return RunCheckpoint(name, batch, state_path, sampler_path)

        return asyncio.ensure_future(saved())

    async def delete(self, checkpoint: RunCheckpoint) -> bool:
        """Removes a checkpoint from the service.

        Returns:
            Whether there was one: it may have expired, or the service may delete nothing.

        Raises:
            BackendError: the service failed.
        """
        import tinker

        found = True
        for path in (checkpoint.state_path, checkpoint.sampler_path):
            if path is None:
                continue
            try:
                await asyncio.to_thread(self._delete, path)
            except tinker.NotFoundError:
                found = False
        return found

    async def aclose(self) -> None:
        """Ends the session; an embedded engine stops."""
        await asyncio.to_thread(self._connected.service.close)

    def _delete(self, path: str) -> None:
        self._connected.service.ask(
            "to delete a checkpoint",
            lambda rest: rest.delete_checkpoint_from_tinker_path(path).result(),
        )

    def _create(self, resume_path: str | None) -> "tinker.TrainingClient":
        """A model from this run's checkpoint, from the one to start from, or from the base."""
        service, start_path = self._connected.service, self._connected.start.state_path
        if resume_path is not None:
            return service.trainer_from(resume_path, optimizer=True)
        if start_path is not None:
            return service.trainer_from(start_path, optimizer=False)
        return service.trainer(
            self.model_name,
            rank=self.lora_rank,
            seed=self.config.seed,
            train_attn=self.config.train_attn,
            train_mlp=self.config.train_mlp,
            train_unembed=self.config.train_unembed,
        )


def _tokenizer(client: "tinker.TrainingClient") -> Tokenizer:
    """The model's own; the service says where it lies."""
    data = client.get_info().model_data
    name = str(data.model_name)
    return load_tokenizer(name, data.tokenizer_id or hub_id(name))


def _unloaded() -> RuntimeError:
    return RuntimeError("there is no model yet: `load` comes first")
