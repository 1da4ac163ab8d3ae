"""The quick path: what it computes is what transformers computes, with either library of products."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geospot_backends.local import inputs, products, quick_ops
from geospot_backends.local.api import (
    AdamParams,
    Datum,
    ImageChunk,
    LoraSpec,
    SampleRequest,
    SampleResult,
    SamplingParams,
    TokenChunk,
)
from geospot_backends.local.engine import LocalEngine
from tests.support.engines import (
    answered,
    engine_at,
    question,
    qwen35_folder,
    rollout,
    supervised,
    tiny_folder,
)

TEXT = (TokenChunk(tuple(range(100, 150))),)
TWO_PHOTOS = (TokenChunk((5,)), *question("a")[1:2], *question("b")[1:2], TEXT[0])


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    return engine_at(tmp_path)


@pytest.fixture(params=["torch", "numpy"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(products, "_BY_NUMPY", request.param == "numpy")
    return str(request.param)


def network_of(engine: LocalEngine, name: str) -> Any:
    model = engine._models[name]  # pyright: ignore[reportPrivateUsage]
    return model.host.bind(model.lora, model.weights)


def many() -> list[Datum]:
    """Heads and tails of different lengths, a prompt without photo, one with two, and loners."""
    prompts = (question("a"), question("b"), TEXT, TWO_PHOTOS)
    rollouts = [
        rollout(prompt, [40 + number, *range(60, 64 + 5 * number)], [-5.0] * (5 + 5 * number), 0.5)
        for prompt in prompts
        for number in range(3)
    ]
    return [*rollouts, rollout(question("alone"), [50, 51], [-6.0, -6.0], -1.0)]


def outcome(engine: LocalEngine, name: str, datums: list[Datum]) -> tuple[Any, Any]:
    result = engine.forward_backward(name, datums, "importance_sampling")
    adam = engine._models[name].adam  # pyright: ignore[reportPrivateUsage]
    gradient = {key: value.clone() for key, value in adam.gradient.items()}
    adam.gradient.clear()
    return np.concatenate([one.logprobs for one in result.outputs]), gradient


@pytest.mark.usefixtures("library")
def test_logprobs_and_gradients_are_those_of_transformers(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick_ops, "_LOGITS_AT_ONCE", 512 * 70)  # several parts
    engine.create_model("all", str(tiny_folder()), None)
    network = network_of(engine, "all")
    assert network.geospot_quick
    quick = outcome(engine, "all", many())
    monkeypatch.setattr(network, "geospot_quick", False)
    plain = outcome(engine, "all", many())
    np.testing.assert_allclose(quick[0], plain[0], atol=1e-5)
    assert quick[1].keys() == plain[1].keys()
    for key, gradient in plain[1].items():
        assert gradient.abs().max() > 0, key
        scale = float(gradient.abs().max())
        torch.testing.assert_close(quick[1][key], gradient, atol=2e-5 * scale, rtol=1e-3)


@pytest.mark.usefixtures("library")
def test_samples_are_those_of_transformers(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts of different lengths, samples that end early, and more tokens than there was room for."""
    engine.create_model("all", str(tiny_folder()), None)
    engine.snapshot_sampler("all", "now")
    network = network_of(engine, "all")
    requests = [
        SampleRequest("now", prompt, SamplingParams(max_tokens=length, seed=number), 3)
        for number, (prompt, length) in enumerate(
            ((question("a"), 150), (TEXT, 20), (TWO_PHOTOS, 40), (question("b"), 70))
        )
    ]

    def sampled() -> list[SampleResult]:
        return [answered(one) for one in engine.sample(requests)]

    quick = sampled()
    monkeypatch.setattr(network, "geospot_quick", False)
    for result, other in zip(quick, sampled(), strict=True):
        for one, another in zip(result.sequences, other.sequences, strict=True):
            assert one.tokens == another.tokens
            np.testing.assert_allclose(one.logprobs, another.logprobs, atol=1e-4)
    assert max(len(one.tokens) for one in quick[0].sequences) > 130


def test_a_sampler_keeps_its_weights_when_training_goes_on(engine: LocalEngine) -> None:
    """Joined matrices are remembered: not those of other weights, nor of the same before a step."""
    engine.create_model("all", str(tiny_folder()), None)
    engine.snapshot_sampler("all", "before")

    def sampled(sampler: str) -> SampleResult:
        request = SampleRequest(sampler, question("a"), SamplingParams(max_tokens=12, seed=1), 4)
        return answered(engine.sample([request])[0])

    def read() -> Any:
        made = engine.forward_backward(
            "all", [supervised(question("a"), [50, 51])], "cross_entropy", forward_only=True
        )
        return made.outputs[0].logprobs

    before, scored = sampled("before"), read()
    engine.forward_backward("all", many(), "importance_sampling")
    engine.optim_step("all", AdamParams(learning_rate=0.02))
    assert np.abs(read() - scored).max() > 0.01
    engine.snapshot_sampler("all", "after")
    assert sampled("after") != before
    assert sampled("before") == before


def test_only_networks_that_are_exactly_that_are_quick(engine: LocalEngine) -> None:
    engine.create_model("lora", str(tiny_folder()), LoraSpec(rank=2))
    engine.create_model("other", str(qwen35_folder()), None)
    for name in ("lora", "other"):
        assert not getattr(network_of(engine, name), "geospot_quick", False)


def test_a_photo_is_read_ahead_once_and_a_bad_one_is_refused_later(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    decode = inputs._decode  # pyright: ignore[reportPrivateUsage]

    def counting(data: bytes, *rest: Any) -> Any:
        read.append(data)
        return decode(data, *rest)

    monkeypatch.setattr(inputs, "_decode", counting)
    engine.create_sampler("base", base_model=str(tiny_folder()))
    params = SamplingParams(max_tokens=1, seed=0)
    good = SampleRequest("base", question("a"), params)
    bad = SampleRequest("base", (ImageChunk(b"no photo"), TokenChunk((5,))), params)
    photo = good.prompt[1]
    assert isinstance(photo, ImageChunk)
    for request in (good, bad, SampleRequest("nobody", question("b"), params)):
        engine.read_ahead(request)
    assert read == [photo.data, b"no photo"]
    results = engine.sample([good, bad])
    assert "decoded" in str(results[1])
    answered(results[0])
    assert read.count(photo.data) == 1


@pytest.mark.parametrize(
    ("threads", "maker", "is_faster"),
    [("1", "AuthenticAMD", True), ("2", "AuthenticAMD", False), ("1", "GenuineIntel", False)],
)
def test_numpy_multiplies_where_it_is_faster_and_on_one_thread(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: str,
    maker: str,
    is_faster: bool,
) -> None:
    decide = products._is_faster  # pyright: ignore[reportPrivateUsage]
    with monkeypatch.context() as alone:
        alone.setenv("OPENBLAS_NUM_THREADS", "1")
        loaded = runpy.run_path(str(products.__file__))  # it decides when it is imported
        assert loaded["_BY_NUMPY"] is decide()
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: {maker}\n")
    monkeypatch.setattr(products, "_PROCESSORS", tmp_path / "cpuinfo")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
    assert decide() is is_faster
