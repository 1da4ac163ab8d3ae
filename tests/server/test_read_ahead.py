"""The engine reads requests while others are still on their way."""

import asyncio

import pytest

from geospot_backends.local import worker
from geospot_backends.local.api import (
    EngineError,
    SampleRequest,
    SampleResult,
    SamplingParams,
    TokenChunk,
)
from geospot_backends.local.worker import Worker
from tests.support.scripted_engine import ScriptedEngine


class _Noting(ScriptedEngine):
    def read_ahead(self, request: SampleRequest) -> None:
        self._note("read_ahead", request)
        if request.sampler_id == "broken":
            raise RuntimeError("nothing can be read")


def _request(sampler: str, token: int) -> SampleRequest:
    return SampleRequest(sampler, (TokenChunk((token,)),), SamplingParams(max_tokens=1, seed=0))


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """No batch is closed before all requests are there, however busy the machine is."""
    monkeypatch.setattr(worker, "QUIET_S", 0.3)
    monkeypatch.setattr(worker, "LONGEST_S", 120.0)


async def _ask(engine: ScriptedEngine, requests: list[SampleRequest]) -> list[SampleResult]:
    asked = Worker(engine)
    asked.start()
    try:
        futures = [asked.sample(requests[0])]
        await asyncio.sleep(0.002)
        futures += [asked.sample(request) for request in requests[1:]]
        return await asyncio.wait_for(asyncio.gather(*futures), 60)
    finally:
        await asked.aclose()


def test_each_request_is_read_once_before_all_are_answered_together() -> None:
    engine = _Noting()
    requests = [_request("s", token) for token in range(1, 5)]
    assert len(asyncio.run(_ask(engine, requests))) == 4
    assert [what for name, what in engine.calls if name == "read_ahead"] == requests
    assert engine.calls[-1] == ("sample", requests)


def test_what_cannot_be_read_ahead_is_answered_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = _Noting()
    answers: list[SampleResult] = asyncio.run(_ask(engine, [_request("broken", 3)]))
    assert not any(isinstance(answer, EngineError) for answer in answers)
    assert "failed" in caplog.text
