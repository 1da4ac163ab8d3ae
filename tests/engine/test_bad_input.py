"""Bad input is the caller's error, said in a sentence, and changes nothing."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from geospot_backends.local import tiny_vlm
from geospot_backends.local.api import (
    AdamParams,
    Datum,
    EngineUserError,
    ImageChunk,
    LoraSpec,
    TokenChunk,
)
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.models import ModelRegistry, load_tokenizer
from tests.support.engines import (
    engine_at,
    experts_folder,
    question,
    qwen25_folder,
    rollout,
    supervised,
    tiny_folder,
)
from tests.support.photos import make_photo

GOOD = rollout(question("a"), [40, 41, 42], [-1.0, -2.0, -3.0], 1.0)
JPEG = make_photo("a", size=(96, 96))


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    engine = engine_at(tmp_path)
    engine.create_model("m", str(tiny_folder()), LoraSpec(rank=2, seed=1))
    return engine


def with_input(key: str, value: np.ndarray | None) -> Datum:
    inputs = {name: array for name, array in GOOD.inputs.items() if name != key}
    return Datum(GOOD.chunks, inputs if value is None else {**inputs, key: value})


def with_image(data: bytes, expected_tokens: int | None = None) -> Datum:
    first, _, last = GOOD.chunks
    return Datum((first, ImageChunk(data, "jpeg", expected_tokens), last), GOOD.inputs)


def text_of(length: int) -> Datum:
    weights = np.ones(length, np.float32)
    return Datum(
        (TokenChunk((5,) * length),),
        {"target_tokens": np.full(length, 5), "logprobs": -weights, "advantages": weights},
    )


LENGTH = len(GOOD.inputs["target_tokens"])
BAD = {
    "wrong length": with_input("advantages", np.ones(LENGTH - 1, np.float32)),
    "two dimensions": with_input("target_tokens", np.ones((LENGTH, 2), np.int64)),
    "missing": with_input("logprobs", None),
    "unknown": with_input("rewards", np.ones(LENGTH, np.float32)),
    "NaN": with_input("advantages", np.full(LENGTH, np.nan, np.float32)),
    "infinite": with_input("logprobs", np.full(LENGTH, -np.inf, np.float32)),
    "fractions for tokens": with_input("target_tokens", np.ones(LENGTH, np.float32)),
    "target out of the vocabulary": with_input("target_tokens", np.full(LENGTH, 512)),
    "negative target": with_input("target_tokens", np.full(LENGTH, -100)),
    "overflow": with_input("logprobs", np.full(LENGTH, -1e6, np.float32)),
    "token out of the vocabulary": Datum((TokenChunk((512,)),), {}),
    "negative token": Datum((TokenChunk((-1,)),), {}),
    "huge token": Datum((TokenChunk((2**70,)),), {}),
    "empty text": Datum((TokenChunk(()),), {}),
    "nothing": Datum((), {}),
    "ends in an image": Datum((TokenChunk((5,)), ImageChunk(JPEG)), {}),
    "no image": with_image(b"not an image"),
    "cut off": with_image(JPEG[: len(JPEG) // 2]),
    "another format": with_image(make_photo("a", size=(96, 96), kind="GIF")),
    "too narrow": with_image(make_photo("a", size=(1000, 2))),
    "other number of tokens": with_image(JPEG, 10),
    "too long": text_of(tiny_vlm.CONTEXT_LENGTH + 1),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_datum_is_a_user_error_and_harms_nothing(name: str, engine: LocalEngine) -> None:
    engine.create_model("other", str(tiny_folder()), LoraSpec(rank=2, seed=1))
    for model_id in ("m", "other"):
        engine.forward_backward(model_id, [GOOD], "importance_sampling")
    with pytest.raises(EngineUserError) as caught:
        engine.forward_backward("m", [GOOD, BAD[name]], "importance_sampling")
    assert caught.value.category == "user"
    assert caught.value.message.endswith(".")
    steps = [engine.optim_step(one, AdamParams(learning_rate=0.1)) for one in ("m", "other")]
    after = [
        engine.forward_backward(one, [GOOD], "importance_sampling", forward_only=True)
        for one in ("m", "other")
    ]
    assert steps[0] == steps[1]
    np.testing.assert_array_equal(after[0].outputs[0].logprobs, after[1].outputs[0].logprobs)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("advantages", np.full(LENGTH, np.nan, np.float32)),
        ("logprobs", np.full(LENGTH, np.nan, np.float32)),
        ("logprobs", np.full(LENGTH, -np.inf, np.float32)),
    ],
)
@pytest.mark.parametrize("advantage", [0.0, 1.0])
def test_what_is_not_finite_is_named(
    engine: LocalEngine, key: str, value: np.ndarray, advantage: float
) -> None:
    """Also where the advantage is 0, so that the loss need not show it."""
    inputs = {**GOOD.inputs, "advantages": np.full(LENGTH, advantage, np.float32), key: value}
    with pytest.raises(EngineUserError, match=f"^Datum 0: {key} holds NaN or infinity"):
        engine.forward_backward("m", [Datum(GOOD.chunks, inputs)], "importance_sampling")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_of_too_many_pixels_is_refused_by_its_header(engine: LocalEngine) -> None:
    image = io.BytesIO()
    Image.new("1", (11_000, 11_000)).save(image, "PNG")
    assert len(image.getvalue()) < 100_000
    with pytest.raises(EngineUserError, match=r"too large \(11000 × 11000 pixels\)"):
        engine.forward_backward("m", [with_image(image.getvalue())], "importance_sampling")


def test_an_image_placeholder_as_text_or_as_a_trained_target_is_refused(
    engine: LocalEngine,
) -> None:
    pad = tiny_vlm.special_ids(load_tokenizer(tiny_folder()))[tiny_vlm.IMAGE_PAD]
    with pytest.raises(EngineUserError, match="image"):
        engine.forward_backward("m", [supervised((TokenChunk((5, pad)),), [6])], "cross_entropy")
    with pytest.raises(EngineUserError, match="placeholder"):
        engine.forward_backward("m", [supervised(question("a"), [pad])], "cross_entropy")
    untrained = supervised(question("a"), [pad], weight=0.0)
    result = engine.forward_backward("m", [untrained], "cross_entropy")
    assert result.metrics["loss:sum"] == 0


@pytest.mark.parametrize(
    "name",
    ["geospot/tiny", "/no/such/folder", "../elsewhere", "", "a/b/c", "~nosuchuser/x", "x" * 5000],
)
def test_a_base_model_that_is_not_there_is_a_user_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    engine = LocalEngine(tmp_path, device="cpu", models=[name])
    with pytest.raises(EngineUserError, match=r"no model|can't be fetched|no readable"):
        engine.create_model("x", name, LoraSpec())


def _no_download(*_: object, local_files_only: bool = False, **__: object) -> str:
    if not local_files_only:
        pytest.fail("something was about to be downloaded")
    raise FileNotFoundError("nothing is cached")


def test_only_what_is_listed_is_served_downloaded_or_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", _no_download)
    engine = LocalEngine(tmp_path, device="cpu")
    for name in ("org/model", str(tiny_folder()), "."):
        with pytest.raises(EngineUserError, match="Served are geospot/tiny-vlm, "):
            engine.create_model("x", name, LoraSpec())
        with pytest.raises(EngineUserError, match="Served are geospot/tiny-vlm, "):
            engine.create_sampler("x", base_model=name)


def test_a_checkpoint_brings_its_base_model_but_downloads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = engine_at(tmp_path)
    first.create_model("m", str(tiny_folder()), LoraSpec(rank=1))
    path = first.save_for_sampler("m", "s")
    second = LocalEngine(tmp_path / "state", device="cpu")
    second.create_sampler("s", path=path)
    assert second.sampler_info("s").base_model == str(tiny_folder())
    description = second.checkpoints.find(path).folder.parent / "checkpoint.json"
    text = description.read_text(encoding="utf-8")
    description.write_text(text.replace(str(tiny_folder()), "org/model"), encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.snapshot_download", _no_download)
    with pytest.raises(EngineUserError, match="serve --models org/model"):
        second.create_sampler("t", path=path)


def test_served_models_are_listed_with_what_fits_into_them(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, device="cpu", models=[str(qwen25_folder())])
    listed = {one.name: one.context_length for one in engine.supported_models()}
    assert listed[str(qwen25_folder())] == 512
    engine.create_sampler("s", base_model=str(qwen25_folder()))
    assert engine.sampler_info("s").context_length == 512
    broken = LocalEngine(tmp_path, device="cpu", models=["/no/such/folder"])
    with pytest.raises(EngineUserError, match="/no/such/folder"):
        broken.supported_models()


def test_a_folder_of_another_architecture_is_named(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path / "state", device="cpu", models=[str(tmp_path)])
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(EngineUserError, match="llama"):
        engine.create_model("x", str(tmp_path), LoraSpec())


@pytest.mark.parametrize("lacks", ["model", "tokenizer", "preprocessor"])
def test_a_folder_that_lacks_files_is_named(lacks: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_folder().iterdir():
        if not file.name.startswith(lacks):
            shutil.copy(file, folder)
    engine = LocalEngine(tmp_path / "state", device="cpu", models=[str(folder)])
    with pytest.raises(EngineUserError, match=re.escape(str(folder))):
        engine.create_model("x", str(folder), LoraSpec())


def test_a_folder_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    """Pickled weights and code of the folder's own; both would leave a file behind."""
    folder, trace = tmp_path / "model", tmp_path / "was-here"
    shutil.copytree(tiny_folder(), folder)
    (folder / "model.safetensors").unlink()

    class Pickled:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trace,))

    torch.save({"lm_head.weight": Pickled()}, folder / "pytorch_model.bin")
    engine = LocalEngine(tmp_path / "state", device="cpu", models=[str(folder)])
    with pytest.raises(EngineUserError, match="safetensors"):
        engine.create_model("x", str(folder), LoraSpec())
    shutil.copy(tiny_folder() / "model.safetensors", folder)
    (folder / "own.py").write_text(f"from pathlib import Path\nPath({str(trace)!r}).touch()\n")
    for file in ("config.json", "tokenizer_config.json", "preprocessor_config.json"):
        content = json.loads((folder / file).read_text())
        content["auto_map"] = dict.fromkeys(("AutoConfig", "AutoTokenizer"), "own.Own")
        (folder / file).write_text(json.dumps(content))
    engine.create_model("x", str(folder), LoraSpec())
    assert not trace.exists()


