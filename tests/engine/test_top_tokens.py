"""Top-k log-probabilities, through the SDK, against what training says of the same tokens."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tinker
from tinker import types

from geospot_backends.local.api import Datum, SampleRequest, SamplingParams, TokenChunk
from geospot_backends.local.server import EmbeddedServer
from tests.support.approx import approx
from tests.support.engines import answered, engine_at, tiny_folder
from tests.support.photos import make_photo

pytestmark = [
    pytest.mark.filterwarnings("error::DeprecationWarning"),
    pytest.mark.filterwarnings("error::FutureWarning"),
]
TOKENS = (40, 41, 42, 43, 44)


@pytest.fixture
def sampler(tmp_path: Path) -> Iterator[tinker.SamplingClient]:
    engine = engine_at(tmp_path)
    with (
        EmbeddedServer(engine, engine.checkpoints) as server,
        tinker.ServiceClient(base_url=server.base_url, api_key="tml-x") as service,
    ):
        yield service.create_sampling_client(base_model=str(tiny_folder())).result()


def prompt() -> types.ModelInput:
    picture = types.ImageChunk(data=make_photo("a", size=(96, 96)), format="jpeg")
    chunks: list[types.ModelInputChunk] = [
        types.EncodedTextChunk(tokens=[5, 6]),
        picture,
        types.EncodedTextChunk(tokens=list(TOKENS)),
    ]
    return types.ModelInput(chunks=chunks)


def test_top_tokens_of_samples_and_of_the_prompt(sampler: tinker.SamplingClient) -> None:
    greedy = types.SamplingParams(max_tokens=6, temperature=0.0, stop=[])
    answer = sampler.sample(
        prompt(),
        2,
        greedy,
        include_prompt_logprobs=True,
        topk_prompt_logprobs=4,
        topk_sample_logprobs=3,
    ).result()
    for sequence in answer.sequences:
        assert sequence.topk_logprobs is not None
        assert sequence.logprobs is not None
        assert len(sequence.topk_logprobs) == len(sequence.tokens) == 6
        for row, token, logprob in zip(
            sequence.topk_logprobs, sequence.tokens, sequence.logprobs, strict=True
        ):
            assert row is not None
            assert len(row) == 3
            assert row[0] == (token, logprob)  # greedy takes the likeliest
            assert row[0][1] >= row[1][1] >= row[2][1]
    rows, known = answer.topk_prompt_logprobs, answer.prompt_logprobs
    assert rows is not None
    assert known is not None
    assert [row is None for row in rows] == [one is None for one in known]
    assert [row is None for row in rows] == [True, False, *[True] * 9, *[False] * 5]
    last = sampler.sample(
        prompt(),
        1,
        greedy,
        include_prompt_logprobs=True,
        topk_prompt_logprobs=4,
        prompt_logprobs_last_n=2,
    ).result()
    assert last.topk_prompt_logprobs == [None] * (len(rows) - 2) + rows[-2:]
    assert last.sequences[0].topk_logprobs is None
    assert sampler.sample(prompt(), 1, greedy).result().topk_prompt_logprobs is None


@pytest.mark.parametrize("count", [-1, 129])
def test_so_many_cannot_be_listed(sampler: tinker.SamplingClient, count: int) -> None:
    params = types.SamplingParams(max_tokens=1)
    with pytest.raises(tinker.RequestFailedError, match=f"{count} is not in 0") as caught:
        sampler.sample(prompt(), 1, params, topk_sample_logprobs=count).result()
    assert caught.value.category is types.RequestErrorCategory.User


def test_listed_log_probabilities_are_those_of_training(tmp_path: Path) -> None:
    engine = engine_at(tmp_path)
    base = str(tiny_folder())
    engine.create_sampler("s", base_model=base)
    engine.create_model("m", base, None)
    requests = [
        SampleRequest("s", (TokenChunk(TOKENS),), SamplingParams(max_tokens=1), top_of_prompt=count)
        for count in (0, 20, 3)  # in one batch
    ]
    none, found, few = (answered(one) for one in engine.sample(requests))
    assert none.prompt_top is None
    assert found.prompt_top is not None
    assert few.prompt_top is not None
    rows = [row for row in found.prompt_top if row is not None]
    assert found.prompt_top == [None, *rows]
    assert few.prompt_top == [None, *(row[:3] for row in rows)]
    for place in (0, 7, 19):
        targets = np.array([row[place][0] for row in rows], np.int64)
        datum = Datum((TokenChunk(TOKENS[:-1]),), {"target_tokens": targets})
        said = engine.forward_backward("m", [datum], "cross_entropy", forward_only=True)
        assert [row[place][1] for row in rows] == approx(said.outputs[0].logprobs.tolist())
