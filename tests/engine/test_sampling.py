"""Sampling: log-probabilities, seeds, stops, and what the batch must not change."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geospot_backends.local import forward, sampling
from geospot_backends.local.api import (
    AdamParams,
    Chunks,
    EngineUserError,
    LoraSpec,
    SampledSequence,
    SampleRequest,
    SampleResult,
    SamplingParams,
    TokenChunk,
)
from geospot_backends.local.engine import SNAPSHOTS_KEPT, LocalEngine
from geospot_backends.local.families import Heads
from geospot_backends.local.inputs import InputReader
from geospot_backends.local.models import BaseModel, ModelRegistry, load_tokenizer
from geospot_backends.local.sampling import choose
from geospot_backends.local.sequences import Sequence
from geospot_backends.local.tensors import list_of
from tests.support.approx import approx
from tests.support.engines import (
    answered,
    engine_at,
    experts_folder,
    question,
    qwen25_folder,
    qwen35_experts_folder,
    qwen35_folder,
    rollout,
    supervised,
    tiny_folder,
)

FOLDERS = {
    "qwen3_vl": tiny_folder,
    "qwen2_5_vl": qwen25_folder,
    "qwen3_vl_moe": experts_folder,
    "qwen3_5": qwen35_folder,
    "qwen3_5_moe": qwen35_experts_folder,
}


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    engine = engine_at(tmp_path)
    engine.create_sampler("base", base_model=str(tiny_folder()))
    return engine


def ask(prompt: Chunks, num_samples: int = 1, **params: object) -> SampleRequest:
    settings = SamplingParams(**{"max_tokens": 24, "seed": 7, **params})  # pyright: ignore[reportArgumentType]
    return SampleRequest("base", prompt, settings, num_samples)


@pytest.mark.parametrize("kind", FOLDERS)
def test_sampled_logprobs_are_those_of_the_training_forward(kind: str, tmp_path: Path) -> None:
    """For the base model, a LoRA that has moved, and prompts of different lengths and image sizes."""
    engine = engine_at(tmp_path)
    spec = LoraSpec(rank=4, seed=1, train_mlp="moe" not in kind)
    engine.create_model("m", str(FOLDERS[kind]()), spec)
    prompts = [question("a"), question("b"), (TokenChunk(tuple(range(30, 50))),)]
    engine.forward_backward("m", [supervised(prompts[0], [50, 51, 52])], "cross_entropy")
    engine.optim_step("m", AdamParams(learning_rate=0.05))
    engine.snapshot_sampler("m", "now")
    requests = [
        SampleRequest("now", prompt, SamplingParams(max_tokens=12 + 9 * number, seed=number), 3)
        for number, prompt in enumerate(prompts)
    ]
    results = [answered(result) for result in engine.sample(requests)]
    datums = [
        rollout(request.prompt, one.tokens, one.logprobs, 1.0)
        for request, result in zip(requests, results, strict=True)
        for one in result.sequences
    ]
    output = engine.forward_backward("m", datums, "importance_sampling", forward_only=True)
    sequences = [one for result in results for one in result.sequences]
    for read, sequence in zip(output.outputs, sequences, strict=True):
        np.testing.assert_allclose(
            read.logprobs[-len(sequence.tokens) :], sequence.logprobs, atol=1e-4
        )
    # with every ratio 1 the loss is minus the number of tokens
    tokens = sum(len(sequence.tokens) for sequence in sequences)
    assert output.metrics["loss:sum"] == approx(-tokens, rel=1e-4)


@pytest.mark.parametrize("kind", FOLDERS)
def test_equal_seeds_give_equal_samples_whatever_else_is_in_the_batch(
    kind: str, tmp_path: Path
) -> None:
    engine = engine_at(tmp_path)
    engine.create_sampler("base", base_model=str(FOLDERS[kind]()))
    mine = ask(question("mine"), 4, seed=11)
    alone = answered(engine.sample([mine])[0])
    crowd = [
        ask(question(f"other{number}", (96, 64 + 32 * (number % 3))), 1 + number, seed=number)
        for number in range(5)
    ]
    text = ask((TokenChunk(tuple(range(60, 160))),), 2, seed=11, max_tokens=60)
    same_prompt = ask(question("mine"), 3, seed=12, temperature=0.7, top_k=5)
    together = engine.sample([*crowd[:3], text, mine, same_prompt, *crowd[3:]])
    again = answered(together[4])
    assert [one.tokens for one in again.sequences] == [one.tokens for one in alone.sequences]
    for one, other in zip(again.sequences, alone.sequences, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-5)
    assert (
        len({tuple(one.tokens) for one in alone.sequences}) == 4
    )  # samples differ from each other
    assert (
        answered(engine.sample([replace(mine, params=replace(mine.params, seed=12))])[0]) != alone
    )


def test_a_prompt_is_read_once_for_all_its_samples(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counting(base: BaseModel, sequences: list[Sequence], network: Any, **rest: Any) -> Heads:
        read.append(len(sequences))
        return forward.read_heads(base, sequences, network, **rest)

    monkeypatch.setattr(sampling, "read_heads", counting)
    engine.sample([ask(question("a"), 4), ask(question("b"), 3), ask(question("a"), 2, seed=8)])
    assert read == [2]


def test_more_samples_begin_with_the_same_ones(engine: LocalEngine) -> None:
    few = answered(engine.sample([ask(question("x"), 2)])[0])
    many = answered(engine.sample([ask(question("x"), 5)])[0])
    assert [one.tokens for one in many.sequences[:2]] == [one.tokens for one in few.sequences]


def test_no_seed_draws_anew(engine: LocalEngine) -> None:
    request = ask(question("x"), seed=None)
    first, second = (answered(engine.sample([request])[0]) for _ in range(2))
    assert first.sequences[0].tokens != second.sequences[0].tokens


def test_temperature_zero_is_what_transformers_generates(engine: LocalEngine) -> None:
    base = ModelRegistry(device="cpu").get(str(tiny_folder()))
    sequence = InputReader(base).read(question("g"))
    ids = torch.tensor(sequence.tokens_L)[None]
    image = sequence.images[0].pixels
    generated = base.network.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        **image.tensors,
        mm_token_type_ids=(ids == base.image_token).int(),
        do_sample=False,
        max_new_tokens=20,
        suppress_tokens=list_of(torch.nonzero(base.unspeakable_V)[:, 0]),
    )
    wanted = generated[0, ids.shape[1] :].tolist()
    greedy = answered(engine.sample([ask(question("g"), temperature=0, max_tokens=20)])[0])
    assert greedy.sequences[0].tokens == wanted


def test_a_stop_token_ends_a_sample_and_is_part_of_it(engine: LocalEngine) -> None:
    free = _one(engine, ask(question("s"), stop=[]))
    assert free.stop_reason == "length"
    assert len(free.tokens) == 24
    stop = free.tokens[5]
    stopped = _one(engine, ask(question("s"), stop=[stop]))
    assert stopped.tokens == free.tokens[: free.tokens.index(stop) + 1]
    assert stopped.stop_reason == "stop"
    assert len(stopped.logprobs) == len(stopped.tokens)


def test_a_stop_text_may_span_tokens(engine: LocalEngine) -> None:
    tokenizer = load_tokenizer(tiny_folder())
    free = _one(engine, ask(question("s"), stop=[], seed=3))
    text: str = tokenizer.decode(free.tokens[4:6])
    stopped = _one(engine, ask(question("s"), stop=text, seed=3))
    assert stopped.stop_reason == "stop"
    assert text in tokenizer.decode(stopped.tokens)
    assert text not in tokenizer.decode(stopped.tokens[:-1])
    assert stopped.tokens == free.tokens[: len(stopped.tokens)]


@pytest.mark.parametrize("temperature", [50.0, 1e6, 1e300])
def test_no_image_placeholder_and_no_unused_row_is_ever_sampled(
    engine: LocalEngine, temperature: float
) -> None:
    base = ModelRegistry(device="cpu").get(str(tiny_folder()))
    silent = set(list_of(torch.nonzero(base.unspeakable_V)[:, 0]))
    assert base.image_token in silent
    hot = ask(question("h"), 64, temperature=temperature, max_tokens=40, stop=[])
    result = answered(engine.sample([hot])[0])
    tokens = {token for one in result.sequences for token in one.tokens}
    assert len(tokens) > 0.95 * (base.vocabulary - len(silent))
    assert not tokens & silent


def test_choices_follow_the_distribution_that_was_asked_for() -> None:
    weights = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05])
    rows = 20_000
    uniform = np.random.default_rng(0).random(rows).tolist()

    def shares(params: SamplingParams) -> list[float]:
        logprob_N_V = weights.log().expand(rows, -1).clone()
        drawn = choose(logprob_N_V, [params] * rows, uniform, torch.zeros(5, dtype=torch.bool))
        return list_of(torch.bincount(drawn, minlength=5) / rows)

    assert shares(SamplingParams()) == approx([0.5, 0.2, 0.15, 0.1, 0.05], abs=0.01)
    assert shares(SamplingParams(top_k=2)) == approx([0.5 / 0.7, 0.2 / 0.7, 0, 0, 0], abs=0.01)
    # the fewest that reach 0.8: the first three
    assert shares(SamplingParams(top_p=0.8)) == approx(
        [0.5 / 0.85, 0.2 / 0.85, 0.15 / 0.85, 0, 0], abs=0.01
    )
    flat = weights.sqrt() / weights.sqrt().sum()
    assert shares(SamplingParams(temperature=2.0)) == approx([float(one) for one in flat], abs=0.01)
    assert shares(SamplingParams(temperature=0)) == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("temperature", [5e-324, 1e-42, 1e-5])
def test_tiny_temperatures_take_the_likeliest_token(
    engine: LocalEngine, temperature: float
) -> None:
    """Also beside a warm request in the same batch."""
    greedy = ask(question("t"), temperature=0)
    cold = ask(question("t"), temperature=temperature)
    warm = ask(question("t"), temperature=1.0)
    results = [answered(result).sequences[0] for result in engine.sample([cold, warm, greedy])]
    assert results[0] == results[2]
    assert np.isfinite(results[0].logprobs).all()
    assert _one(engine, cold).tokens == results[0].tokens
    assert _one(engine, warm).tokens == results[1].tokens != results[0].tokens


@pytest.mark.parametrize("temperature", [1e-4, 1.0, 1e308])
@pytest.mark.parametrize("top_p", [0.5, 1.0])
def test_what_must_not_be_said_is_drawn_at_neither_end(temperature: float, top_p: float) -> None:
    logit_V = torch.tensor([-99999.0, 1.0, 0.5, -99999.0])
    rows = 1000
    uniform = np.linspace(0, 1, rows, endpoint=False).tolist()
    uniform[-1] = float(np.nextafter(1.0, 0.0))
    drawn = choose(
        logit_V.log_softmax(-1).expand(rows, -1),
        [SamplingParams(temperature=temperature, top_p=top_p)] * rows,
        uniform,
        logit_V < 0,
    )
    assert set(list_of(drawn)) <= {1, 2}
    if temperature > 1 == top_p:
        assert list_of(torch.bincount(drawn)) == [0, 500, 500]


def test_prompt_logprobs_are_those_of_a_training_forward(engine: LocalEngine) -> None:
    prompt = question("p")
    request = SampleRequest("base", prompt, SamplingParams(max_tokens=1), prompt_logprobs=True)
    values = answered(engine.sample([request])[0]).prompt_logprobs
    assert values is not None
    assert len(values) == 3 + 9 + 14
    assert values[0] is None
    assert values[3:12] == [None] * 9
    engine.create_model("m", str(tiny_folder()), LoraSpec(rank=1))
    last = prompt[2]
    assert isinstance(last, TokenChunk)
    datum = supervised((*prompt[:2], TokenChunk(last.tokens[:1])), list(last.tokens[1:]))
    trained = engine.forward_backward("m", [datum], "cross_entropy", forward_only=True)
    spoken = [value for value in values[13:] if value is not None]
    np.testing.assert_allclose(spoken, trained.outputs[0].logprobs[-13:], atol=1e-4)


def test_a_bad_request_fails_alone(engine: LocalEngine) -> None:
    good = ask(question("ok"), 2)
    bad = [
        SampleRequest("nobody", question("ok")),
        ask((TokenChunk((5, 99_999)),)),
        ask((TokenChunk((5,)), question("ok")[1])),  # ends in an image
        ask(question("ok"), 0),
        ask(question("ok"), top_p=0.0),
        ask(question("ok"), temperature=-1.0),
        ask(question("ok"), max_tokens=5000),
        ask(question("ok"), stop=""),
    ]
    results = engine.sample([bad[0], good, *bad[1:]])
    assert isinstance(results[1], SampleResult)
    assert answered(engine.sample([good])[0]).sequences == results[1].sequences
    for result in [results[0], *results[2:]]:
        assert isinstance(result, EngineUserError)
        assert result.category == "user"


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_nothing_is_sampled_from_weights_that_diverged(
    engine: LocalEngine, temperature: float
) -> None:
    engine.create_model("m", str(tiny_folder()), LoraSpec(rank=2, seed=1))
    engine.forward_backward("m", [supervised(question("a"), [50, 51])], "cross_entropy")
    engine.optim_step("m", AdamParams(learning_rate=1e38))
    engine.snapshot_sampler("m", "spoilt")
    good = ask(question("a"), 2, temperature=temperature)
    bad, sound = engine.sample([replace(good, sampler_id="spoilt"), good])
    assert isinstance(bad, EngineUserError)
    assert "NaN or infinity" in bad.message
    assert isinstance(sound, SampleResult)


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("params", [{}, {"temperature": 0}, {"top_k": 5, "top_p": 0.9}])
def test_what_is_no_number_fails_its_own_request_and_no_other_of_the_batch(
    engine: LocalEngine,
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, Any],
    spoilt: float,
) -> None:
    """From the third token on, in the first row; infinitely unlikely words leave none to choose."""
    first, second = ask(question("a"), **params), ask(question("b"), 3, **params)
    alone = answered(engine.sample([second])[0])
    logprobs, drawn = sampling.logprobs, 0

    def spoiled(base: BaseModel, hidden_N_D: torch.Tensor, network: Any) -> torch.Tensor:
        nonlocal drawn
        found_N_V = logprobs(base, hidden_N_D, network)
        drawn += 1
        if drawn == 3:
            found_N_V[0] = torch.full_like(found_N_V[0], spoilt)
            found_N_V[0] = found_N_V[0].masked_fill(base.unspeakable_V, -1.0).log_softmax(-1)
        return found_N_V

    monkeypatch.setattr(sampling, "logprobs", spoiled)
    bad, good = engine.sample([first, second])
    assert isinstance(bad, EngineUserError)
    assert bad.category == "user"
    assert [one.tokens for one in answered(good).sequences] == [
        one.tokens for one in alone.sequences
    ]


def test_a_prompt_that_has_no_number_is_not_answered(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(*_: object) -> torch.Tensor:
        return torch.full((25,), torch.nan)

    monkeypatch.setattr(sampling, "target_logprobs", spoiled)
    request = SampleRequest(
        "base", question("p"), SamplingParams(max_tokens=1), prompt_logprobs=True
    )
    (result,) = engine.sample([request])
    assert isinstance(result, EngineUserError)


def test_only_the_newest_snapshots_are_kept(engine: LocalEngine) -> None:
    engine.create_model("m", str(tiny_folder()), LoraSpec(rank=1))
    for number in range(SNAPSHOTS_KEPT + 1):
        engine.snapshot_sampler("m", f"s{number}")
    old, new = engine.sample(
        [SampleRequest(name, question("x"), SamplingParams(max_tokens=1)) for name in ("s0", "s1")]
    )
    assert isinstance(old, EngineUserError)
    assert "newest" in old.message
    assert isinstance(new, SampleResult)


def _one(engine: LocalEngine, request: SampleRequest) -> SampledSequence:
    return answered(engine.sample([request])[0]).sequences[0]
