"""Backends `tinker` and `local`: the real SDK, a real server, the real engine, one tiny model."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tinker
from tinker import types

from geospot.config.evaluation import EvalConfig
from geospot.config.load import build
from geospot.errors import KeyMissingError, ModelNotFoundError, UnreachableError, UsageError
from geospot.evaluation.backend import BackendOptions, Question, Reply
from geospot.evaluation.estimate import estimate
from geospot.evaluation.evaluate import Finished, evaluate
from geospot.images import prepare_image
from geospot.prompts import PROMPTS, Prompt
from geospot.services import ServiceOptions
from geospot_backends.local.api import EngineError, SampleRequest, SampleResult
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer
from geospot_backends.tinker_sampler import create, create_local
from geospot_backends.tinker_target import load_tokenizer, parse_target
from tests.support.datums import shifted
from tests.support.evaluating import FAST, Listener, environment, geospot, records, wait_for
from tests.support.photos import make_photo

pytestmark = [
    pytest.mark.filterwarnings("error::DeprecationWarning"),
    pytest.mark.filterwarnings("error::FutureWarning"),
]

MODEL = "geospot/tiny-vlm-scratch"
LEARNED = "Latitude: 10.5\nLongitude: -20.25"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    engine = LocalEngine(tmp_path_factory.mktemp("state"))
    with EmbeddedServer(engine, engine.checkpoints) as running:
        yield running


@pytest.fixture(scope="module")
def trained(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of a model that has learned one answer to one question by heart."""
    from geospot.renderers import get_renderer

    renderer = get_renderer(MODEL, load_tokenizer(MODEL))
    photo = make_photo("3")
    content: Any = [
        {"type": "image", "image": photo},
        {"type": "text", "text": PROMPTS["coordinates"]},
    ]
    model_input, weights = renderer.build_supervised_example(
        [{"role": "user", "content": content}, {"role": "assistant", "content": LEARNED}]
    )
    datum = shifted(model_input, weights)
    run = tmp_path_factory.mktemp("runs") / "learned"
    run.mkdir()
    with tinker.ServiceClient(base_url=server.base_url, api_key="tml-test") as service:
        client = service.create_lora_training_client(MODEL, rank=32, seed=1).result()
        early = client.save_weights_for_sampler("early").result().path
        for _ in range(60):
            client.forward_backward([datum], "cross_entropy")
            client.optim_step(types.AdamParams(learning_rate=1e-2)).result()
        state = client.save_state("final").result().path
        final = client.save_weights_for_sampler("final").result().path
    rows = [
        {"name": "000000", "batch": 0, "sampler_path": early},
        {"name": "final", "batch": 60, "sampler_path": final, "state_path": state},
    ]
    (run / "checkpoints.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    config = {
        "model_name": MODEL,
        "renderer_name": "qwen3_vl_instruct",
        "prompt": "coordinates",
        "max_image_size": 96,
    }
    (run / "config.json").write_text(json.dumps(config))
    return run


def run(out: Path, **more: Any) -> tuple[Finished, Listener]:
    view = Listener()
    values: dict[str, Any] = {
        "backend": "tinker",
        "dataset": "world",
        "limit": 6,
        "out": out,
        "canary": False,
        "max_tokens": 64,
    }
    config = build(EvalConfig, values | more, {})
    return asyncio.run(evaluate(config, view, settings=FAST)), view


def test_a_run_directory_is_asked_as_it_was_trained(
    server: EmbeddedServer, trained: Path, tmp_path: Path
) -> None:
    done, _ = run(tmp_path / "out", model=str(trained), base_url=server.base_url)
    assert done.ending == "complete"
    found = records(tmp_path / "out")
    assert {record.text for record in found.values()} == {LEARNED}
    assert {(r.latitude, r.longitude) for r in found.values()} == {(10.5, -20.25)}
    assert all(r.usage["input_tokens"] > 20 for r in found.values())
    manifest = json.loads((tmp_path / "out" / "eval.json").read_text())
    backend = manifest["backend"]
    rows = (trained / "checkpoints.jsonl").read_text().splitlines()
    assert backend["path"] == json.loads(rows[1])["sampler_path"]
    assert backend["model"] == "learned@final"
    assert (backend["base_model"], backend["renderer"]) == (MODEL, "qwen3_vl_instruct")
    assert backend["run"]["checkpoint"] == "final"
    assert manifest["prompt"]["name"] == "coordinates"
    assert manifest["config"]["max_image_size"] == 96


