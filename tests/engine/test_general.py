"""Families without code of their own: read by transformers alone, one sequence at a time."""

import io
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from tinker import types

from geospot.renderers import Message, get_renderer
from geospot.renderers.processors import end_tokens, load_processor
from geospot_backends.local.api import (
    AdamParams,
    Chunks,
    Datum,
    EngineUserError,
    ImageChunk,
    LoraSpec,
    SampleRequest,
    SamplingParams,
    TokenChunk,
)
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.general_family import GeneralFamily, load_general
from geospot_backends.local.inputs import InputReader
from geospot_backends.local.models import BaseModel, ModelRegistry
from geospot_backends.local.sequences import PlacedImage, Sequence
from geospot_backends.local.tensors import list_of
from tests.support.engines import answered
from tests.support.general_models import GENERAL, paligemma_folder
from tests.support.photos import make_photo

PHOTO, WIDE = make_photo("a", size=(96, 96)), make_photo("b", size=(130, 50))
ASKED: dict[str, list[str | bytes]] = {
    "photo": [PHOTO, "Where is this?"],
    "wide photo": ["Where is", WIDE, "City and country of this"],
    "two photos": [PHOTO, "and", WIDE, "which?"],
    "text": ["Where is Lyon? City: Lyon Country: France"],
}
LORA = LoraSpec(rank=4, seed=1)


@pytest.fixture(scope="module", params=GENERAL)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def state(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the kind's engine keeps its checkpoints."""
    return tmp_path_factory.mktemp(kind)


@pytest.fixture(scope="module")
def engine(kind: str, state: Path) -> LocalEngine:
    """Loads a base model once; each test has a model of its own on it."""
    return engine_for(kind, state)


def message(parts: list[str | bytes]) -> Message:
    return {
        "role": "user",
        "content": [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image", "image": part}
            for part in parts
        ],
    }


@cache
def prompts_of(kind: str) -> dict[str, Chunks]:
    """What is asked, as the model's chat template renders it."""
    base = base_of(kind)
    renderer = get_renderer(str(base.folder), base.tokenizer)
    return {
        name: _chunks(renderer.build_generation_prompt([message(parts)]))
        for name, parts in ASKED.items()
    }


def _chunks(model_input: types.ModelInput) -> Chunks:
    chunks: list[TokenChunk | ImageChunk] = []
    for chunk in model_input.chunks:
        if isinstance(chunk, types.EncodedTextChunk):
            chunks.append(TokenChunk(tuple(chunk.tokens)))
        else:
            assert isinstance(chunk, types.ImageChunk)
            chunks.append(ImageChunk(chunk.data, chunk.format, chunk.expected_tokens))
    return tuple(chunks)


def engine_for(kind: str, state: Path) -> LocalEngine:
    engine = LocalEngine(state, device="cpu", models=[str(GENERAL[kind]())])
    engine.create_sampler("base", base_model=str(GENERAL[kind]()))
    return engine


@cache
def base_of(kind: str) -> BaseModel:
    return ModelRegistry(device="cpu").get(str(GENERAL[kind]()))


def datum(base: BaseModel, prompt: Chunks, tokens: list[int], **arrays: list[float]) -> Datum:
    """The prompt and its answer, shifted by one; `arrays` are the answer's, 0 for the prompt."""
    *before, last = prompt
    assert isinstance(last, TokenChunk)
    known = InputReader(base).read(prompt).length - 1
    chunks = (*before, TokenChunk((*last.tokens, *tokens[:-1])))
    inputs: dict[str, Any] = {"target_tokens": np.array([0] * known + tokens, np.int64)}
    for name, values in arrays.items():
        inputs[name] = np.array([0.0] * known + values, np.float32)
    return Datum(chunks, inputs)


def as_transformers_reads(base: BaseModel, parts: list[str | bytes]) -> dict[str, torch.Tensor]:
    """The forward pass's input by the model's own template and processor."""
    processor = load_processor(base.folder)._processor  # pyright: ignore[reportPrivateUsage]
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
        for part in parts
    ]
    chat = [{"role": "user", "content": content}]
    text = processor.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    images = [
        Image.open(io.BytesIO(part)).convert("RGB") for part in parts if isinstance(part, bytes)
    ]
    read = processor(
        text=[text], images=images or None, return_tensors="pt", add_special_tokens=False
    )
    return dict(read)


