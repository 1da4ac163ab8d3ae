"""An open connection to a service: probed first, so that what is wrong shows within seconds.

The SDK itself tries for minutes to reach a server that isn't there.
"""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Self, TypeVar
from urllib.parse import urlsplit

from geospot.errors import (
    BackendError,
    GeospotError,
    KeyMissingError,
    ModelNotFoundError,
    UnreachableError,
)
from geospot.plugins import SERVICES, load
from geospot.services.endpoint import HOSTED_URL, Endpoint, ServiceFactory, ServiceOptions, hosted
from geospot.services.loopback import bypass_proxy, is_loopback
from geospot.services.models import ServedModel, choose_model
from geospot.textsafe import printable

if TYPE_CHECKING:
    import tinker

T = TypeVar("T")

_PROBE_S: Final = 4.0
_ANSWER_S: Final = 4.0


class Service:
    """A service that answered. Made by `open_service`; closing it stops what was started for it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._clients: list[tinker.ServiceClient] = []

    @property
    def title(self) -> str:
        """How messages call it."""
        if self.endpoint.base_url == HOSTED_URL:
            return "The hosted Tinker service"
        if self.endpoint.name == "local":
            return "The embedded engine"
        return f"The service at {self.endpoint.base_url}"

    def models(self) -> list[ServedModel]:
        """What it serves today.

        Raises:
            BackendError: it doesn't say, within a few seconds.
        """

        def ask() -> list[ServedModel]:
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

        return self._asking(ask)

    def rest(self) -> "tinker.RestClient":
        """A client of the SDK for what needs no session: checkpoints and runs.

        Raises:
            BackendError: the service doesn't take it.
        """
        return self._asking(self._rest)

    def choose_model(self, wanted: str | None) -> ServedModel:
        """The model asked for, or this service's best vision model.

        Raises:
            ModelNotFoundError: it isn't served; names those that are.
        """
        is_hosted = self.endpoint.base_url == HOSTED_URL
        return choose_model(wanted, self.models(), service=self.title, hosted=is_hosted)

    def client(self) -> "tinker.ServiceClient":
        """A client of the SDK with a session of its own, finished when the service is closed.

        Raises:
            BackendError: no session can be opened.
        """
        import tinker

        def connect() -> tinker.ServiceClient:
            client = tinker.ServiceClient(
                base_url=self.endpoint.base_url,
                api_key=self.endpoint.api_key,
                user_metadata={"created_by": "geospot"},
            )
            client.holder.get_session_id()  # opens it: until then the client has asked nothing
            return client

        client = self._asking(connect)
        self._clients.append(client)
        return client

    def sampler(
        self, *, base_model: str | None = None, path: str | None = None
    ) -> "tinker.SamplingClient":
        """A client that samples from a base model, or from a `sampler_weights` checkpoint.

        Raises:
            ModelNotFoundError: the service doesn't have it.
            BackendError: the service fails.
        """
        import tinker

        client = self.client()
        try:
            return client.create_sampling_client(base_model=base_model, model_path=path).result()
        except (tinker.NotFoundError, tinker.BadRequestError) as error:
            raise ModelNotFoundError(
                f"{self.title} has no {printable(path or base_model or 'model')} to sample from.",
                "It may have expired or been deleted, or belong to another service or account; "
                "`geospot checkpoints list` shows those that are there.",
            ) from error
        except tinker.TinkerError as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """Finishes the sessions; a server that was started for them is stopped."""
        clients, self._clients = self._clients, []
        for client in clients:
            _within(_ANSWER_S, lambda client=client: client.close("success").result())
        self.endpoint.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rest(self) -> "tinker.RestClient":
        import tinker

        return tinker.RestClient(base_url=self.endpoint.base_url, api_key=self.endpoint.api_key)

    def _asking(self, what: Callable[[], T]) -> T:
        done = _within(_ANSWER_S, what)
        if done is None:
            raise UnreachableError(
                f"{self.title} is there, and gave no answer within {_ANSWER_S:g} s.",
                "Try again in a minute.",
            )
        try:
            return done()
        except GeospotError:
            raise
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> BackendError:
        import tinker

        if isinstance(error, tinker.AuthenticationError | tinker.PermissionDeniedError):
            return key_refused(self.endpoint)
        if isinstance(error, tinker.BillingError):
            return BackendError(
                f"{self.title} asks for payment first: {error.message}.", "Check the account."
            )
        if isinstance(error, tinker.APIConnectionError):
            return UnreachableError(
                f"{self.title} doesn't answer: {_said(error)}.", "Try again later."
            )
        return BackendError(
            f"{self.title} can't be used: {_said(error)}.", "Is it a Tinker service?"
        )


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
    try:
        bypass_proxy(endpoint.base_url)
        probe(endpoint)
    except BaseException:
        endpoint.stop()
        raise
    return Service(endpoint)


def probe(endpoint: Endpoint) -> None:
    """Asks whether anything is there.

    Raises:
        UnreachableError: nothing answers, or something else does.
        KeyMissingError: the key is refused.
    """
    import httpx

    host = urlsplit(endpoint.base_url).hostname or ""
    headers = {"X-API-Key": endpoint.api_key} if endpoint.api_key else {}
    try:
        with httpx.Client(trust_env=not is_loopback(host), timeout=_PROBE_S) as client:
            status = client.get(f"{endpoint.base_url}/api/v1/healthz", headers=headers).status_code
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        advice = (
            "Start one there with `geospot serve`, or check the address."
            if is_loopback(host)
            else "Check the address and the network, or use `local`, which needs neither."
        )
        raise UnreachableError(
            f"Nothing answers at {endpoint.base_url}: {reason}.", advice
        ) from None
    if status in (401, 403):
        raise key_refused(endpoint)
    if status != 200:
        raise UnreachableError(
            f"What answers at {endpoint.base_url} is no healthy Tinker service (HTTP {status}).",
            "Check the address; it goes without /api/v1.",
        )


def key_refused(endpoint: Endpoint) -> KeyMissingError:
    """The service doesn't take the key."""
    if endpoint.api_key_env:
        return KeyMissingError(
            f"{endpoint.base_url} refuses the key in {endpoint.api_key_env}.",
            "Is it the right one, and still valid?",
        )
    return KeyMissingError(
        f"{endpoint.base_url} asks for a key.",
        "Name the environment variable that holds it with --api-key-env.",
    )


def _said(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)[:300].rstrip(". ")


def _within(seconds: float, what: Callable[[], T]) -> Callable[[], T] | None:
    """What came of it, to be asked for by a call; None where it takes longer than that.

    The SDK can't be interrupted: what takes too long is left behind in its thread.
    """
    outcome: SimpleQueue[Callable[[], T]] = SimpleQueue()

    def run() -> None:
        try:
            value = what()
        except Exception as error:  # noqa: BLE001 - handed over, and raised where it is asked for
            outcome.put(_raising(error))
        else:
            outcome.put(lambda: value)

    threading.Thread(target=run, name="geospot-service", daemon=True).start()
    try:
        return outcome.get(timeout=seconds)
    except Empty:
        return None


def _raising(error: Exception) -> Callable[[], T]:
    def fail() -> T:
        raise error

    return fail
