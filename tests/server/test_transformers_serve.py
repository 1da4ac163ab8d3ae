"""Exported tiny models, read and served by transformers: its answers are the embedded engine's."""

import io
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from geospot_backends.local.api import ImageChunk, TokenChunk
from geospot_backends.local.inputs import InputReader
from geospot_backends.local.models import ModelRegistry
from geospot_backends.local.tiny_processor import TinyVlmProcessor
from geospot_backends.local.untyped import untyped
from tests.support.doc_commands import shown
from tests.support.evaluating import environment, geospot, records
from tests.support.learning import engine_url
from tests.support.photos import make_photo

TINY = "geospot/tiny-vlm"
SCRATCH = "geospot/tiny-vlm-scratch"
START_S = 240.0
can_serve: bool = untyped("transformers.utils.import_utils").is_serve_available()


def export(name: str, folder: Path) -> Path:
    """The folder, written as a person has it written."""
    done = geospot("checkpoints", "export", name, folder)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {str(file) for file in folder.iterdir()}
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained tiny model, exported."""
    return export(TINY, tmp_path_factory.mktemp("exported") / "tiny")


@contextmanager
def transformers_serve(model: Path, home: Path) -> Generator[str]:
    """`transformers serve` in a process of its own, as docs/engine.md starts it; its address."""
    [line] = shown("HF_HUB_OFFLINE=1 transformers serve")
    program, *words = shlex.split(line.replace("tiny/", str(model)))[1:]
    (home / "hub").mkdir(parents=True)  # /v1/models fails without the folder
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--host", "127.0.0.1", "--port", str(port))
    quiet = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = home / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name(program), *words, *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(quiet),
        )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + START_S
        while not answers(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield f"{address}/v1"
    finally:
        process.kill()
        process.wait(timeout=120)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=20.0, trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.mark.skipif(
    not can_serve, reason="the packages that `transformers serve` needs are missing"
)
def test_answers_equal_those_of_the_embedded_engine(exported: Path, tmp_path: Path) -> None:
    asked = ("--dataset", "world", "--limit", "6", "--prompt", "tiny", "--no-canary")
    greedy = ("--temperature", "0", "--max-tokens", "64")
    with transformers_serve(exported, tmp_path / "home") as address:
        theirs = geospot(
            *("eval", "--backend", "openai", "--base-url", address, "--model", exported),
            *(*asked, *greedy, "--out", tmp_path / "served"),
        )
    assert theirs.returncode == 0, theirs.stderr
    with engine_url(tmp_path / "state") as address:
        ours = geospot(
            *("eval", "--backend", "tinker", "--base-url", address, "--model", TINY),
            *(*asked, *greedy, "--out", tmp_path / "local"),
        )
    assert ours.returncode == 0, ours.stderr
    served, local = records(tmp_path / "served"), records(tmp_path / "local")
    assert len(local) == 6
    assert {i: one.text for i, one in served.items()} == {i: one.text for i, one in local.items()}
    assert {i: one.usage for i, one in served.items()} == {i: one.usage for i, one in local.items()}
    assert len({one.text for one in local.values()}) > 1  # the image decides


def test_an_exported_folder_is_the_model(exported: Path, tmp_path: Path) -> None:
    check_folder(TINY, exported)
    check_folder(SCRATCH, export(SCRATCH, tmp_path / "scratch"))


def check_folder(name: str, folder: Path) -> None:
    """What the engine loads from the folder is the model of this name."""
    registry = ModelRegistry("cpu")
    model, again = registry.get(name), registry.get(str(folder))
    weights, read = model.network.state_dict(), again.network.state_dict()
    assert weights.keys() == read.keys()
    assert all(weights[key].equal(read[key]) for key in weights)
    text = "City: Ålesund\nLatitude: 62.4722"
    assert again.tokenizer(text).input_ids == model.tokenizer(text).input_ids
    assert again.end_tokens == model.end_tokens
    assert again.context_length == model.context_length


@pytest.mark.parametrize("size", [(96, 96), (640, 480), (31, 200), (40, 40)])
def test_the_exported_processor_reads_photos_as_the_engine_does(
    size: tuple[int, int], exported: Path
) -> None:
    from PIL import Image

    photo = make_photo("exported", size=size)
    reader: Any = TinyVlmProcessor
    with Image.open(io.BytesIO(photo)) as picture:
        content = [{"type": "image", "image": picture}, {"type": "text", "text": "Where?"}]
        read = reader.from_pretrained(str(exported)).apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
    base = ModelRegistry("cpu").get(TINY)
    sequence = InputReader(base).read((ImageChunk(photo, "jpeg"), TokenChunk((70,))))
    image = sequence.images[0]
    assert read["pixel_values"].equal(image.pixels.tensors["pixel_values"])
    assert int((read["input_ids"] == base.image_token).sum()) == image.tokens
    assert int((read["mm_token_type_ids"] == 1).sum()) == image.tokens


def test_only_models_that_ship_are_exported_by_name(tmp_path: Path) -> None:
    unknown = geospot("checkpoints", "export", "geospot/no-such", tmp_path / "a")
    assert unknown.returncode == 2
    assert "geospot/no-such" in unknown.stderr
    assert "Traceback" not in unknown.stderr
    assert not (tmp_path / "a").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    full = geospot("checkpoints", "export", TINY, tmp_path / "full")
    assert full.returncode == 2
    assert "isn't empty" in full.stderr
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["file"]
