"""Which address of the Tinker protocol does what."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from geospot_backends.local.batches import ForwardBackward, numbered, start_of_compressed
from geospot_backends.local.catalogue import Catalogue
from geospot_backends.local.downloads import Downloads
from geospot_backends.local.fields import BadMessageError, Fields
from geospot_backends.local.http import Request, Response
from geospot_backends.local.operations import Operations
from geospot_backends.local.training_requests import TrainingRequests

ROOT: Final = "/api/v1"
FORWARD_BACKWARD: Final = f"{ROOT}/forward_backward"
DOWNLOADS: Final = f"{ROOT}/downloads/"

_POLL_S: Final = 20.0
"""How long a request for a result is held; the SDK gives up after 45 s."""
_CLIENT_CONFIG: Final = {
    # Next to the client there is no reason to cut a batch up, and some not to: answers to one
    # prompt share its pass only within a request.
    "fwdbwd_max_chunk_bytes_count": 64_000_000,
    "fwdbwd_dispatch_bytes_semaphore_size": 128_000_000,
    "sample_dispatch_bytes_semaphore_size": 256_000_000,
    "inflight_response_bytes_semaphore_size": 256_000_000,
}
_DYNAMIC_CONFIG: Final = {"sample_cancel_enabled": True}


@dataclass(frozen=True, slots=True)
class Served:
    """What requests are about."""

    operations: Operations
    catalogue: Catalogue
    downloads: Downloads
    public_url: str | None


Route = Callable[[Served, Request, str], Awaitable[Response]]
"""Answers a request; the text is what its address names, empty where it names nothing."""


def take_turn(served: Served, start: bytes, why: str) -> None:
    """Keeps a refused forward_backward from holding up those after it, where its start tells whose
    it is."""
    if told := numbered(start):
        served.operations.training.refuse(*told, why)


async def _retrieve(served: Served, request: Request, _: str) -> Response:
    """A promised result, or word that it takes longer."""
    request_id = Fields.parse(request.body).text("request_id")
    payload = await served.operations.results.wait(request_id, _POLL_S)
    if payload is None:
        waiting = {"type": "try_again", "request_id": request_id, "queue_state": "active"}
        return Response.of(waiting, 408)
    return Response(200, payload.body, payload.content_type)


async def _external_weights_urls(served: Served, request: Request, id_: str) -> Response:
    """An address for each file of a checkpoint, good for an hour."""
    run, _, name = id_.partition("/checkpoints/external_weights/")
    files = await asyncio.to_thread(served.catalogue.files, run, name)
    base_url = served.public_url or f"http://{request.headers.get('host', '')}"
    paths, expires = served.downloads.offer(files)
    urls = {file_name: base_url + path for file_name, path in paths.items()}
    return Response.of({"urls": urls, "expires": expires})


async def _download(served: Served, request: Request, _: str) -> Response:
    """A file of a checkpoint."""
    content = await asyncio.to_thread(served.downloads.read, request.path)
    return Response(200, content, "application/octet-stream")


async def _forward_backward(served: Served, request: Request, _: str) -> Response:
    """The one request that comes as protobuf."""
    if "content-encoding" in request.headers:
        why = "this server takes bodies that are not compressed"
        take_turn(served, start_of_compressed(request.body), why)
        return Response.error(415, why)
    try:
        message = ForwardBackward(request.body)
    except BadMessageError as error:
        take_turn(served, request.body, error.message)
        raise
    return Response.of(served.operations.training.forward_backward(message))


def _constant(value: dict[str, Any]) -> Route:
    async def route(_: Served, __: Request, ___: str) -> Response:
        return Response.of(value)

    return route


def _with_body(operation: Callable[[Operations, Fields], dict[str, Any]]) -> Route:
    async def route(served: Served, request: Request, _: str) -> Response:
        return Response.of(operation(served.operations, Fields.parse(request.body)))

    return route


def _training(operation: Callable[[TrainingRequests, Fields], dict[str, Any]]) -> Route:
    return _with_body(lambda on, asked: operation(on.training, asked))


def _of_id(operation: Callable[[Operations, str], dict[str, Any]]) -> Route:
    async def route(served: Served, _: Request, id_: str) -> Response:
        return Response.of(operation(served.operations, id_))

    return route


def _listing(list_: Callable[[Catalogue, str, Mapping[str, str]], dict[str, Any]]) -> Route:
    async def route(served: Served, request: Request, id_: str) -> Response:
        return Response.of(await asyncio.to_thread(list_, served.catalogue, id_, request.query))

    return route


async def _weights_info(served: Served, request: Request, _: str) -> Response:
    path = Fields.parse(request.body).text("tinker_path")
    return Response.of(await asyncio.to_thread(served.catalogue.weights_info, path))


async def _delete_checkpoint(served: Served, request: Request, id_: str) -> Response:
    await asyncio.to_thread(served.catalogue.delete, id_)
    return Response(204)


async def _expire_checkpoint(served: Served, request: Request, id_: str) -> Response:
    seconds = Fields.parse(request.body).whole_or_none("ttl_seconds")
    await asyncio.to_thread(served.catalogue.expire, id_, seconds)
    return Response(204)


async def _create_sampling_session(served: Served, request: Request, _: str) -> Response:
    return Response.of(await served.operations.sampling.create(Fields.parse(request.body)))


async def _sampler(served: Served, _: Request, sampler_id: str) -> Response:
    return Response.of(await served.operations.sampling.describe(sampler_id))


async def _finish(served: Served, _: Request, session_id: str) -> Response:
    served.operations.finish_session(session_id)
    return Response(204)


async def _cancel(served: Served, request: Request, _: str) -> Response:
    served.operations.sampling.cancel(Fields.parse(request.body))
    return Response(204)


def _route(method: str, path: str, route: Route) -> tuple[str, re.Pattern[str], Route]:
    return method, re.compile(re.escape(ROOT) + path), route


ROUTES: Final = [
    _route("POST", "/retrieve_future", _retrieve),
    _route("POST", "/asample", _with_body(lambda on, asked: on.sampling.sample(asked))),
    _route("POST", "/forward_backward", _forward_backward),
    _route("POST", "/optim_step", _training(TrainingRequests.optim_step)),
    _route(
        "POST",
        "/save_weights_for_sampler",
        _training(TrainingRequests.save_weights_for_sampler),
    ),
    _route("POST", "/save_weights", _training(TrainingRequests.save_weights)),
    _route(
        "POST",
        "/save_weights_external",
        _training(TrainingRequests.save_weights_external),
    ),
    _route("POST", "/load_weights", _training(TrainingRequests.load_weights)),
    _route("POST", "/create_model", _training(TrainingRequests.create_model)),
    _route("POST", "/get_info", _training(TrainingRequests.get_info)),
    _route("POST", "/create_sampling_session", _create_sampling_session),
    _route("GET", "/samplers/(.+)", _sampler),
    _route("POST", "/cancel_future", _cancel),
    _route("GET", "/healthz", _constant({"status": "ok"})),
    _route("GET", "/get_server_capabilities", _of_id(lambda on, _: on.capabilities())),
    _route("POST", "/client/config", _constant(_CLIENT_CONFIG)),
    _route("POST", "/client/dynamic_config", _constant(_DYNAMIC_CONFIG)),
    _route("POST", "/create_session", _of_id(lambda on, _: on.sessions.create())),
    _route(
        "POST", "/session_heartbeat", _with_body(lambda on, asked: on.sessions.heartbeat(asked))
    ),
    _route("GET", "/sessions", _of_id(lambda on, _: on.sessions.listed())),
    _route("GET", "/sessions/([^/]+)", _of_id(lambda on, id_: on.sessions.described(id_))),
    _route("POST", "/sessions/([^/]+)/finish", _finish),
    _route("GET", "/checkpoints", _listing(lambda c, _, query: c.checkpoints(None, query))),
    _route("GET", "/training_runs", _listing(lambda c, _, query: c.runs(query))),
    _route("GET", "/training_runs/([^/]+)", _listing(lambda c, run, _: c.run(run))),
    _route("GET", "/training_runs/([^/]+)/checkpoints", _listing(Catalogue.checkpoints)),
    _route("GET", "/training_runs/(.+)/external_weights_urls", _external_weights_urls),
    _route("GET", "/downloads/.+", _download),
    _route("DELETE", "/training_runs/(.+)", _delete_checkpoint),
    _route("PUT", "/training_runs/(.+)/ttl", _expire_checkpoint),
    _route("POST", "/weights_info", _weights_info),
    _route("POST", "/telemetry", _constant({"status": "accepted"})),
]
