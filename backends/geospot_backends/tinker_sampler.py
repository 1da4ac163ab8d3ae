"""Checkpoints and base models of a Tinker service: `tinker` (hosted or a URL), `local` (embedded).

One sample call an image, through the tinker SDK; the service batches what is asked at once.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from geospot.completers import TinkerTokenCompleter
from geospot.config.recipes import TINY_MODELS
from geospot.errors import (
    BackendError,
    GeospotError,
    ImageError,
    RenderError,
    UsageError,
)
from geospot.evaluation.backend import (
    AsTrained,
    BackendFault,
    BackendOptions,
    Question,
    Reply,
    Usage,
)
from geospot.renderers import (
    ImagePart,
    Message,
    Renderer,
    TextPart,
    get_renderer,
    renderer_name_of,
)
from geospot.runs.checkpoints import RunSettings
from geospot.services import ServedModel, Service, ServiceOptions, open_service
from geospot.services.endpoint import address_of
from geospot.services.failures import failure_of
from geospot.services.probing import key_refused
from geospot.services.sdklog import sdk_heard, unless_raised
from geospot.textsafe import printable
from geospot_backends.tinker_target import (
    Target,
    load_tokenizer,
    own_prompt,
    parse_target,
)

if TYPE_CHECKING:
    import tinker

LOCAL_DEFAULT: Final = "geospot/tiny-vlm"
_SETTINGS: Final[dict[str, tuple[Callable[[float], bool], str]]] = {
    "top_p": (lambda p: 0 < p <= 1, "a probability above 0, and at most 1 for no limit"),
    "top_k": (
        lambda k: isinstance(k, int) and (k == -1 or k >= 1),
        "a whole number from 1, or -1 for no limit",
    ),
}
_IMAGE_TROUBLE: Final = re.compile(
    r"image.{0,60}(decod|too (large|long|small)|invalid|corrupt|expected)", re.IGNORECASE
)


def create(options: BackendOptions) -> "SamplerBackend":
    """Entry point of `--backend tinker`; connects to nothing yet."""
    return SamplerBackend("tinker", parse_target(options.model), options)


def create_local(options: BackendOptions) -> "SamplerBackend":
    """Entry point of `--backend local`; the engine starts when it is checked."""
    if options.base_url:
        raise UsageError(
            "The local backend starts a server of its own.",
            "Use --backend tinker for one that is running at --base-url.",
        )
    return SamplerBackend("local", parse_target(options.model or LOCAL_DEFAULT), options)


@dataclass(frozen=True, slots=True)
class _Connection:
    """What answers questions, once the service is open."""

    service: Service
    renderer: Renderer
    completer: TinkerTokenCompleter
    base_model: str


class SamplerBackend:
    """Samples one answer a question from a checkpoint or a base model."""

    needs_image = True

    def __init__(self, name: str, target: Target, options: BackendOptions) -> None:
        self.name = name
        self.model = target.title
        self.remote = name != "local"
        self._target = target
        self.as_trained = self._as_trained(target.base_model or target.trained.model_name)
        self._options = options
        self._sampling = _sampling_settings(options.extra_body)
        self._open: _Connection | None = None
        self._lost: list[Service] = []
        self._opening = asyncio.Lock()
        self._quiet = ExitStack()
        self._is_away = False

    def _as_trained(self, base_model: str | None) -> AsTrained:
        """As the run asked, or else as the base model is asked; unsettled while that isn't known."""
        trained = self._target.trained
        return AsTrained(
            trained.prompt or own_prompt(base_model),
            trained.max_image_size,
            settled=bool(trained.prompt or base_model),
        )

    async def check(self) -> None:
        """Opens the service and a sampler; from here on the SDK speaks through us."""
        self._quiet.enter_context(sdk_heard(unless_raised(self._options.tell)))
        await self._connection()

    async def ask(self, question: Question) -> Reply:
        """One sample."""
        connection = await self._connection()
        try:
            prompt = await asyncio.to_thread(_rendered, connection.renderer, question)
            async with asyncio.timeout(self._options.timeout_s):
                return await self._sample(connection, prompt, question)
        except TimeoutError:
            raise BackendFault(
                "transient", f"no answer within {self._options.timeout_s:g} s", label="timeout"
            ) from None
        except ImageError as error:
            raise BackendFault("image", str(error), label="image") from error
        except RenderError as error:
            raise BackendFault("permanent", str(error), label="render") from error
        except UsageError as error:
            raise BackendFault("permanent", str(error), label="too_long") from error

    def describe(self) -> dict[str, Any]:
        """The resolved path, the base model, the renderer and what the run was trained with."""
        trained = self._target.trained
        described: dict[str, Any] = {
            "name": self.name,
            "model": self.model,
            "base_url": self._base_url(),
            "path": self._target.path,
            "renderer": self._renderer_name(),
        }
        if self._target.run is not None:
            described["run"] = {
                "directory": str(self._target.run),
                "checkpoint": self._target.checkpoint,
                "model_name": trained.model_name,
                "renderer_name": trained.renderer_name,
                "prompt_sha": trained.prompt.sha if trained.prompt else None,
                "max_image_size": trained.max_image_size,
            }
        elif trained != RunSettings():  # of an exported model
            described["exported"] = {
                "model_name": trained.model_name,
                "renderer_name": trained.renderer_name,
                "prompt_sha": trained.prompt.sha if trained.prompt else None,
                "max_image_size": trained.max_image_size,
            }
        if self._open is not None:
            described["base_model"] = self._open.base_model
            described["renderer"] = self._open.renderer.name
        if trained.prompt is None and (own := self.as_trained.prompt) is not None:
            described["default_prompt"] = {"of": "base model", "name": own.name, "sha": own.sha}
        return described

    def _renderer_name(self) -> str | None:
        """The chat format, None where it isn't known before the service has answered."""
        named = self._options.renderer or self._target.trained.renderer_name
        base_model = self._target.base_model or self._target.trained.model_name
        if named or not base_model:
            return named
        belongs = renderer_name_of(base_model)
        return None if belongs == base_model else belongs

    async def aclose(self) -> None:
        """Ends the session; the embedded engine stops."""
        services, self._lost = self._lost, []
        if self._open is not None:
            services.append(self._open.service)
            self._open = None
        try:
            for service in services:
                await asyncio.to_thread(service.close)
        finally:
            self._quiet.close()

    def _base_url(self) -> str | None:
        """None for the embedded engine: its address is another one every time."""
        return None if self.name == "local" else address_of(self._options.base_url)

    async def _connection(self) -> _Connection:
        known = self._open
        how = known.service.endpoint.died() if known else None
        if known and how and await self._give_up(known):
            self._options.tell(f"{how} Another is started, and asked again what it owes us.")
        if self._open is None:
            async with self._opening:
                if self._open is None:
                    self._open = await asyncio.to_thread(self._connect)
                    self.model = self.model or self._open.base_model
                    self.as_trained = self._as_trained(self._open.base_model)
                    # It is too small to read a number, so a canary would say nothing.
                    names = {self._open.base_model, self._target.trained.model_name}
                    self.remote = self.remote and names.isdisjoint(TINY_MODELS)
        return self._open

    async def _give_up(self, connection: _Connection) -> bool:
        """Has the next question open another connection; whether that is this call's doing."""
        async with self._opening:
            if self._open is not connection:
                return False
            self._open = None
            self._lost.append(connection.service)  # others may still be waiting on it
            return True

    def _connect(self) -> _Connection:
        options, target = self._options, self._target
        own = target.base_model if self.name == "local" else None
        own_models = (own,) if own and own not in TINY_MODELS else ()
        service = open_service(
            self.name,
            ServiceOptions(
                base_url=options.base_url,
                api_key_env=options.api_key_env,
                models=own_models,
                tell=options.tell,
            ),
        )
        try:
            model, client = self._sampler(service)
            renderer = get_renderer(
                model.name,
                load_tokenizer(model.name),
                renderer_name=options.renderer or target.trained.renderer_name,
            )
        except BaseException:
            service.close()
            raise
        completer = TinkerTokenCompleter(
            client,
            max_tokens=options.max_tokens,
            temperature=1.0 if options.temperature is None else options.temperature,
            context_length=model.context_length,
            **self._sampling,
        )
        return _Connection(service, renderer, completer, model.name)

    def _sampler(self, service: Service) -> "tuple[ServedModel, tinker.SamplingClient]":
        """The base model, and a client that samples from the target."""
        path = self._target.path
        if path is None:
            model = service.choose_model(self._target.base_model)
            return model, service.sampler(base_model=model.name)
        client = service.sampler(path=path)
        name = client.get_base_model()
        served = {model.name: model for model in service.models()}
        return served.get(name, ServedModel(name)), client

    async def _sample(
        self, connection: _Connection, prompt: "tinker.ModelInput", question: Question
    ) -> Reply:
        import tinker
        from tinker.lib.retryable_exception import RetryableException

        completer = replace(connection.completer, seed=self._seed(question))
        stop = connection.renderer.get_stop_sequences()
        was_away = self._is_away  # an answer to what was asked before says nothing of now
        try:
            completion = (await completer(prompt, stop))[0]
        except tinker.TinkerError as error:
            raise await self._fault(error, connection) from error
        except (RetryableException, RuntimeError, ValueError) as error:
            # What else the SDK raises where an answer is lost; UsageError is ours, and a ValueError.
            if isinstance(error, GeospotError):
                raise
            raise BackendFault("transient", str(error), label="sdk") from error
        if was_away and self._is_away:
            self._is_away = False
            self._options.tell("The service is back.")
        answer = connection.renderer.parse_response(completion.tokens)
        return Reply(
            text=answer.raw,
            usage=Usage(prompt.length, len(completion.tokens)),
            truncated=completion.truncated,
        )

    def _seed(self, question: Question) -> int:
        """The same for the same question, whenever and beside whatever it is asked."""
        asked = f"{self._options.seed}:{question.sample_id}:{question.draw}"
        return int.from_bytes(hashlib.sha256(asked.encode()).digest()[:4], "big") >> 1

    async def _fault(
        self, error: "tinker.TinkerError", connection: _Connection
    ) -> BackendFault | BackendError:
        """What a failed call means for the run."""
        import tinker

        message = str(error)
        if isinstance(error, tinker.AuthenticationError | tinker.PermissionDeniedError):
            return key_refused(connection.service.endpoint)
        if isinstance(error, tinker.BillingError):
            return BackendError(f"The service asks for payment: {message}.", "Resume after that.")
        if isinstance(error, tinker.RequestFailedError):
            message = failure_of(error)
            if error.category is not tinker.types.RequestErrorCategory.User:
                return BackendFault("transient", message, label="failed")
            kind = "image" if _IMAGE_TROUBLE.search(message) else "permanent"
            return BackendFault(kind, message, label=kind)
        if isinstance(error, tinker.NotFoundError):
            # The server was restarted and has forgotten the session; the next try opens another.
            await self._give_up(connection)
            self._say_away(connection)
            return BackendFault("transient", message, label="session")
        if isinstance(error, tinker.BadRequestError | tinker.UnprocessableEntityError):
            return BackendFault("permanent", message, label="refused")
        self._say_away(connection)
        return BackendFault("transient", message, label="unreachable")

    def _say_away(self, connection: _Connection) -> None:
        """Says once that the service doesn't answer, until it does again."""
        given_up = self._open is not None and self._open is not connection
        if not self._is_away and not given_up:
            self._is_away = True
            self._options.tell(
                "The service is away, or was restarted: what it owes us is asked again."
            )


def _rendered(renderer: Renderer, question: Question) -> "tinker.ModelInput":
    content: list[TextPart | ImagePart] = []
    if question.image is not None:
        content.append({"type": "image", "image": question.image})
    content.append({"type": "text", "text": question.prompt.text})
    messages: list[Message] = [{"role": "user", "content": list(content)}]
    if question.prompt.system:
        messages.insert(0, {"role": "system", "content": question.prompt.system})
    return renderer.build_generation_prompt(messages)


def _sampling_settings(extra: Mapping[str, Any]) -> dict[str, Any]:
    """top_p and top_k out of --extra-body.

    Raises:
        UsageError: something else is in it, or a number out of range.
    """
    for name, value in extra.items():
        if name not in _SETTINGS:
            raise UsageError(
                f"--extra-body has {name!r}, which sampling through a Tinker service doesn't take.",
                "It takes the numbers top_p and top_k.",
            )
        is_right, wanted = _SETTINGS[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not is_right(value):
            raise UsageError(
                f"--extra-body has the {name} {printable(json.dumps(value))}, which makes no sense.",
                f"It is {wanted}.",
            )
    return dict(extra)
