"""How a result is promised: a request is answered at once with an id, its result collected later.

Everything here happens on one event loop; what is promised is computed in the worker's thread.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from geospot_backends.local import wire
from geospot_backends.local.api import EngineError, EngineUserError
from geospot_backends.local.futures import FutureStore, Payload
from geospot_backends.local.turns import Turns
from geospot_backends.local.worker import Worker

log = logging.getLogger(__name__)

T = TypeVar("T")


class Promises:
    """Begins what requests ask for, once each, and keeps what comes of it."""

    def __init__(self, worker: Worker) -> None:
        self.results = FutureStore()
        self._worker = worker

    def promise(
        self,
        request_id: str,
        begin: "Callable[[], asyncio.Future[T]]",
        payload: Callable[[T], Payload],
    ) -> dict[str, Any]:
        """Begins the work unless the same request was sent before; names the result's id."""
        if self.results.open(request_id):
            try:
                self._settle_after(begin(), request_id, payload)
            except EngineUserError as error:
                self.results.settle(request_id, wire.error_payload(error))
        return {"request_id": request_id}

    def in_turn(
        self,
        model_id: str,
        turns: Turns,
        number: int | None,
        job: Callable[[], T],
        made: Callable[[T], Payload],
    ) -> dict[str, Any]:
        """Promises what the job says, done when the requests before it have been.

        The job reads the request's other fields, not the caller: a request that is refused must
        take its turn too, or those after it would wait for it.
        """
        request_id = f"{model_id}:{number if number is not None else uuid.uuid4()}"
        if self.results.open(request_id):
            turns.arrive(
                number,
                lambda: self._settle_after(self._worker.call(job), request_id, made),
                lambda error: self.results.settle(request_id, wire.error_payload(error)),
            )
        return {"request_id": request_id, "model_id": model_id}

    def forget(self, job: Callable[[], None]) -> None:
        """Has the engine free something; that it knows nothing of it any more is no failure."""
        self._worker.call(job).add_done_callback(
            lambda done: None if done.cancelled() else done.exception()
        )

    def _settle_after(
        self, future: "asyncio.Future[T]", request_id: str, payload: Callable[[T], Payload]
    ) -> None:
        def settle(done: "asyncio.Future[T]") -> None:
            if done.cancelled():
                self.results.drop(request_id)
                return
            try:
                result = payload(done.result())
            except EngineError as error:
                result = wire.error_payload(error)
            except Exception:
                log.exception("The result of %s can't be sent.", request_id)
                result = wire.error_payload(EngineError("the server has a bug; its log says more"))
            self.results.settle(request_id, result)

        future.add_done_callback(settle)
