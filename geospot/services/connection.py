"""An open connection to a service: probed first, so that what is wrong shows within seconds.

The SDK itself tries for minutes to reach a server that isn't there. Until a model is ready the service
has one allowance of seconds for all it is asked; only loading the model may take longer, and only while
the service goes on answering. Afterwards each question has an allowance of its own.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

from geospot.errors import GeospotError, ModelNotFoundError, UnreachableError
from geospot.plugins import SERVICES, load
from geospot.services.endpoint import HOSTED_URL, Endpoint, ServiceFactory, ServiceOptions, hosted
from geospot.services.failures import detail_of, explained, failure_of
from geospot.services.loopback import bypass_proxy
from geospot.services.models import ServedModel, choose_model
from geospot.services.probing import probe
from geospot.services.sdklog import leave_the_end_unsaid
from geospot.services.waiting import Allowance, Errand, within
from geospot.textsafe import printable

if TYPE_CHECKING:
    import tinker
    from tinker.lib.internal_client_holder import InternalClientHolder

T = TypeVar("T")

_CLOSING_S: Final = 4.0
_PATIENCE_S: Final = 3.0
"""So long a model may take to load before anybody asks after it."""
_CHECK_EVERY_S: Final = 5.0
_TELL_EVERY_S: Final = 60.0
_LOADING_S: Final = 1800.0
"""The largest open models take minutes to load from a disk."""


@dataclass(frozen=True, slots=True)
class _Session:
    """One of the SDK, which keeps it alive by a request every ten seconds."""

    client: "tinker.ServiceClient"
    holder: "InternalClientHolder"

    def finish(self) -> None:
        """Ends it. Where that can't be told in time, nothing of it asks on; the SDK would for minutes."""
        try:
            self.client.close("success").result(timeout=_CLOSING_S)
        finally:
            self.holder.close()