def test_what_is_asked_is_read_and_answered_as_by_transformers(
    kind: str, engine: LocalEngine
) -> None:
    """Log-probabilities of every position, and 20 greedy tokens as `generate` writes them."""
    base = base_of(kind)
    engine.create_model("asked", str(base.folder), LORA)
    for name, prompt in prompts_of(kind).items():
        read = as_transformers_reads(base, ASKED[name])
        ids: list[int] = list_of(read["input_ids"][0])
        with torch.no_grad():
            logits = base.network(**read).logits[0].float()
        targets = np.array([*ids[1:], 20])
        targets[base.unspeakable_V.numpy()[targets]] = 20
        logprobs = logits.masked_fill(base.unspeakable_V, -1e5).log_softmax(-1)
        wanted = logprobs.gather(1, torch.tensor(targets)[:, None])[:, 0]
        result = engine.forward_backward(
            "asked", [Datum(prompt, {"target_tokens": targets})], "cross_entropy", forward_only=True
        )
        np.testing.assert_allclose(result.outputs[0].logprobs, wanted.numpy(), atol=1e-4)

        silent = list_of(torch.nonzero(base.unspeakable_V)[:, 0])
        written = base.network.generate(
            **read, do_sample=False, max_new_tokens=20, suppress_tokens=silent
        )
        ends = end_tokens(base.folder)
        params = SamplingParams(max_tokens=20, temperature=0, stop=ends)
        answer = answered(engine.sample([SampleRequest("base", prompt, params)])[0])
        assert answer.sequences[0].tokens == list_of(written[0, len(ids) :])


def test_sampled_logprobs_are_those_of_the_training_forward(kind: str, engine: LocalEngine) -> None:
    base = base_of(kind)
    engine.create_model("sampled", str(base.folder), LORA)
    prompts = prompts_of(kind)
    engine.forward_backward(
        "sampled", [datum(base, prompts["photo"], [50, 51], weights=[1.0, 1.0])], "cross_entropy"
    )
    engine.optim_step("sampled", AdamParams(learning_rate=0.05))
    engine.snapshot_sampler("sampled", "now")
    requests = [
        SampleRequest("now", prompt, SamplingParams(max_tokens=9 + 9 * number, seed=number), 3)
        for number, prompt in enumerate(prompts.values())
    ]
    results = [answered(result) for result in engine.sample(requests)]
    sequences = [one for result in results for one in result.sequences]
    datums = [
        datum(
            base,
            request.prompt,
            one.tokens,
            logprobs=one.logprobs,
            advantages=[1.0] * len(one.tokens),
        )
        for request, result in zip(requests, results, strict=True)
        for one in result.sequences
    ]
    output = engine.forward_backward("sampled", datums, "importance_sampling", forward_only=True)
    for read, sequence in zip(output.outputs, sequences, strict=True):
        answer = read.logprobs[-len(sequence.tokens) :]
        np.testing.assert_allclose(answer, sequence.logprobs, atol=1e-4)


def test_equal_seeds_give_equal_samples_whatever_else_is_in_the_batch(
    kind: str, engine: LocalEngine
) -> None:
    prompts = prompts_of(kind)
    mine = SampleRequest("base", prompts["photo"], SamplingParams(max_tokens=20, seed=11), 3)
    alone = answered(engine.sample([mine])[0])
    others = [
        SampleRequest("base", prompt, SamplingParams(max_tokens=25, seed=number), 2)
        for number, prompt in enumerate(prompts.values())
    ]
    again = answered(engine.sample([*others[1:], mine, others[0]])[3])
    assert [one.tokens for one in again.sequences] == [one.tokens for one in alone.sequences]
    for one, other in zip(again.sequences, alone.sequences, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-5)
    assert len({tuple(one.tokens) for one in alone.sequences}) == 3


def test_adapters_learn_in_the_text_model_and_come_back(
    kind: str, engine: LocalEngine, state: Path
) -> None:
    base = base_of(kind)
    engine.create_model("learner", str(base.folder), LORA)
    prompts = prompts_of(kind)
    datums = [
        datum(base, prompts["photo"], [40, 41, 42], weights=[1.0] * 3),
        datum(base, prompts["wide photo"], [50, 51], weights=[1.0] * 2),
    ]
    weights = engine._models["learner"].weights  # pyright: ignore[reportPrivateUsage]
    for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj", "lm_head"):
        assert any(f"{part}.lora_A" in name for name in weights)
    assert not any("vision" in name for name in weights)
    losses: list[float] = []
    for _ in range(12):
        result = engine.forward_backward("learner", datums, "cross_entropy")
        losses.append(result.metrics["loss:sum"])
        engine.optim_step("learner", AdamParams(learning_rate=0.02))
    assert losses[-1] < 0.5 * losses[0]
    path = engine.save_for_sampler("learner", "learned")
    again = engine_for(kind, state)
    again.create_sampler("learned", path=path)
    params = SamplingParams(max_tokens=3, temperature=0)
    request = SampleRequest("learned", prompts["photo"], params)
    assert answered(again.sample([request])[0]).sequences[0].tokens[:3] == [40, 41, 42]


