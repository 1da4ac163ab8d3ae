"""bfloat16 bases, as on a GPU: adapters stay in float32, and everything runs through."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from geospot_backends.local.api import AdamParams, LoraSpec, SampleRequest, SamplingParams
from geospot_backends.local.engine import LocalEngine
from tests.support.engines import (
    answered,
    question,
    qwen25_folder,
    qwen35_folder,
    rollout,
    supervised,
    tiny_folder,
)


@pytest.mark.parametrize(
    "folder", [tiny_folder, qwen25_folder, qwen35_folder], ids=["qwen3", "qwen2.5", "qwen3.5"]
)
def test_a_bfloat16_base_trains_samples_and_comes_back(
    folder: Callable[[], Path], tmp_path: Path
) -> None:
    engine = LocalEngine(tmp_path, device="cpu", dtype=torch.bfloat16, models=[str(folder())])
    for name, spec in (("lora", LoraSpec(rank=4, seed=1)), ("all", None)):
        engine.create_model(name, str(folder()), spec)
        weights = engine._models[name].weights  # pyright: ignore[reportPrivateUsage]
        wanted = torch.bfloat16 if spec is None else torch.float32
        assert {weight.dtype for weight in weights.values()} == {wanted}
        datums = [supervised(question("a"), [40, 41, 42]), supervised(question("a"), [50])]
        losses: list[float] = []
        for _ in range(6):
            losses.append(
                engine.forward_backward(name, datums, "cross_entropy").metrics["loss:sum"]
            )
            engine.optim_step(name, AdamParams(learning_rate=0.02))
        assert losses[-1] < 0.8 * losses[0]
        engine.snapshot_sampler(name, f"s-{name}")
        ask = SamplingParams(max_tokens=8, seed=3)
        answer = answered(engine.sample([SampleRequest(f"s-{name}", question("a"), ask, 4)])[0])
        again = [rollout(question("a"), one.tokens, one.logprobs, 1.0) for one in answer.sequences]
        read = engine.forward_backward(name, again, "importance_sampling", forward_only=True)
        for one, output in zip(answer.sequences, read.outputs, strict=True):
            gap = np.abs(output.logprobs[-len(one.tokens) :] - one.logprobs)
            assert gap.max() < 0.3  # bfloat16 has three digits
        path = engine.save_weights(name, "final")
        engine.load_model(f"{name}-again", path, optimizer=True)
        both = [
            engine.forward_backward(one, datums, "cross_entropy", forward_only=True)
            for one in (name, f"{name}-again")
        ]
        assert both[0].metrics == both[1].metrics