class Service:
    """A service that answered. Made by `open_service`; closing it stops what was started for it."""

    def __init__(
        self, endpoint: Endpoint, allowance: Allowance, tell: Callable[[str], None]
    ) -> None:
        self.endpoint = endpoint
        self._allowance = allowance
        self._tell = tell
        self._silent = False
        self._was_ready = False
        self._sessions: list[_Session] = []
        self._is_closed = False

    @property
    def title(self) -> str:
        """How messages call it."""
        if self.endpoint.base_url == HOSTED_URL:
            return "The hosted Tinker service"
        if self.endpoint.name == "local":
            return "The embedded engine"
        return f"The service at {self.endpoint.base_url}"

    @property
    def listing(self) -> str:
        """The command that lists its checkpoints."""
        if self.endpoint.name == "local":
            return "geospot checkpoints list"
        is_hosted = self.endpoint.base_url == HOSTED_URL
        where = "tinker" if is_hosted else self.endpoint.base_url
        return f"geospot checkpoints list --service {where}"

    @property
    def where_it_may_be(self) -> str:
        """What became of a checkpoint that it doesn't have."""
        if self.endpoint.name == "local":
            why = "It was deleted, or saved where GEOSPOT_STATE_DIR named another folder"
        else:
            why = "It may have expired or been deleted, or belong to another service or account"
        return f"{why}; `{self.listing}` shows those that are there."

    def models(self) -> list[ServedModel]:
        """What it serves today.

        Raises:
            BackendError: it doesn't say, within a few seconds.
        """
        return self._answer("which models it serves", self._models)

    def ask(self, about: str, question: "Callable[[tinker.RestClient], T]") -> T:
        """The answer to a question that needs no session: about checkpoints and runs.

        Args:
            about: for the message where none comes: "asked …".
            question: put to a client of the SDK; waits for its answer.

        Raises:
            BackendError: no answer within a few seconds, or the service doesn't take it.
            tinker.NotFoundError: what is asked about isn't there.
        """
        import tinker

        try:
            return self._answer(about, lambda: question(self._rest()), tinker.NotFoundError)
        finally:
            # One slow answer, once the model was ready, costs no later question its time.
            if self._was_ready or not self._silent:
                self._allowance.renew()

    def choose_model(self, wanted: str | None) -> ServedModel:
        """The model asked for, or this service's best vision model.

        Raises:
            ModelNotFoundError: it isn't served; names those that are.
        """
        is_hosted = self.endpoint.base_url == HOSTED_URL
        return choose_model(wanted, self.models(), service=self.title, hosted=is_hosted)

    def client(self) -> "tinker.ServiceClient":
        """A client of the SDK with a session of its own, finished when the service is closed.

        What it does isn't limited in time; `sampler`, `trainer` and `trainer_from` are.

        Raises:
            BackendError: no session can be opened.
        """
        import tinker

        leave_the_end_unsaid()

        def connect() -> tinker.ServiceClient:
            client = tinker.ServiceClient(
                base_url=self.endpoint.base_url,
                api_key=self.endpoint.api_key,
                user_metadata={"created_by": "geospot"},
            )
            client.holder.get_session_id()  # opens it: until then the client has asked nothing
            session = _Session(client, client.holder)
            self._sessions.append(session)
            if self._is_closed:  # it was given up, and came after all
                session.finish()
            return client

        return self._answer("to open a session", connect)

    def sampler(
        self, *, base_model: str | None = None, path: str | None = None
    ) -> "tinker.SamplingClient":
        """A client that samples from a base model, or from a `sampler_weights` checkpoint.

        Raises:
            ModelNotFoundError: the service doesn't have it.
            BackendError: the service fails, or falls silent.
        """
        client, what = self.client(), path or base_model or "a model"
        return self._ready(
            what,
            "sample from",
            lambda: client.create_sampling_client(base_model=base_model, model_path=path).result(),
        )

    def trainer(
        self,
        base_model: str,
        *,
        rank: int,
        seed: int | None = None,
        train_attn: bool = True,
        train_mlp: bool = True,
        train_unembed: bool = True,
    ) -> "tinker.TrainingClient":
        """A client that trains a new LoRA adapter of a base model, in a session of its own.

        Raises:
            ModelNotFoundError: the service doesn't have it, or can't train it like this.
            BackendError: the service fails, or falls silent.
        """
        client = self.client()
        return self._ready(
            base_model,
            "train",
            lambda: client.create_lora_training_client(
                base_model,
                rank=rank,
                seed=seed,
                train_attn=train_attn,
                train_mlp=train_mlp,
                train_unembed=train_unembed,
            ).result(),
        )

    def trainer_from(self, path: str, *, optimizer: bool) -> "tinker.TrainingClient":
        """A client that trains on from a `weights` checkpoint, in a session of its own.

        Args:
            path: `tinker://RUN/weights/NAME`.
            optimizer: whether the optimiser's state is loaded too: to resume, not to begin anew.

        Raises:
            ModelNotFoundError: the service doesn't have it, or without the optimiser's state.
            BackendError: the service fails, or falls silent.
        """
        client = self.client()

        def create() -> "tinker.TrainingClient":
            if optimizer:
                return client.create_training_client_from_state_with_optimizer(path).result()
            return client.create_training_client_from_state(path).result()

        return self._ready(path, "train", create)

    def close(self) -> None:
        """Finishes the sessions; a server that was started for them is stopped."""
        self._is_closed = True
        sessions, self._sessions = self._sessions, []
        for session in sessions:
            closing = Errand(session.finish)
            if not self._silent:  # a silent service is told too, and not waited for
                closing.wait(_CLOSING_S)
        self.endpoint.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rest(self) -> "tinker.RestClient":
        import tinker

        return tinker.RestClient(base_url=self.endpoint.base_url, api_key=self.endpoint.api_key)

    def _models(self) -> list[ServedModel]:
        answer = self._rest().get_server_capabilities().result()
        return [
            ServedModel(
                name=model.model_name,
                context_length=model.max_context_length,
                trainable=model.trainable is not False,
            )
            for model in answer.supported_models
            if model.model_name
        ]

    def wait_for(self, what: str, work: Callable[[], T]) -> T:
        """What may take long, for as long as the service goes on answering.

        Engines load a model when a client for it is made; the hosted service does so behind it, and
        answers at once. A silent service can't be told from a busy one by its silence: it is asked
        something else meanwhile, and the person is told what is waited for.

        Args:
            what: for messages: "waiting for …", "asked for …".
            work: waits for its answer; what it raises comes as it is.

        Raises:
            UnreachableError: the service falls silent, or isn't done within half an hour.
        """
        began_s = told_s = time.monotonic()
        errand = Errand(work)
        done = errand.wait(min(_PATIENCE_S, self._allowance.left_s))
        self._allowance.charge(time.monotonic() - began_s)
        while done is None:
            self._answer(f"for {what}", self._models)
            self._allowance.renew()
            waited_s = time.monotonic() - began_s
            if waited_s > _LOADING_S:
                raise UnreachableError(
                    f"{self.title} has had {waited_s / 60:.0f} minutes for {what}, and isn't ready.",
                    "Its log may say why.",
                )
            if told_s == began_s or time.monotonic() - told_s >= _TELL_EVERY_S:
                told_s = time.monotonic()
                self._tell(
                    f"Waiting for {what}: {self.title[0].lower()}{self.title[1:]} answers, and is "
                    f"loading it or busy ({waited_s:.0f} s so far)."
                )
            done = errand.wait(_CHECK_EVERY_S)
        self._allowance.renew()
        self._was_ready = True
        return done()

    def _ready(self, model: str, purpose: str, create: Callable[[], T]) -> T:
        """A client for a model."""
        import tinker

        try:
            return self.wait_for(f"{printable(model)} to {purpose}", create)
        except GeospotError:
            raise
        except (tinker.NotFoundError, tinker.BadRequestError) as error:
            raise self._not_there(model, purpose, detail_of(error)) from error
        except tinker.RequestFailedError as error:
            if error.category is not tinker.types.RequestErrorCategory.User:
                raise explained(error, self.title, self.endpoint) from error
            raise ModelNotFoundError(
                f"{self.title} can't {purpose} {printable(model)}: {failure_of(error)}.",
                "`geospot doctor` lists the models that it serves, "
                f"`{self.listing}` the checkpoints.",
            ) from error
        except Exception as error:
            raise explained(error, self.title, self.endpoint) from error

    def _not_there(self, model: str, purpose: str, why: str) -> ModelNotFoundError:
        because = f": {why}" if why else ""
        return ModelNotFoundError(
            f"{self.title} has no {printable(model)} to {purpose}{because}.", self.where_it_may_be
        )

    def _answer(self, about: str, question: Callable[[], T], *as_they_are: type[Exception]) -> T:
        """What the service says, within what is left of its allowance."""
        importlib.import_module("tinker")  # takes a second, which isn't the service's fault
        done = within(self._allowance, question, self.endpoint.died)
        self._silent = done is None
        if done is None:
            if (how := self.endpoint.died()) is not None:
                raise UnreachableError(how, "What it printed may say why; run the command again.")
            raise UnreachableError(
                f"{self.title} is there, but has kept us waiting for {self._allowance.limit_s:g} s: "
                f"it gives no answer when asked {about}.",
                "It may hang or be overloaded: try again in a minute, or restart it if it is yours.",
            )
        try:
            return done()
        except (GeospotError, *as_they_are):
            raise
        except Exception as error:
            raise explained(error, self.title, self.endpoint) from error


def open_service(spec: str, options: ServiceOptions | None = None) -> Service:
    """A service that has answered.

    Args:
        spec: `tinker`, `local`, another installed service, or the URL of one.

    Raises:
        PluginError: no such service is installed.
        KeyMissingError: the key is missing or refused.
        UnreachableError: nothing answers there.
    """
    options = options or ServiceOptions()
    if "://" in spec:
        endpoint = hosted(
            ServiceOptions(base_url=spec, api_key_env=options.api_key_env, models=options.models)
        )
    else:
        factory: ServiceFactory = load(SERVICES, spec)
        endpoint = factory(options)
    allowance = Allowance(endpoint.patience_s)
    try:
        bypass_proxy(endpoint.base_url)
        probe(endpoint, allowance)
    except BaseException:
        endpoint.stop()
        raise
    return Service(endpoint, allowance, options.tell)
