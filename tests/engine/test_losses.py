"""Losses and gradients against autograd written out here, on logits computed without the engine."""

from pathlib import Path

import numpy as np
import pytest
import torch

from geospot_backends.local.api import AdamParams, Datum, EngineUserError
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.inputs import InputReader
from geospot_backends.local.losses import make_loss
from geospot_backends.local.models import ModelRegistry
from geospot_backends.local.untyped import untyped
from tests.support.approx import approx
from tests.support.engines import engine_at, question, rollout, supervised, tiny_folder

ANSWERS = [[40, 41, 42, 43, 44], [40, 41, 99, 98], [60, 61, 62, 63, 64, 65, 66], [70]]


def reference_logprobs(network: torch.nn.Module, datum: Datum) -> torch.Tensor:
    """Log-probabilities of the targets by the plain transformers model, one sequence at a time."""
    base = ModelRegistry(device="cpu").get(str(tiny_folder()))
    sequence = InputReader(base).read(datum.chunks)
    ids = torch.tensor(sequence.tokens_L)[None]
    pixels = [image.pixels for image in sequence.images]
    out = network(
        input_ids=ids,
        pixel_values=torch.cat([one.tensors["pixel_values"] for one in pixels]),
        image_grid_thw=torch.cat([one.tensors["image_grid_thw"] for one in pixels]),
        mm_token_type_ids=(ids == base.image_token).int(),
    )
    logits = out.logits[0].masked_fill(base.unspeakable_V, -torch.inf)
    targets = torch.tensor(datum.inputs["target_tokens"].astype(np.int64))
    return logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]


def plain_network() -> torch.nn.Module:
    classes = untyped("transformers")
    return classes.Qwen3VLForConditionalGeneration.from_pretrained(str(tiny_folder())).eval()


def written_out(name: str, target: torch.Tensor, datum: Datum) -> torch.Tensor:
    """The documented definitions, token by token."""
    arrays = {key: torch.tensor(value.astype(np.float32)) for key, value in datum.inputs.items()}
    total = torch.zeros(())
    for position in range(len(target)):
        logprob = target[position]
        if name == "cross_entropy":
            total = total - arrays["weights"][position] * logprob
            continue
        ratio = torch.exp(logprob - arrays["logprobs"][position])
        advantage = arrays["advantages"][position]
        if name == "importance_sampling":
            total = total - ratio * advantage
        elif name == "ppo":
            clipped = torch.clip(ratio, 0.8, 1.2)
            total = total - torch.min(ratio * advantage, clipped * advantage)
        else:
            total = total - torch.clip(ratio, 0.0, 4.0).detach() * logprob * advantage
    return total


def datums_for(name: str) -> list[Datum]:
    """Two groups that share a prompt, and a loner; advantages of both signs, ratios on both sides."""
    network = plain_network()
    datums: list[Datum] = []
    for number, answer in enumerate([*ANSWERS, ANSWERS[2]]):
        prompt = question("first" if number < 2 else "second" if number < 4 else "third")
        if name == "cross_entropy":
            datums.append(supervised(prompt, answer, weight=0.5 + number))
            continue
        probe = supervised(prompt, answer)
        with torch.no_grad():
            known = reference_logprobs(network, probe)[-len(answer) :]
        shifts = [(-1) ** place * 0.25 * (place % 4) - 0.1 for place in range(len(answer))]
        sampler = [float(value) + shift for value, shift in zip(known, shifts, strict=True)]
        datums.append(rollout(prompt, answer, sampler, advantage=(-1) ** number * (1 + number)))
    return datums


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    return engine_at(tmp_path)


@pytest.mark.parametrize("name", ["cross_entropy", "importance_sampling", "ppo", "cispo"])
def test_loss_and_gradient_are_those_written_out(name: str, engine: LocalEngine) -> None:
    datums = datums_for(name)
    network = plain_network()
    references = [reference_logprobs(network, datum) for datum in datums]
    expected = torch.stack(
        [written_out(name, one, datum) for one, datum in zip(references, datums, strict=True)]
    ).sum()
    expected.backward()  # pyright: ignore[reportUnknownMemberType]

    engine.create_model("m", str(tiny_folder()), None)
    result = engine.forward_backward("m", datums, name)

    assert result.metrics["loss:sum"] == approx(float(expected.detach()), abs=1e-3)
    for output, reference in zip(result.outputs, references, strict=True):
        np.testing.assert_allclose(output.logprobs, reference.detach().numpy(), atol=1e-4)
    gradient = engine._models["m"].adam.gradient  # pyright: ignore[reportPrivateUsage]
    named = dict(network.named_parameters())
    assert set(gradient) == set(named)
    for key, parameter in named.items():
        wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        scale = float(wanted.abs().max()) + 1e-3
        torch.testing.assert_close(gradient[key], wanted, atol=1e-4 * scale, rtol=1e-3)


def test_calls_add_up_and_forward_only_adds_nothing(engine: LocalEngine) -> None:
    datums = datums_for("cross_entropy")
    folder = str(tiny_folder())
    for name in ("whole", "parts"):
        engine.create_model(name, folder, None)
    engine.forward_backward("whole", datums, "cross_entropy")
    engine.forward_backward("parts", datums[:2], "cross_entropy")
    engine.forward_backward("parts", datums, "cross_entropy", forward_only=True)
    engine.forward_backward("parts", datums[2:], "cross_entropy")
    norms = [engine.optim_step(name, AdamParams())["grad_norm"] for name in ("whole", "parts")]
    assert norms[0] == approx(norms[1], rel=1e-4)
    assert norms[0] > 0


def test_thresholds_are_bounds_of_the_ratio(engine: LocalEngine) -> None:
    datums = datums_for("ppo")
    engine.create_model("m", str(tiny_folder()), None)
    losses = [
        engine.forward_backward("m", datums, "ppo", config, forward_only=True).metrics["loss:sum"]
        for config in (
            None,
            {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2},
            {"clip_low_threshold": 0.0, "clip_high_threshold": 1e9},
        )
    ]
    unclipped = engine.forward_backward("m", datums, "importance_sampling", forward_only=True)
    assert losses[0] == losses[1]
    assert losses[2] == approx(unclipped.metrics["loss:sum"], rel=1e-6)
    assert losses[0] > losses[2] + 0.1  # clipping only ever makes the objective worse


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("reinforce", None),
        ("ppo", {"epsilon": 0.2}),
        ("cross_entropy", {"clip_low_threshold": 0.1}),
        ("cispo", {"clip_low_threshold": 2.0, "clip_high_threshold": 1.0}),
        ("ppo", {"clip_low_threshold": float("nan")}),
    ],
)
def test_a_loss_that_makes_no_sense_is_refused(name: str, config: dict[str, float] | None) -> None:
    with pytest.raises(EngineUserError):
        make_loss(name, config)