def test_photos_change_the_answer_and_their_tokens_are_counted(
    kind: str, engine: LocalEngine
) -> None:
    base = base_of(kind)
    engine.create_model("looking", str(base.folder), LORA)
    *before, image, text = prompts_of(kind)["photo"]
    assert isinstance(image, ImageChunk)
    other = ImageChunk(make_photo("z", size=(96, 96)), expected_tokens=image.expected_tokens)
    read = [
        datum(base, (*before, chunk, text), [40, 41], weights=[1.0, 1.0])
        for chunk in (image, other)
    ]
    one, two = engine.forward_backward("looking", read, "cross_entropy", forward_only=True).outputs
    assert not np.allclose(one.logprobs[-2:], two.logprobs[-2:], atol=1e-4)
    wrong = ImageChunk(image.data, expected_tokens=(image.expected_tokens or 0) + 1)
    with pytest.raises(EngineUserError, match=rf"{image.expected_tokens} tokens"):
        engine.forward_backward("looking", [Datum((*before, wrong, text), {})], "cross_entropy")


def test_a_model_that_answers_otherwise_than_it_reads_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the cache forgets what it was given; the trial at loading sees it."""
    plain = GeneralFamily.go_on

    def forgetful(self: GeneralFamily, network: Any, cache: Any, *rest: Any) -> torch.Tensor:
        for layer in cache.layers:
            layer.values = torch.zeros_like(layer.values)
        return plain(self, network, cache, *rest)

    monkeypatch.setattr(GeneralFamily, "go_on", forgetful)
    engine = LocalEngine(tmp_path, device="cpu", models=[str(GENERAL["llava"]())])
    with pytest.raises(EngineUserError, match=r"can't be served: .* token by token"):
        engine.create_model("m", str(GENERAL["llava"]()), LORA)


def test_bounded_logits_are_those_of_transformers(tmp_path: Path) -> None:
    """Gemma's `final_logit_softcapping`; and an output layer that does more is refused."""
    folder = tmp_path / "model"
    shutil.copytree(GENERAL["gemma3"](), folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["final_logit_softcapping"] = 2.0
    (folder / "config.json").write_text(json.dumps(config))
    # Gemma 3 itself doesn't bound them here, so what is read and what is answered differ.
    with pytest.raises(EngineUserError, match="output layer"):
        ModelRegistry(device="cpu").get(str(folder))


def test_a_model_whose_prompt_sees_its_answer_is_refused(tmp_path: Path) -> None:
    """PaliGemma without its masks reads all of a sequence both ways."""
    engine = LocalEngine(tmp_path, device="cpu", models=[str(paligemma_folder())])
    with pytest.raises(EngineUserError, match=r"can't be served: .* token by token"):
        engine.create_model("m", str(paligemma_folder()), LORA)


def test_a_processor_that_can_not_be_made_is_the_reason_given(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(GENERAL["llava"](), folder)
    (folder / "processor_config.json").unlink()
    with pytest.raises(EngineUserError, match=r"can't be served: The processor .* can't be made"):
        ModelRegistry(device="cpu").get(str(folder))


def test_positions_are_not_those_of_the_sequence_before() -> None:
    """Models whose images take fewer positions than tokens remember by how many; GLM-4V is another."""
    base = ModelRegistry("cpu").get("geospot/tiny-vlm")
    family = load_general(base.network, base.folder, base.tokenizer)
    pixels = family.image(PHOTO, b"", Image.open(io.BytesIO(PHOTO)).convert("RGB"))
    text_L = np.array(base.tokenizer.encode("Latitude: 48.8566"), np.int64)

    def sequence(tokens_L: npt.NDArray[np.int64], *images: PlacedImage) -> Sequence:
        positions_3_L = np.tile(np.arange(len(tokens_L)), (3, 1))
        return Sequence(tokens_L, positions_3_L, images, len(tokens_L))

    with torch.no_grad():
        whole = family.read(base.network, [sequence(text_L)], remember=False).hidden_H_L_D[0, -1]
        photo = sequence(np.concatenate([pixels.tokens_N, text_L]), PlacedImage(0, pixels))
        family.read(base.network, [photo], remember=True)
        head = family.read(base.network, [sequence(text_L[:-1])], remember=True)
        last = torch.tensor([[int(text_L[-1])]])
        stepped = family.go_on(base.network, head.cache, last, head.mask_H_L, head.mask_H_L)[0, -1]
    torch.testing.assert_close(stepped, whole, atol=1e-4, rtol=0)
