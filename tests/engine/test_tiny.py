"""The tiny model: built alike every time, trained by our own command, and good at its task."""

import unicodedata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geospot.data.world import open_world
from geospot.evaluation.backend import BackendOptions
from geospot.prompts import TINY
from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import Datum, Engine, ImageChunk, LoraSpec, TokenChunk
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.models import load_tokenizer
from geospot_backends.local.train_tiny import app, evaluate, prompt, train, write_scratch
from geospot_backends.tinker_sampler import create_local

BEST_CONSTANT_KM = 7153
"""Median error of the best single guess on the world's test split."""


def test_the_shipped_model_locates_photos_it_has_never_seen(tmp_path: Path) -> None:
    engine: Engine = LocalEngine(tmp_path, device="cpu")
    assert engine.supported_models()[0].name == tiny_vlm.NAME
    engine.create_sampler("s", base_model=tiny_vlm.NAME)
    assert isinstance(engine, LocalEngine)
    errors_km = evaluate(engine, "s", open_world("test", size=100))
    assert median(errors_km) < BEST_CONSTANT_KM / 3


def test_the_shipped_files_are_small_and_hold_no_path_of_a_machine() -> None:
    files = [file for file in tiny_vlm.FOLDER.iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 3_000_000
    for file in files:
        if file.suffix == ".json":
            assert "/tmp" not in file.read_text(encoding="utf-8")  # noqa: S108


def test_scratch_is_the_same_every_time_and_leaves_random_state_alone(tmp_path: Path) -> None:
    token_id = tiny_vlm.special_ids(load_tokenizer(tiny_vlm.FOLDER))
    state = torch.get_rng_state()
    one, two, other = (tiny_vlm.build_model(token_id, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    pairs = list(zip(one.parameters(), two.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not all(
        torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )
    assert 550_000 < sum(parameter.numel() for parameter in one.parameters()) < 650_000
    engine = LocalEngine(tmp_path, device="cpu")
    engine.create_model("m", tiny_vlm.SCRATCH_NAME, LoraSpec(rank=1))
    assert engine.info("m").base_model == tiny_vlm.SCRATCH_NAME


def test_random_weights_are_drawn_from_the_seed_that_is_asked_for(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, device="cpu")

    def drawn(model_id: str, base: str, seed: int | None) -> float:
        engine.create_model(model_id, base, None, seed=seed)
        tokens = np.array([3, 4, 5, 6])
        datum = Datum((TokenChunk((2, 3, 4, 5)),), {"target_tokens": tokens})
        result = engine.forward_backward(model_id, [datum], "cross_entropy", forward_only=True)
        return result.metrics["loss:sum"]

    scratch, shipped = tiny_vlm.SCRATCH_NAME, tiny_vlm.NAME
    first = drawn("a", scratch, 1)
    assert drawn("b", scratch, 1) == first
    assert drawn("c", scratch, 2) != first
    assert drawn("d", scratch, None) == drawn("e", scratch, 0) != first
    assert drawn("f", shipped, 1) == drawn("g", shipped, 2)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(tiny_vlm.FOLDER)


@given(text=st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_the_tokenizer_writes_every_text(tokenizer: Any, text: str) -> None:
    if any(token in text for token in tiny_vlm.SPECIAL_TOKENS):
        return
    ids: list[int] = tokenizer.encode(text)
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


def test_digits_stand_alone_and_special_tokens_are_single() -> None:
    tokenizer = load_tokenizer(tiny_vlm.FOLDER)
    ids: list[int] = tokenizer.encode("-123.4567")
    assert [tokenizer.decode([one]) for one in ids] == list("-123.4567")
    assert len(tokenizer) <= tiny_vlm.VOCABULARY
    for token in tiny_vlm.SPECIAL_TOKENS:
        assert len(tokenizer.encode(token)) == 1
    assert tokenizer.eos_token == tiny_vlm.IM_END


def test_the_chat_template_asks_as_the_training_did() -> None:
    tokenizer = load_tokenizer(tiny_vlm.FOLDER)
    chunks = prompt(tokenizer, b"")
    text = "".join(
        tiny_vlm.IMAGE_PAD if isinstance(one, ImageChunk) else tokenizer.decode(one.tokens)
        for one in chunks
    )
    question = text.split(tiny_vlm.VISION_END)[1].split(tiny_vlm.IM_END)[0]
    content = [{"type": "image"}, {"type": "text", "text": question}]
    templated = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    assert templated == text


def test_it_is_asked_what_it_was_trained_on_unless_the_person_says_otherwise() -> None:
    asked = create_local(BackendOptions()).as_trained.prompt
    assert asked is not None
    assert asked.text == TINY
    assert create_local(BackendOptions(model="Qwen/Qwen3-VL-2B-Instruct")).as_trained.prompt is None


def test_training_from_scratch_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = open_world("train", size=32)
    write_scratch(tmp_path / "scratch", data, seed=1)
    scratch = str(tmp_path / "scratch")
    engine = LocalEngine(tmp_path / "state", device="cpu", models=[scratch])
    engine.create_model("tiny", scratch, None)
    train(engine, data, steps=24, batch_size=4, learning_rate=3e-3, seed=1)
    losses = [float(line.split()[3]) for line in capsys.readouterr().out.splitlines()]
    assert losses[-1] < 0.7 * losses[0]


def test_the_command_writes_a_model_that_the_engine_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    command = ["--steps", "2", "--images", "8", "--batch-size", "4", "--test-images", "4"]
    app([*command, "--out", out], standalone_mode=False)
    assert "greedy median" in capsys.readouterr().out
    engine = LocalEngine(tmp_path / "state", device="cpu", models=[out])
    engine.create_model("m", out, LoraSpec(rank=1))
    tokenizer = load_tokenizer(Path(engine.info("m").tokenizer_dir))
    first = prompt(tokenizer, b"")[0]
    assert isinstance(first, TokenChunk)
    assert first.tokens[0] == tokenizer.convert_tokens_to_ids(tiny_vlm.IM_START)