def test_what_the_person_says_wins_and_is_recorded(
    server: EmbeddedServer, trained: Path, tmp_path: Path
) -> None:
    done, _ = run(
        tmp_path / "out",
        model=f"{trained}@000000",
        base_url=server.base_url,
        prompt="json",
        max_image_size=64,
        renderer="qwen2_5_vl",
        limit=2,
    )
    manifest = done.manifest
    assert manifest["prompt"]["name"] == "json"
    assert manifest["config"]["max_image_size"] == 64
    assert manifest["backend"]["renderer"] == "qwen2_5_vl"
    assert manifest["backend"]["run"]["renderer_name"] == "qwen3_vl_instruct"
    assert manifest["backend"]["path"].endswith("/sampler_weights/early")
    assert manifest["backend"]["model"] == "learned@000000"


def test_a_checkpoint_path_and_a_base_model(
    server: EmbeddedServer, trained: Path, tmp_path: Path
) -> None:
    path = parse_target(str(trained)).path
    done, _ = run(tmp_path / "a", model=path, base_url=server.base_url, prompt="coordinates")
    assert {record.text for record in records(tmp_path / "a").values()} == {LEARNED}
    assert done.manifest["backend"]["path"] == path
    done, _ = run(tmp_path / "b", model=MODEL, base_url=server.base_url, max_tokens=4)
    assert done.manifest["backend"]["base_model"] == MODEL
    assert {record.note for record in records(tmp_path / "b").values()} == {"length"}


def test_equal_seeds_give_equal_answers(server: EmbeddedServer, tmp_path: Path) -> None:
    texts: list[dict[str, str]] = []
    for out in ("a", "b"):
        run(tmp_path / out, model=MODEL, base_url=server.base_url, temperature=1.0, max_tokens=8)
        texts.append({id_: record.text for id_, record in records(tmp_path / out).items()})
    assert texts[0] == texts[1]
    assert len(set(texts[0].values())) > 1


def question(sample_id: str = "a", draw: int = 0, system: str | None = None) -> Question:
    """The same photo and prompt whatever is asked for."""
    prompt = Prompt("own", "Where is this?", system)
    return Question(sample_id, draw, prompt, prepare_image(make_photo("3", size=(96, 96))))


def replies(server: EmbeddedServer, *questions: Question, seed: int = 0) -> list[Reply]:
    options = BackendOptions(
        model=MODEL, base_url=server.base_url, temperature=1.0, max_tokens=12, seed=seed
    )

    async def asked() -> list[Reply]:
        backend = create(options)
        await backend.check()
        try:
            return list(await asyncio.gather(*map(backend.ask, questions)))
        finally:
            await backend.aclose()

    return asyncio.run(asked())


def test_each_draw_of_a_photo_each_photo_and_each_seed_is_sampled_anew(
    server: EmbeddedServer,
) -> None:
    asked = [question(draw=0), question(draw=1), question(draw=2), question("b")]
    texts = [reply.text for reply in replies(server, *asked)]
    assert len(set(texts)) == 4
    assert texts[:2] == [reply.text for reply in replies(server, *asked[:2])]
    assert replies(server, asked[0], seed=1)[0].text not in texts


def test_the_system_prompt_is_sent(server: EmbeddedServer) -> None:
    system = "You are a geographer."
    plain, told = (
        reply.usage.input_tokens for reply in replies(server, question(), question(system=system))
    )
    tokenizer = load_tokenizer(MODEL)
    message = f"<|im_start|>system\n{system}<|im_end|>\n"
    assert told - plain == len(tokenizer.encode(message, add_special_tokens=False))


