"""The benchmark of accelerators, on a tiny model: all of it runs, and both sides do the same work."""

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import accelerator
from benchmarks.accelerator_model import FULL, SMALL, build_network, photo_prompts, write_model
from benchmarks.accelerator_plain import Plain
from geospot_backends.local import tiny_vlm
from geospot_backends.local.engine import LocalEngine

PUBLISHED_PARAMETERS = 2_127_532_032
"""What the configuration of Qwen3-VL-2B comes to, the tied output layer counted once."""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_way_is_measured(dtype: str) -> None:
    table = accelerator.measure(replace(SMALL, dtype=dtype), "cpu")
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][2:]
    assert [row[0].strip() for row in rows] == ["sampling"] * 3 + ["training step"] * 3
    for row in rows:
        seconds, tokens_per_s = float(row[2]), float(row[3].replace(",", ""))
        assert seconds > 0
        assert tokens_per_s > 0
    assert [float(rows[number][4]) for number in (2, 5)] == [1.0, 1.0]


def test_the_plain_step_sees_what_the_engine_sampled(tmp_path: Path) -> None:
    # Larger weights than usual, so that an answer's place and photo show in its log-probability.
    size = replace(
        SMALL,
        text=SMALL.text | {"initializer_range": 0.2},
        vision=SMALL.vision | {"initializer_range": 0.2},
    )
    folder = tmp_path / "model"
    write_model(folder, size, "cpu")
    prompts = photo_prompts(folder, size)
    engine = LocalEngine(tmp_path / "state", device="cpu", models=[str(folder)])
    ours = accelerator._InProcess(  # pyright: ignore[reportPrivateUsage]
        engine, str(folder), size, prompts
    )
    datums = ours.rollouts()
    assert len(datums) == size.photos * size.group
    sampled = np.array(
        [one.inputs["logprobs"][-size.max_tokens :].tolist() for one in datums]
    ).ravel()
    found = np.array(Plain(folder, size, "cpu", prompts).step(datums))
    # The engine never samples the two placeholders, which moves all others a little.
    np.testing.assert_allclose(found, sampled, atol=0.05)
    assert found.std() > 0.5


def test_the_large_model_has_the_size_that_was_published() -> None:
    with torch.device("meta"):
        network = build_network(FULL, {one: i for i, one in enumerate(tiny_vlm.SPECIAL_TOKENS)})
    assert sum(prod(one.shape) for one in network.parameters()) == PUBLISHED_PARAMETERS


def test_without_an_accelerator_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert accelerator.main(quick=False).startswith("Not measured: there is no CUDA device here.")
