"""Bodies of chat completions that no honest server sends: each costs its sample at most, never the run."""

import asyncio
import json
from pathlib import Path

import pytest

from geospot.evaluation.backend import BackendOptions
from geospot.evaluation.records import LIMIT
from geospot_backends.openai_chat import create
from tests.support.evaluating import records, run
from tests.support.vlm_server import Behaviour, VlmServer, completion, head, send_bytes

_DEPTH = 100_000


def nested() -> bytes:
    """JSON so deep that Python's reader gives up."""
    return b'{"choices":' + b"[" * _DEPTH + b"]" * _DEPTH + b"}"


def counted(tokens: int) -> bytes:
    """An answer that says it took so many tokens."""
    said = completion(Behaviour())
    said["usage"] = {"prompt_tokens": tokens, "completion_tokens": tokens}
    return json.dumps(said).encode()


def test_an_answer_too_deep_to_be_read_is_a_fault_of_the_server(tmp_path: Path) -> None:
    with VlmServer(lambda _: Behaviour("raw", body=nested())) as server:
        done = run("world", server.base_url, tmp_path / "out", limit="2")
    assert done.ending == "incomplete"
    assert {str(one.outcome) for one in records(tmp_path / "out").values()} == {"transport_error"}


@pytest.mark.parametrize("tokens", [10**300, -5, 2**62, LIMIT])
def test_a_count_of_tokens_that_cannot_be_is_none(tmp_path: Path, tokens: int) -> None:
    with VlmServer(lambda _: Behaviour("raw", body=counted(tokens))) as server:
        done = run("world", server.base_url, tmp_path / "out", limit="2", price_in="1.0")
    assert done.ending == "complete"
    assert done.summary["usage"]["input_tokens"] == 0
    assert len(records(tmp_path / "out")) == 2  # and the result can be read again


def test_a_list_of_models_too_deep_to_be_read_lists_none() -> None:
    async def listed(base_url: str) -> list[str]:
        backend = create(BackendOptions(model="some-vlm", base_url=base_url))
        try:
            return await backend.models()
        finally:
            await backend.aclose()

    with DeepModels() as server:
        assert asyncio.run(listed(server.base_url)) == []


class DeepModels(VlmServer):
    """Lists its models so."""

    async def _respond(
        self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        return await send_bytes(writer, head(200, len(nested())) + nested())
