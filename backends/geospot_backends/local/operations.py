"""The server's state: sessions, and what requests about models and samplers need to be carried out.

Everything here happens on one event loop; the engine works in the worker's thread.
"""

import asyncio
import logging
import time
from typing import Any, Final

from geospot_backends.local.api import Engine, EngineError, ServedModel
from geospot_backends.local.catalogue import Catalogue
from geospot_backends.local.promises import Promises
from geospot_backends.local.sampling_requests import SamplingRequests
from geospot_backends.local.sessions import SESSION_S, Sessions
from geospot_backends.local.training_requests import TrainingRequests
from geospot_backends.local.worker import Worker

log = logging.getLogger(__name__)

_SWEEP_S: Final = 5.0
_TIDY_S: Final = 3600.0
"""How often checkpoints are looked through for those that have expired."""


class Operations:
    """Begins and ends it all; what messages do is in `sessions`, `training` and `sampling`."""

    def __init__(self, engine: Engine, catalogue: Catalogue) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._worker = Worker(engine)
        promises = Promises(self._worker)
        self.results = promises.results
        self.sessions = Sessions()
        self.sampling = SamplingRequests(engine, self._worker, promises, self.sessions)
        self.training = TrainingRequests(
            engine, self._worker, promises, self.sessions, self.sampling, catalogue
        )
        self._sweeper: asyncio.Task[None] | None = None
        self._served: list[ServedModel] = []

    async def start(self) -> None:
        """Begins to work, when the models are loaded.

        Raises:
            EngineError: one can't be.
        """
        self._worker.start()
        self._served = await self._worker.call(self._engine.supported_models)
        await asyncio.to_thread(self._catalogue.tidy)
        self._sweeper = asyncio.create_task(self._sweep(), name="geospot-sweeper")

    async def aclose(self) -> None:
        """Drops what waits and ends the worker."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._worker.aclose()

    async def broken(self) -> EngineError:
        """Returns when the engine has died, and says of what; every request fails from then on."""
        return await self._worker.broken()

    def capabilities(self) -> dict[str, Any]:
        """The models served."""
        return {
            "supported_models": [
                {
                    "model_name": model.name,
                    "max_context_length": model.context_length,
                    "trainable": True,
                    "sampleable": True,
                }
                for model in self._served
            ]
        }

    def model_names(self) -> list[str]:
        """Names of the models served."""
        return [model.name for model in self._served]

    def finish_session(self, session_id: str) -> None:
        """Ends a session and frees what belongs to it; its checkpoints stay."""
        session = self.sessions.end(session_id)
        if session is not None:
            self.training.free(session)
            self.sampling.free(session)

    async def _sweep(self) -> None:
        tidied_s = time.monotonic()
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.results.sweep()
            self.training.sweep()
            for session_id in self.sessions.silent():
                log.info("Session %s was silent for %g s and has ended.", session_id, SESSION_S)
                self.finish_session(session_id)
            if time.monotonic() - tidied_s > _TIDY_S:
                tidied_s = time.monotonic()
                await asyncio.to_thread(self._catalogue.tidy)
