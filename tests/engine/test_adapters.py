"""Adapters share a base and nothing else; checkpoints bring everything back."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import (
    AdamParams,
    EngineError,
    EngineUserError,
    LoraSpec,
    SampleRequest,
    SamplingParams,
)
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.inputs import InputReader
from geospot_backends.local.models import ModelRegistry
from geospot_backends.local.untyped import untyped
from tests.support.engines import (
    answered,
    engine_at,
    question,
    qwen25_folder,
    qwen35_folder,
    supervised,
    tiny_folder,
)

STEP = AdamParams(learning_rate=0.02, weight_decay=0.1, grad_clip_norm=0.5)
DATUMS = [supervised(question("a"), [40, 41, 42, 43]), supervised(question("b"), [50, 51])]
SPECS: dict[str, LoraSpec | None] = {
    "small": LoraSpec(rank=2, seed=1),
    "attention": LoraSpec(rank=4, seed=2, train_mlp=False, train_unembed=False),
    "mlp": LoraSpec(rank=4, seed=2, train_attn=False, train_unembed=False),
    "unembed": LoraSpec(rank=4, seed=2, train_attn=False, train_mlp=False),
    "all": None,
}


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    return engine_at(tmp_path)


def train(engine: LocalEngine, model_id: str, steps: int = 1) -> None:
    for _ in range(steps):
        engine.forward_backward(model_id, DATUMS, "cross_entropy")
        engine.optim_step(model_id, STEP)


def read(engine: LocalEngine, model_id: str) -> np.ndarray:
    result = engine.forward_backward(model_id, DATUMS, "cross_entropy", forward_only=True)
    return np.concatenate([one.logprobs for one in result.outputs])


def test_adapters_train_as_if_each_were_alone(engine: LocalEngine, tmp_path: Path) -> None:
    alone: dict[str, np.ndarray] = {}
    for name, spec in SPECS.items():
        single = engine_at(tmp_path / name)
        single.create_model(name, str(tiny_folder()), spec)
        train(single, name, 2)
        alone[name] = read(single, name)
    for name, spec in SPECS.items():
        engine.create_model(name, str(tiny_folder()), spec)
    for _ in range(2):
        for name in SPECS:
            train(engine, name)
            engine.create_sampler(f"base{name}{_}", base_model=str(tiny_folder()))
            engine.sample([SampleRequest(f"base{name}{_}", question("z"), SamplingParams(4))])
    for name in SPECS:
        np.testing.assert_array_equal(read(engine, name), alone[name])
    results = list(alone.values())
    assert all(not np.allclose(one, two) for i, one in enumerate(results) for two in results[:i])


def test_a_fresh_adapter_changes_nothing_and_the_base_stays(engine: LocalEngine) -> None:
    engine.create_sampler("base", base_model=str(tiny_folder()))
    request = SampleRequest("base", question("b"), SamplingParams(max_tokens=8, seed=1), 3)
    before = answered(engine.sample([request])[0])
    engine.create_model("all", str(tiny_folder()), None)
    engine.create_model("lora", str(tiny_folder()), LoraSpec(rank=2))
    np.testing.assert_allclose(read(engine, "all"), read(engine, "lora"), atol=1e-6)
    train(engine, "all", 2)
    train(engine, "lora", 2)
    assert answered(engine.sample([request])[0]) == before


def test_seed_and_flags_say_what_is_trained(engine: LocalEngine) -> None:
    for name, spec in SPECS.items():
        engine.create_model(name, str(tiny_folder()), spec)
    engine.create_model("same", str(tiny_folder()), SPECS["small"])
    names = {name: set(_weights(engine, name)) for name in SPECS}
    assert all("self_attn" in one for one in names["attention"])
    assert all(".mlp." in one for one in names["mlp"])
    assert all("lm_head" in one for one in names["unembed"])
    assert len(names["small"]) == 2 * (2 * 7 + 1)
    assert not any("visual" in one for name in SPECS if name != "all" for one in names[name])
    assert any("visual" in one for one in names["all"])
    for key, weight in _weights(engine, "small").items():
        assert torch.equal(weight, _weights(engine, "same")[key])
    engine.create_model("other", str(tiny_folder()), LoraSpec(rank=2, seed=3))
    for name in ("unseeded", "unseeded again"):
        engine.create_model(name, str(tiny_folder()), LoraSpec(rank=2))
    drawn = [_weights(engine, name) for name in ("small", "other", "unseeded", "unseeded again")]
    for key in (key for key in drawn[0] if ".lora_A." in key):
        assert not any(
            torch.equal(one[key], two[key]) for i, one in enumerate(drawn) for two in drawn[:i]
        )


def test_linear_attention_is_attention_and_every_projection_of_it_learns(
    engine: LocalEngine,
) -> None:
    only = LoraSpec(rank=2, seed=1, train_mlp=False, train_unembed=False)
    engine.create_model("m", str(qwen35_folder()), only)
    before = {name: weight.detach().clone() for name, weight in _weights(engine, "m").items()}
    train(engine, "m", 2)
    layers = [
        ("linear_attn", ["in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj"])
    ] * 2
    layers.append(("self_attn", ["q_proj", "k_proj", "v_proj", "o_proj"]))
    assert len(before) == 2 * sum(len(names) for _, names in layers)
    for attention, names in layers:
        for name in names:
            assert any(f"{attention}.{name}.lora_A" in key for key in before)
    assert all(not torch.equal(before[key], new) for key, new in _weights(engine, "m").items())


@pytest.mark.parametrize("spec", [LoraSpec(rank=3, seed=4), None], ids=["lora", "all"])
def test_a_run_continued_from_a_checkpoint_is_bit_equal(
    spec: LoraSpec | None, tmp_path: Path
) -> None:
    first = engine_at(tmp_path)
    first.create_model("run:train:0", str(tiny_folder()), spec)
    train(first, "run:train:0", 3)
    path = first.save_weights("run:train:0", "step-3")
    assert path == "tinker://run:train:0/weights/step-3"
    train(first, "run:train:0", 2)

    restarted = engine_at(tmp_path)
    restarted.load_model("other", path, optimizer=True)
    train(restarted, "other", 2)
    np.testing.assert_array_equal(read(restarted, "other"), read(first, "run:train:0"))

    without = engine_at(tmp_path)
    without.create_model("third", str(tiny_folder()), spec)
    without.load_weights("third", path, optimizer=False)
    train(without, "third", 2)
    assert not np.array_equal(read(without, "third"), read(first, "run:train:0"))


def test_a_sampler_of_a_checkpoint_answers_as_the_model_did(tmp_path: Path) -> None:
    engine = engine_at(tmp_path)
    for name, spec in (("lora", SPECS["small"]), ("all", None)):
        engine.create_model(name, str(tiny_folder()), spec)
        train(engine, name, 2)
        engine.snapshot_sampler(name, f"now-{name}")
        path = engine.save_for_sampler(name, "s")
        train(engine, name, 1)
        restarted = engine_at(tmp_path)
        restarted.create_sampler("later", path=path)
        ask = SamplingParams(max_tokens=16, seed=5)
        now = answered(engine.sample([SampleRequest(f"now-{name}", question("q"), ask, 3)])[0])
        later = answered(restarted.sample([SampleRequest("later", question("q"), ask, 3)])[0])
        assert now == later


@pytest.mark.parametrize(
    "made", [tiny_folder, qwen25_folder, qwen35_folder], ids=["qwen3", "qwen2.5", "qwen3.5"]
)
def test_peft_loads_the_adapter_and_computes_the_same(
    made: Callable[[], Path], tmp_path: Path
) -> None:
    base_folder = made()
    engine = engine_at(tmp_path)
    engine.create_model("m", str(base_folder), LoraSpec(rank=4, seed=1))
    train(engine, "m", 3)
    adapter = engine.checkpoints.find(engine.save_for_sampler("m", "out")).folder
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 32)

    plain = ModelRegistry(device="cpu").get(str(base_folder))
    loaded = untyped("peft").PeftModel.from_pretrained(plain.network, str(adapter))
    sequence = InputReader(plain).read(DATUMS[0].chunks)
    ids = torch.tensor(sequence.tokens_L)[None]
    image = sequence.images[0].pixels
    with torch.no_grad():
        logits = loaded(
            input_ids=ids,
            **image.tensors,
            mm_token_type_ids=(ids == plain.image_token).int(),
        ).logits[0]
    targets = torch.tensor(DATUMS[0].inputs["target_tokens"].astype(np.int64))
    logprobs = logits.masked_fill(plain.unspeakable_V, -torch.inf).log_softmax(-1)
    wanted = logprobs.gather(1, targets[:, None])[:, 0].numpy()
    ours = engine.forward_backward("m", DATUMS, "cross_entropy", forward_only=True).outputs[0]
    np.testing.assert_allclose(ours.logprobs, wanted, atol=1e-4)


def test_an_exported_whole_model_is_a_transformers_folder(tmp_path: Path) -> None:
    engine = engine_at(tmp_path)
    engine.create_model("m", str(tiny_folder()), None)
    train(engine, "m", 2)
    folder = engine.checkpoints.find(engine.save_for_sampler("m", "out")).folder
    again = LocalEngine(tmp_path / "again", device="cpu", models=[str(folder)])
    again.create_model("n", str(folder), LoraSpec(rank=1))
    np.testing.assert_allclose(read(again, "n"), read(engine, "m"), atol=1e-5)


def test_checkpoints_are_listed_replaced_deleted_and_never_half_written(tmp_path: Path) -> None:
    engine = engine_at(tmp_path)
    engine.create_model("run:train:0", str(tiny_folder()), LoraSpec(rank=1))
    train(engine, "run:train:0")
    paths = [
        engine.save_weights("run:train:0", "a"),
        engine.save_weights("run:train:0", "b", optimizer=False),
        engine.save_for_sampler("run:train:0", "a"),
        engine.save_weights("run:train:0", "a"),
    ]
    found = {str(one.path): one for one in engine.checkpoints.all()}
    assert sorted(found) == sorted(set(paths))
    assert found[paths[0]].has_optimizer
    assert not found[paths[1]].has_optimizer
    assert found[paths[0]].base_model == str(tiny_folder())
    with pytest.raises(EngineUserError, match="optimiser"):
        engine.load_weights("run:train:0", paths[1], optimizer=True)

    def torn(folder: Path) -> None:
        (folder / "adapter_model.safetensors").write_bytes(b"half")
        raise OSError("disk full")

    before = found[paths[0]]
    with pytest.raises(EngineError, match="can't be written: disk full"):
        engine.checkpoints.write(before.path, before.base_model, before.lora, torn)
    engine.load_weights("run:train:0", paths[0], optimizer=True)
    engine.checkpoints.delete(paths[0])
    assert paths[0] not in {str(one.path) for one in engine.checkpoints.all()}
    assert not list(before.folder.parent.glob(".*"))
    with pytest.raises(EngineUserError, match="no checkpoint"):
        engine.load_weights("run:train:0", paths[0], optimizer=True)


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/b", "/etc", "x" * 300, ":" * 86, "-x", "a\n"]
)
def test_a_name_can_not_leave_the_state_folder(name: str, engine: LocalEngine) -> None:
    engine.create_model("m", str(tiny_folder()), LoraSpec(rank=1))
    with pytest.raises(EngineUserError):
        engine.save_weights("m", name)
    with pytest.raises(EngineUserError):
        engine.create_sampler("s", path=f"tinker://{name}/sampler_weights/x")


def test_an_adapter_names_its_base_by_its_id_and_no_folder_of_this_machine(
    engine: LocalEngine,
) -> None:
    def named(model_id: str, base: str, rank: int) -> str:
        engine.create_model(model_id, base, LoraSpec(rank=rank))
        folder = engine.checkpoints.find(engine.save_for_sampler(model_id, "x")).folder
        config = json.loads((folder / "adapter_config.json").read_text())
        return config["base_model_name_or_path"]

    for rank in (1, 2):  # peft treats the first adapter of a base otherwise than the rest
        assert named(f"shipped{rank}", tiny_vlm.NAME, rank) == tiny_vlm.NAME
        assert named(f"mine{rank}", str(tiny_folder()), rank) == str(tiny_folder().resolve())


def test_the_wrong_kind_of_path_is_explained(engine: LocalEngine) -> None:
    engine.create_model("m", str(tiny_folder()), LoraSpec(rank=1))
    weights = engine.save_weights("m", "w")
    sampler = engine.save_for_sampler("m", "s")
    with pytest.raises(EngineUserError, match="sampler_weights"):
        engine.create_sampler("x", path=weights)
    with pytest.raises(EngineUserError, match="/weights/"):
        engine.load_weights("m", sampler, optimizer=False)
    engine.create_model("wide", str(tiny_folder()), LoraSpec(rank=2))
    with pytest.raises(EngineUserError, match="shape"):
        engine.load_weights("wide", weights, optimizer=False)


def _weights(engine: LocalEngine, model_id: str) -> dict[str, torch.nn.Parameter]:
    return engine._models[model_id].weights  # pyright: ignore[reportPrivateUsage]
