"""The shared-prefix pass: when it is taken, what it saves, and that it changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geospot_backends.local import forward
from geospot_backends.local.api import Datum, ImageChunk, LoraSpec, TokenChunk
from geospot_backends.local.forward import Group, find_groups
from geospot_backends.local.inputs import InputReader
from geospot_backends.local.models import BaseModel, ModelRegistry
from tests.support.engines import (
    engine_at,
    question,
    qwen25_folder,
    qwen35_folder,
    supervised,
    tiny_folder,
)
from tests.support.photos import make_photo

FOLDERS = {"qwen3_vl": tiny_folder, "qwen2_5_vl": qwen25_folder, "qwen3_5": qwen35_folder}


def base_of(kind: str) -> BaseModel:
    return ModelRegistry(device="cpu").get(str(FOLDERS[kind]()))


@pytest.mark.parametrize("kind", FOLDERS)
def test_positions_and_hidden_states_are_those_of_transformers(kind: str) -> None:
    """Text, one image, and two images of different shapes; padded together, and each alone."""
    base = base_of(kind)
    reader = InputReader(base)
    text = TokenChunk(tuple(range(40, 60)))
    one, two = (ImageChunk(make_photo(name, size=size)) for name, size in _PHOTOS)
    inputs = [(text,), (text, one, text), (text, one, TokenChunk((3, 4)), two, text), (one, text)]
    sequences = [reader.read(chunks) for chunks in inputs]
    with torch.no_grad():
        heads = forward.read_heads(base, sequences, base.network)
        for row, sequence in enumerate(sequences):
            ids = torch.tensor(sequence.tokens_L)[None]
            vision: dict[str, Any] = {}
            if sequence.images:
                pixels = [image.pixels for image in sequence.images]
                for name in ("pixel_values", "image_grid_thw"):
                    vision[name] = torch.cat([image.tensors[name] for image in pixels])
                vision["mm_token_type_ids"] = (ids == base.image_token).int()
                positions, _ = base.network.model.get_rope_index(
                    ids, vision["mm_token_type_ids"], vision["image_grid_thw"]
                )
                np.testing.assert_array_equal(positions[:, 0].numpy(), sequence.positions_3_L)
            base.network.model.rope_deltas = None
            wanted = base.network.model(input_ids=ids, **vision).last_hidden_state[0]
            first = heads.first_H[row]
            found = heads.hidden_H_L_D[row, first : first + sequence.length]
            torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)


_PHOTOS = (("a", (96, 96)), ("b", (200, 90)))


def test_groups_are_those_with_equal_images_and_a_common_beginning() -> None:
    base = base_of("qwen3_vl")
    reader = InputReader(base)
    answers = [[40, 41, 42], [40, 41, 50, 51], [60]]
    datums = [supervised(question("a"), answer) for answer in answers]
    datums += [supervised(question("b"), answer) for answer in answers[:1]]
    text = tuple(range(100, 120))
    datums += [supervised((TokenChunk(text),), answer) for answer in answers]
    short = supervised((TokenChunk((5, 6)),), [7])
    groups = find_groups([reader.read(datum.chunks) for datum in [*datums, short]])
    assert groups == [Group([0, 1, 2], 25), Group([3], 0), Group([4, 5, 6], 19), Group([7], 0)]


@pytest.mark.parametrize("kind", FOLDERS)
def test_sharing_and_dividing_change_neither_logprobs_nor_gradients(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shared, in portions of like length, in passes and logits of a few, each sequence on its own."""
    datums = [
        supervised(question(image), [40 + number, *range(60, 64 + 3 * number)])
        for image in ("a", "b", "c")
        for number in range(5)
    ]
    engine = engine_at(tmp_path)
    read_by_tower: list[int] = []
    _count_patches(monkeypatch, read_by_tower)

    def outcome(name: str) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        engine.create_model(name, str(FOLDERS[kind]()), LoraSpec(rank=4, seed=1))
        weights = engine._models[name].weights  # pyright: ignore[reportPrivateUsage]
        with torch.no_grad():
            for key, weight in weights.items():
                if "lora_B" in key:
                    weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
        result = engine.forward_backward(name, datums, "cross_entropy")
        gradient = engine._models[name].adam.gradient  # pyright: ignore[reportPrivateUsage]
        return np.concatenate([one.logprobs for one in result.outputs]), gradient

    shared = outcome("shared")
    assert sum(read_by_tower) == 3  # images
    monkeypatch.setattr(forward, "TAILS_AT_ONCE", 4)
    portions = outcome("portions")
    assert sum(read_by_tower) == 6
    monkeypatch.setattr("geospot_backends.local.training.TOKENS_A_PASS", 120)
    monkeypatch.setattr(forward, "_LOGITS_AT_ONCE", 512 * 7)
    divided = outcome("divided")
    read_by_tower.clear()
    monkeypatch.setattr(forward, "SHORTEST_SHARED", 10_000)
    flat = outcome("flat")
    assert sum(read_by_tower) == 15
    for other in (portions, divided, flat):
        np.testing.assert_allclose(other[0], shared[0], atol=1e-4)
        for key, gradient in shared[1].items():
            scale = float(gradient.abs().max()) + 1e-4
            torch.testing.assert_close(other[1][key], gradient, atol=1e-3 * scale, rtol=1e-3)


def _count_patches(monkeypatch: pytest.MonkeyPatch, images: list[int]) -> None:
    """Notes how many images each pass reads."""
    original = forward.read_heads

    def counting(base: BaseModel, sequences: list[Any], network: Any, **rest: Any) -> Any:
        images.append(sum(len(one.images) for one in sequences))
        return original(base, sequences, network, **rest)

    monkeypatch.setattr(forward, "read_heads", counting)


def test_a_prompt_with_the_same_image_twice_keeps_both() -> None:
    base = base_of("qwen3_vl")
    image = ImageChunk(make_photo("a", size=(96, 96)))
    datum = Datum((image, TokenChunk((5,)), image, TokenChunk((6, 7))), {})
    sequence = InputReader(base).read(datum.chunks)
    assert [one.start for one in sequence.images] == [0, 10]
    assert sequence.text_start == 19
    assert sequence.length == 21