def test_a_renderer_of_tinker_cookbook_asks_with_photos(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    pytest.importorskip("tinker_cookbook.renderers", exc_type=ImportError)
    texts: list[dict[str, str]] = []
    for renderer in ("qwen3_vl_instruct", "cookbook:qwen3_vl_instruct"):
        out = tmp_path / renderer[:5]
        done, _ = run(out, model=MODEL, base_url=server.base_url, renderer=renderer, max_tokens=8)
        assert done.manifest["backend"]["renderer"] == renderer
        texts.append({id_: record.text for id_, record in records(out).items()})
    assert texts[0] == texts[1]
    assert all(texts[0].values())


def test_the_service_chooses_where_no_model_is_named(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    done, _ = run(tmp_path / "out", base_url=server.base_url, limit=1, max_tokens=2)
    assert done.manifest["backend"]["model"] == "geospot/tiny-vlm"


def test_training_weights_are_refused_with_advice(server: EmbeddedServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't be sampled.*sampler_weights"):
        run(tmp_path / "a", model="tinker://x/weights/final", base_url=server.base_url)
    with pytest.raises(UsageError, match="no checkpoint's path"):
        run(tmp_path / "a", model="tinker://x", base_url=server.base_url)
    with pytest.raises(ModelNotFoundError, match="no tinker://x/sampler_weights/y to sample from"):
        run(tmp_path / "a", model="tinker://x/sampler_weights/y", base_url=server.base_url)
    with pytest.raises(ModelNotFoundError, match=r"serves: geospot/tiny-vlm"):
        run(tmp_path / "a", model="no/such", base_url=server.base_url)


def test_no_server_and_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TINKER_API_KEY", raising=False)
    monkeypatch.delenv("TINKER_BASE_URL", raising=False)
    with pytest.raises(UnreachableError, match="Nothing answers"):
        run(tmp_path / "a", model=MODEL, base_url="http://127.0.0.1:9")
    with pytest.raises(KeyMissingError, match="TINKER_API_KEY"):
        run(tmp_path / "a", model=MODEL)


def test_only_known_sampling_settings_are_taken(server: EmbeddedServer, tmp_path: Path) -> None:
    common: dict[str, Any] = {"model": MODEL, "base_url": server.base_url, "limit": 1}
    with pytest.raises(UsageError, match=r"--extra-body has 'logit_bias'"):
        run(tmp_path / "a", extra_body={"logit_bias": 3}, **common)
    done, _ = run(tmp_path / "a", extra_body={"top_p": 0.5}, max_tokens=2, **common)
    assert done.ending == "complete"


class Halting(LocalEngine):
    """Stops in the middle of its third call, until it is let go."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.calls = 0
        self.halted, self.let_go = threading.Event(), threading.Event()

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult | EngineError]:
        self.calls += 1
        if self.calls == 3:
            self.halted.set()
            self.let_go.wait(120)
        return super().sample(requests)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_answers_go_on_after_the_server_was_restarted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = Halting(tmp_path / "state")
    first = EmbeddedServer(engine, engine.checkpoints)
    port = int(first.base_url.rpartition(":")[2])
    servers = [first]

    def restart() -> None:
        engine.halted.wait(120)
        closing = threading.Thread(target=servers[0].close)  # waits for the call under way
        closing.start()
        wait_for(lambda: not _listens(port))
        engine.let_go.set()
        closing.join()
        servers.append(EmbeddedServer(engine, engine.checkpoints, port=port))

    restarting = threading.Thread(target=restart, daemon=True)
    restarting.start()
    try:
        view = Listener()
        config = build(
            EvalConfig,
            {
                "backend": "tinker",
                "dataset": "world",
                "limit": 40,
                "out": tmp_path / "out",
                "canary": False,
                "max_tokens": 8,
                "model": MODEL,
                "base_url": first.base_url,
                "timeout": 10.0,
            },
            {},
        )
        patient = replace(FAST, concurrency=8, max_retries=8, backoff_max_s=2.0)
        done = asyncio.run(evaluate(config, view, settings=patient))
    finally:
        restarting.join()
        for server in servers:
            server.close()
    assert len(servers) == 2
    assert done.ending == "complete"
    assert [line for line in view.said if "is away" in line or "is back" in line] == [
        "The service is away, or was restarted: what it owes us is asked again.",
        "The service is back.",
    ]
    assert "non-retryable" not in capfd.readouterr().err
    assert logging.getLogger("tinker").propagate
    assert any(record.attempts > 1 for record in records(tmp_path / "out").values())


def test_answers_go_on_after_the_embedded_engine_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geospot_backends.local import companion, shared

    started: list[int] = []

    class Noted(companion.Companion):
        def __init__(self, options: ServiceOptions) -> None:
            super().__init__(options)
            started.append(self.pid)

    monkeypatch.setattr(shared, "Companion", Noted)
    monkeypatch.setenv("GEOSPOT_STATE_DIR", str(tmp_path / "state"))

    def kill() -> None:
        answered = tmp_path / "out" / "samples.jsonl"
        while not answered.is_file() or answered.read_bytes().count(b"\n") < 10:
            time.sleep(0.01)
        os.kill(started[0], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    view = Listener()
    config = build(
        EvalConfig,
        {
            "backend": "local",
            "dataset": "world",
            "limit": 64,
            "out": tmp_path / "out",
            "timeout": 10.0,
        },
        {},
    )
    patient = replace(FAST, concurrency=8, max_retries=8)
    done = asyncio.run(evaluate(config, view, settings=patient))
    assert done.ending == "complete"
    assert len(started) == 2
    assert [line for line in view.said if "Killed" in line] == [
        "The embedded engine was ended by signal 9 (Killed). Another is started, and asked again "
        "what it owes us."
    ]


def test_the_embedded_engine_answers_and_stops(tmp_path: Path) -> None:
    state = {"GEOSPOT_STATE_DIR": str(tmp_path / "state")}
    command = [
        "eval",
        "--backend",
        "local",
        "--dataset",
        "world",
        "--split",
        "test",
        "--limit",
        "8",
    ]
    done = geospot(*command, "--out", tmp_path / "out", env=state)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert manifest["backend"]["model"] == "geospot/tiny-vlm"
    assert manifest["backend"]["base_url"] is None
    assert manifest["canary"]["asked"] is False
    again = geospot(*command, "--out", tmp_path / "out", env=state)
    assert again.returncode == 0, again.stderr


def test_the_local_backend_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from geospot.errors import PluginError
    from geospot_backends.local import embedded

    monkeypatch.setattr(embedded, "_NEEDED", ("torch", "no_such_package"))
    with pytest.raises(PluginError, match=r"no_such_package.*geospot-vlm\[local\]"):
        run(tmp_path / "a", backend="local")
    with pytest.raises(UsageError, match="--backend tinker"):
        run(tmp_path / "a", backend="local", base_url="http://127.0.0.1:1")


def test_why_a_model_of_ones_own_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen3_vl"}')
    (folder / "preprocessor_config.json").write_text("{}")
    engine = LocalEngine(tmp_path / "state", models=[str(folder)])
    with (
        EmbeddedServer(engine, engine.checkpoints) as server,
        pytest.raises(ModelNotFoundError, match=r"to sample from: .* has no tokenizer"),
    ):
        run(tmp_path / "a", base_url=server.base_url, model=str(folder))


def test_a_hub_out_of_reach_is_given_up_within_seconds(tmp_path: Path) -> None:
    script = (
        "import time\n"
        "from transformers import AutoTokenizer\n"
        "from geospot_backends.tinker_target import load_tokenizer\n"
        "began = time.monotonic()\n"
        "try:\n"
        "    load_tokenizer('Qwen/Qwen3.6-35B-A3B')\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error, time.monotonic() - began, sep='|')\n"
    )
    dead = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(dead),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    kind, message, seconds = done.stdout.strip().split("|")
    assert kind == "ModelNotFoundError"
    assert "the hub reachable" in message
    assert float(seconds) < 60
    assert "Retrying" not in done.stderr


@pytest.fixture(scope="module")
def adapter(server: EmbeddedServer) -> str:
    """A bare path of an adapter of the tiny model."""
    with tinker.ServiceClient(base_url=server.base_url, api_key="tml-test") as service:
        client = service.create_lora_training_client(MODEL, rank=2, seed=1).result()
        return client.save_weights_for_sampler("bare").result().path


def test_a_bare_path_is_asked_as_its_base_model_is(
    server: EmbeddedServer, adapter: str, tmp_path: Path
) -> None:
    common: dict[str, Any] = {"base_url": server.base_url, "limit": 2, "max_tokens": 2}
    done, _ = run(tmp_path / "a", model=adapter, **common)
    assert done.manifest["prompt"]["text"] == PROMPTS["tiny"]
    assert done.manifest["config"]["prompt"] == "tiny"
    assert done.manifest["backend"]["default_prompt"] == {
        "of": "base model",
        "name": "tiny",
        "sha": done.manifest["prompt"]["sha"],
    }
    told, _ = run(tmp_path / "b", model=adapter, prompt="json", **common)
    assert told.manifest["prompt"]["name"] == "json"
    # A finished evaluation is shown again without the service, and without an argument about prompts.
    gone = common | {"base_url": "http://127.0.0.1:9"}
    for directory in ("a", "b"):
        manifest = tmp_path / directory / "eval.json"
        manifest.write_text(manifest.read_text().replace(server.base_url, "http://127.0.0.1:9"))
    assert run(tmp_path / "a", model=adapter, **gone)[0].ending == "complete"
    assert run(tmp_path / "b", model=adapter, prompt="json", **gone)[0].ending == "complete"


def test_a_run_without_a_prompt_is_asked_as_its_base_model_is(adapter: str, tmp_path: Path) -> None:
    row = {"name": "final", "batch": 1, "sampler_path": adapter}
    (tmp_path / "checkpoints.jsonl").write_text(json.dumps(row))
    (tmp_path / "config.json").write_text(json.dumps({"model_name": MODEL}))
    asked = create(BackendOptions(model=str(tmp_path))).as_trained.prompt
    assert asked is not None
    assert asked.text == PROMPTS["tiny"]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"top_p": 0}, "top_p 0, which makes no sense"),
        ({"top_p": 1.5}, r"top_p 1\.5, which makes no sense\. It is a probability above 0"),
        ({"top_p": float("nan")}, "top_p NaN"),
        ({"top_p": "0.9"}, 'top_p "0.9"'),
        ({"top_p": True}, "top_p true"),
        ({"top_k": 0}, "top_k 0, which makes no sense"),
        ({"top_k": -2}, r"top_k -2, .* It is a whole number from 1, or -1"),
        ({"top_k": 2.5}, r"top_k 2\.5"),
        ({"stop": "x"}, "has 'stop', which sampling"),
    ],
)
@pytest.mark.parametrize("make", [create, create_local])
def test_sampling_settings_out_of_range_are_refused_before_anything_is_opened(
    make: Callable[[BackendOptions], object], extra: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        make(BackendOptions(model=MODEL, extra_body=extra))


def test_sampling_settings_in_range_are_taken() -> None:
    create(BackendOptions(model=MODEL, extra_body={"top_p": 1, "top_k": 1}))
    create(BackendOptions(model=MODEL, extra_body={"top_p": 0.01, "top_k": -1}))


def test_a_dry_run_tells_what_would_really_be_sent(trained: Path, adapter: str) -> None:
    def lines(**more: Any) -> dict[str, str]:
        values = {"backend": "tinker", "dataset": "world", "limit": 4} | more
        told = estimate(build(EvalConfig, values, {})).splitlines()
        return {line[:13].strip(): line[13:] for line in told}

    own = lines(model=str(trained))
    length = len(PROMPTS["coordinates"])
    assert own["prompt"] == f"coordinates, {length} characters, as the model was trained"
    assert own["renderer"] == "qwen3_vl_instruct"
    assert own["image size"] == "longest side at most 96 pixels"
    told = lines(model=str(trained), prompt="reasoned", renderer="qwen2_5_vl", max_image_size=64)
    assert told["prompt"] == f"reasoned, {len(PROMPTS['reasoned'])} characters"
    assert told["renderer"] == "qwen2_5_vl"
    assert told["image size"] == "longest side at most 64 pixels"
    assert told["tokens in"] != own["tokens in"]
    assert lines(model=MODEL)["prompt"].startswith("tiny, 27 characters, as the model")
    assert "unless the service names a base model" in lines(model=adapter)["prompt"]
    assert lines(model=adapter)["renderer"] == "the one of the base model"
    openai = lines(backend="openai", model="m", base_url="http://127.0.0.1:9/v1")
    assert openai["prompt"] == f"five-lines, {len(PROMPTS['five-lines'])} characters"
    assert "renderer" not in openai