@pytest.mark.parametrize(
    "lora",
    [
        LoraSpec(rank=0),
        LoraSpec(rank=-4),
        LoraSpec(rank=10**6),
        LoraSpec(4, 1, False, False, False),
    ],
)
def test_an_adapter_that_makes_no_sense_is_refused(lora: LoraSpec, engine: LocalEngine) -> None:
    with pytest.raises(EngineUserError):
        engine.create_model("x", str(tiny_folder()), lora)


def test_experts_are_not_trained_in_silence(engine: LocalEngine) -> None:
    with pytest.raises(EngineUserError, match="train_mlp=False"):
        engine.create_model("x", str(experts_folder()), LoraSpec(rank=2))


@pytest.mark.parametrize(
    "params",
    [
        AdamParams(learning_rate=float("nan")),
        AdamParams(learning_rate=-1.0),
        AdamParams(beta1=1.0),
        AdamParams(beta2=-0.1),
        AdamParams(grad_clip_norm=float("inf")),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(params: AdamParams, engine: LocalEngine) -> None:
    engine.forward_backward("m", [GOOD], "importance_sampling")
    with pytest.raises(EngineUserError):
        engine.optim_step("m", params)
    engine.optim_step("m", AdamParams())  # the gradient still waits


def test_a_step_without_a_gradient_and_unknown_names_are_refused(engine: LocalEngine) -> None:
    for call in (
        lambda: engine.optim_step("m", AdamParams()),
        lambda: engine.optim_step("nobody", AdamParams()),
        lambda: engine.forward_backward("m", [], "cross_entropy"),
        lambda: engine.create_model("m", str(tiny_folder()), LoraSpec()),
        lambda: engine.create_sampler("s"),
        lambda: engine.info("nobody"),
        lambda: engine.delete_sampler("nobody"),
        lambda: engine.load_weights("m", "tinker://x/weights/y", optimizer=False),
        lambda: engine.load_weights("m", "nonsense", optimizer=False),
    ):
        with pytest.raises(EngineUserError):
            call()


def test_a_folder_that_is_misspelt_is_no_trouble_with_the_network(tmp_path: Path) -> None:
    (tmp_path / "runs" / "rl").mkdir(parents=True)
    name = str(tmp_path / "runs" / "rll")
    with pytest.raises(EngineUserError) as refused:
        ModelRegistry("cpu", extra_models=[name]).get(name)
    assert f"did you mean {name[:-1]!r}?" in str(refused.value)
    with pytest.raises(EngineUserError) as stranger:  # who asks over the wire is told of no folder
        ModelRegistry("cpu").get(name)
    assert "mean" not in str(stranger.value)
