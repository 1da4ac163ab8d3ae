"""The server against the real SDK over a real socket; only the weights are stood in for."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tinker
from tinker import types

from geospot_backends.local.api import ImageChunk, TokenChunk
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.support.approx import approx
from tests.support.scripted_engine import BASE, ScriptedEngine

pytestmark = [
    pytest.mark.filterwarnings("error::DeprecationWarning"),
    pytest.mark.filterwarnings("error::FutureWarning"),
]

KEY = "tml-test"


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def server(engine: ScriptedEngine, tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(engine, CheckpointStore(tmp_path)) as running:
        yield running


@pytest.fixture
def service(server: EmbeddedServer) -> Iterator[tinker.ServiceClient]:
    client = tinker.ServiceClient(base_url=server.base_url, api_key=KEY)
    yield client
    client.close("success").result()


def prompt(*tokens: int) -> types.ModelInput:
    return types.ModelInput.from_ints(list(tokens))


def datum(*targets: int) -> types.Datum:
    arrays: dict[str, Any] = {
        "target_tokens": np.array(targets),
        "weights": np.ones(len(targets), dtype=np.float32),
    }
    return types.Datum(model_input=prompt(*range(1, len(targets) + 1)), loss_fn_inputs=arrays)


def train(service: tinker.ServiceClient, rank: int = 8) -> tinker.TrainingClient:
    return service.create_lora_training_client(BASE, rank=rank, seed=7).result()


def sampler(service: tinker.ServiceClient) -> tinker.SamplingClient:
    return service.create_sampling_client(base_model=BASE).result()


def test_capabilities_name_the_models(server: EmbeddedServer) -> None:
    rest = tinker.RestClient(base_url=server.base_url, api_key=KEY)
    models = rest.get_server_capabilities().result().supported_models
    assert [(m.model_name, m.max_context_length, m.trainable) for m in models] == [
        (BASE, 1000, True)
    ]


def test_training_step_reaches_the_engine_and_comes_back(
    service: tinker.ServiceClient, engine: ScriptedEngine
) -> None:
    client = train(service)
    assert engine.models[client.model_id] is not None
    future = client.forward_backward([datum(1, 2, 3), datum(4, 5)], "cross_entropy", {"x": 0.5})
    step = client.optim_step(types.AdamParams(learning_rate=3e-3, beta2=0.99, weight_decay=0.1))
    output = future.result()
    assert [o["logprobs"].data for o in output.loss_fn_outputs] == [
        approx([-0.1, -0.2, -0.3]),
        approx([-0.4, -0.5]),
    ]
    assert output.metrics == {"loss:sum": approx(1.5)}
    assert step.result().metrics == {"grad_norm": 2.5}
    datums, loss_fn, config = engine.calls[1][1]
    assert loss_fn == "cross_entropy"
    assert config == {"x": 0.5}
    assert datums[0].chunks == (TokenChunk((1, 2, 3)),)
    assert datums[0].inputs["weights"].dtype == np.float32
    assert datums[1].inputs["target_tokens"].tolist() == [4, 5]
    params = engine.calls[2][1]
    assert (params.learning_rate, params.beta2, params.weight_decay) == (3e-3, 0.99, 0.1)


def test_lora_settings_and_info(service: tinker.ServiceClient, engine: ScriptedEngine) -> None:
    client = service.create_lora_training_client(BASE, rank=4, seed=9, train_mlp=False).result()
    lora = engine.calls[0][1]
    assert (lora.rank, lora.seed, lora.train_mlp, lora.train_attn) == (4, 9, False, True)
    info = client.get_info()
    assert (info.model_data.model_name, info.model_data.tokenizer_id) == (BASE, "/nowhere")
    assert (info.is_lora, info.lora_rank) == (True, 4)


def test_images_arrive_byte_for_byte(service: tinker.ServiceClient, engine: ScriptedEngine) -> None:
    data = bytes(range(256)) * 40
    picture = types.ImageChunk(data=data, format="jpeg", expected_tokens=2)
    mixed = types.ModelInput(chunks=[picture, types.EncodedTextChunk(tokens=[5, 6])])
    client = train(service)
    arrays: dict[str, Any] = {"target_tokens": np.array([1, 2, 3, 4])}
    client.forward(
        [types.Datum(model_input=mixed, loss_fn_inputs=arrays)], "cross_entropy"
    ).result()
    name, (datums, _, _) = engine.calls[-1]
    assert name == "forward"
    assert datums[0].chunks == (ImageChunk(data, "jpeg", 2), TokenChunk((5, 6)))
    sampled = sampler(service).sample(mixed, 1, types.SamplingParams(max_tokens=5)).result()
    assert sampled.sequences[0].tokens == [5, 6, len(data), 0, 0]
    assert engine.calls[-1][1][0].prompt == datums[0].chunks


def test_sampling_brings_tokens_logprobs_and_ids(
    service: tinker.ServiceClient, engine: ScriptedEngine
) -> None:
    params = types.SamplingParams(
        max_tokens=9, seed=4, stop=[2, 3], temperature=0.7, top_k=5, top_p=0.9
    )
    response = sampler(service).sample(prompt(7, 8), 3, params).result()
    assert [s.tokens for s in response.sequences] == [[7, 8, 4, 0], [7, 8, 4, 1], [7, 8, 4, 2]]
    assert response.sequences[0].logprobs == [-0.5] * 4
    assert response.sequences[0].stop_reason == "stop"
    assert len({s.sequence_id for s in response.sequences}) == 3
    seen = engine.calls[-1][1][0].params
    assert (seen.max_tokens, seen.seed, seen.stop) == (9, 4, [2, 3])
    assert (seen.temperature, seen.top_k, seen.top_p) == (0.7, 5, 0.9)


def test_prompt_logprobs(service: tinker.ServiceClient) -> None:
    client = sampler(service)
    assert client.compute_logprobs(prompt(7, 8, 9)).result() == [None, -8.0, -9.0]
    params = types.SamplingParams(max_tokens=1)
    last = client.sample(
        prompt(7, 8, 9), 1, params, include_prompt_logprobs=True, prompt_logprobs_last_n=1
    ).result()
    assert last.prompt_logprobs == [None, None, -9.0]


def test_concurrent_samples_share_batches(
    server: EmbeddedServer,
    service: tinker.ServiceClient,
    engine: ScriptedEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geospot_backends.local.routes._POLL_S", 0.05)
    client = sampler(service)
    params = types.SamplingParams(max_tokens=5)
    engine.hold.set()
    futures = [client.sample(prompt(1, at), 2, params) for at in range(16)]
    for at in range(16):
        assert once_sent(server, client, at).status_code == 408
    engine.hold.clear()
    answers = [future.result().sequences[1].tokens for future in futures]
    assert answers == [[1, at, 0, 1] for at in range(16)]
    batches = [len(what) for name, what in engine.calls if name == "sample"]
    assert sum(batches) == 16
    assert len(batches) <= 2


def test_a_bad_request_harms_no_other(
    service: tinker.ServiceClient, engine: ScriptedEngine
) -> None:
    client = sampler(service)
    params = types.SamplingParams(max_tokens=5)
    engine.hold.set()
    good = [client.sample(prompt(1, at), 1, params) for at in range(3)]
    bad = client.sample(prompt(99_999), 1, params)
    time.sleep(0.2)
    engine.hold.clear()
    assert [f.result().sequences[0].tokens for f in good] == [[1, at, 0, 0] for at in range(3)]
    with pytest.raises(tinker.RequestFailedError, match="out of the vocabulary") as caught:
        bad.result()
    assert caught.value.category is types.RequestErrorCategory.User


def test_training_goes_on_after_a_user_error_and_after_a_bug(
    service: tinker.ServiceClient, engine: ScriptedEngine
) -> None:
    client = train(service)
    bad = client.forward_backward([datum(1, -5)], "cross_entropy")
    broken = client.forward_backward([datum(666)], "cross_entropy")
    good = client.forward_backward([datum(2)], "cross_entropy")
    with pytest.raises(tinker.RequestFailedError, match="out of the vocabulary") as caught:
        bad.result()
    assert caught.value.category is types.RequestErrorCategory.User
    with pytest.raises(tinker.RequestFailedError, match="RuntimeError") as caught:
        broken.result()
    assert caught.value.category is types.RequestErrorCategory.Server
    assert good.result().metrics == {"loss:sum": approx(0.2)}


def test_a_refused_request_takes_its_turn_and_is_the_user_s_error(
    service: tinker.ServiceClient, engine: ScriptedEngine
) -> None:
    client = train(service)
    with pytest.warns(FutureWarning, match="load_state"):
        loaded = client.load_state("")  # pyright: ignore[reportDeprecated]
    refused = [loaded, client.save_state(""), client.save_weights_for_sampler("")]
    saved = client.save_state("next")
    for future in refused:
        with pytest.raises(tinker.RequestFailedError, match="path must be") as caught:
            future.result(timeout=120)
        assert caught.value.category is types.RequestErrorCategory.User
    assert saved.result(timeout=120).path.endswith("/weights/next")
    assert engine.names() == ["create_model", "save_weights"]


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        ("load_weights", {"path": 5}),
        ("load_weights", {"path": "tinker://x/weights/y", "optimizer": "yes"}),
        ("save_weights_for_sampler", {"sampling_session_seq_id": "one"}),
        ("optim_step", {"adam_params": {"learning_rate": 10**400}}),
        ("optim_step", {"adam_params": {"learning_rate": "much"}}),
    ],
)
def test_a_malformed_request_holds_up_nothing(
    server: EmbeddedServer, path: str, bad: dict[str, Any]
) -> None:
    _, model_id = raw_session(server)
    after = step(server, model_id, 2, 0.1)
    asked = {"model_id": model_id, "seq_id": 1} | bad
    refused = post(server, path, asked).json()["request_id"]
    answer = post(server, "retrieve_future", {"request_id": refused}).json()
    assert answer["category"] == "user"
    assert "must be" in answer["error"]
    answer = post(server, "retrieve_future", {"request_id": after}).json()
    assert answer == {"metrics": {"grad_norm": 2.5}}


def test_what_is_not_offered_is_refused_and_not_left_out(service: tinker.ServiceClient) -> None:
    client = sampler(service)
    params = types.SamplingParams(max_tokens=1)
    with pytest.raises(tinker.RequestFailedError, match="doesn't offer prompt_alt_tokens_k"):
        client.sample(prompt(1), 1, params, prompt_alt_tokens_k=3).result()


def test_unknown_model_says_what_is_served(service: tinker.ServiceClient) -> None:
    with pytest.raises(tinker.RequestFailedError, match=f"served: {BASE}"):
        service.create_lora_training_client("no/such", rank=4).result()
    with pytest.raises(tinker.NotFoundError, match=f"served: {BASE}"):
        service.create_sampling_client(base_model="no/such").result()


def test_save_sample_from_it_and_go_on_training(
    service: tinker.ServiceClient, engine: ScriptedEngine
) -> None:
    client = train(service)
    saved = client.save_state("a").result().path
    assert saved == f"tinker://{client.model_id}/weights/a"
    published = client.save_weights_for_sampler("b").result().path
    assert published == f"tinker://{client.model_id}/sampler_weights/b"
    from_path = service.create_sampling_client(model_path=published).result()
    assert from_path.get_base_model() == BASE
    params = types.SamplingParams(max_tokens=3)
    assert from_path.sample(prompt(3), 1, params).result().sequences[0].tokens == [3, 0, 0]
    snapshot = client.save_weights_and_get_sampling_client().result()
    assert snapshot.sample(prompt(4), 1, params).result().sequences[0].tokens == [4, 0, 0]
    again = service.create_training_client_from_state_with_optimizer(saved).result()
    assert again.model_id != client.model_id
    assert ("load_model", (saved, True)) in engine.calls
    with pytest.raises(tinker.RequestFailedError, match="there is no checkpoint"):
        service.create_training_client_from_state("tinker://x/weights/y").result()


def test_closing_a_session_frees_its_models(server: EmbeddedServer, engine: ScriptedEngine) -> None:
    client = tinker.ServiceClient(base_url=server.base_url, api_key=KEY)
    train(client)
    sampler(client)
    client.close("success").result()
    deadline = time.monotonic() + 120
    while (engine.models or engine.samplers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not engine.models
    assert not engine.samplers


def post(server: EmbeddedServer, path: str, body: Any, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=120) as client:
        return client.post(f"{server.base_url}/api/v1/{path}", json=body, headers=headers)


def once_sent(
    server: EmbeddedServer, sampling: tinker.SamplingClient, number: int
) -> httpx.Response:
    """What a question about a request is answered once the SDK has sent it."""
    asked = {"request_id": f"{sampling._sampling_session_id}:{number}"}  # pyright: ignore[reportPrivateUsage]
    end = time.monotonic() + 120.0
    while (answer := post(server, "retrieve_future", asked)).status_code == 410:
        assert time.monotonic() < end
        time.sleep(0.02)
    return answer


def raw_session(server: EmbeddedServer) -> tuple[str, str]:
    session = post(server, "create_session", {}).json()["session_id"]
    asked = {"session_id": session, "model_seq_id": 0, "base_model": BASE}
    made = post(server, "create_model", asked).json()
    post(server, "retrieve_future", {"request_id": made["request_id"]})
    return session, made["model_id"]


def step(server: EmbeddedServer, model_id: str, number: int, rate: float) -> str:
    asked = {"model_id": model_id, "seq_id": number, "adam_params": {"learning_rate": rate}}
    return post(server, "optim_step", asked).json()["request_id"]


def test_requests_are_carried_out_in_the_order_of_their_numbers(
    server: EmbeddedServer, engine: ScriptedEngine
) -> None:
    _, model_id = raw_session(server)
    ids = [step(server, model_id, number, number / 10) for number in (3, 2, 1)]
    for request_id in ids:
        assert post(server, "retrieve_future", {"request_id": request_id}).status_code == 200
    rates = [what.learning_rate for name, what in engine.calls if name == "optim_step"]
    assert rates == [0.1, 0.2, 0.3]


def test_a_request_sent_twice_is_carried_out_once(
    server: EmbeddedServer, engine: ScriptedEngine
) -> None:
    _, model_id = raw_session(server)
    first = step(server, model_id, 1, 0.1)
    assert step(server, model_id, 1, 0.1) == first
    for _ in range(2):  # a result whose answer got lost can be asked for again
        answer = post(server, "retrieve_future", {"request_id": first})
        assert answer.json() == {"metrics": {"grad_norm": 2.5}}
    assert engine.names().count("optim_step") == 1


def test_a_request_that_was_collected_long_ago_is_gone(server: EmbeddedServer) -> None:
    assert post(server, "retrieve_future", {"request_id": "x"}).status_code == 410
    assert post(server, "session_heartbeat", {"session_id": "x"}).status_code == 410


def test_pending_results_are_polled_for(
    server: EmbeddedServer, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot_backends.local.routes._POLL_S", 0.05)
    client = tinker.ServiceClient(base_url=server.base_url, api_key=KEY)
    sampling = sampler(client)
    engine.hold.set()
    future = sampling.sample(prompt(5), 1, types.SamplingParams(max_tokens=1))
    pending = once_sent(server, sampling, 0)
    assert pending.status_code == 408
    assert pending.json()["type"] == "try_again"
    time.sleep(0.3)
    engine.hold.clear()
    assert future.result().sequences[0].tokens == [5, 0, 0]
    client.close("success").result()


def test_what_nobody_waits_for_is_not_computed(
    server: EmbeddedServer, engine: ScriptedEngine
) -> None:
    session, _ = raw_session(server)
    asked = {"session_id": session, "sampling_session_seq_id": 0, "base_model": BASE}
    sampler_id = post(server, "create_sampling_session", asked).json()["sampling_session_id"]
    engine.hold.set()
    ids: list[str] = []
    for number in range(3):
        request = {
            "sampling_session_id": sampler_id,
            "seq_id": number,
            "num_samples": 1,
            "prompt": {"chunks": [{"type": "encoded_text", "tokens": [number + 1]}]},
            "sampling_params": {},
        }
        ids.append(post(server, "asample", request).json()["request_id"])
        assert engine.held.wait(120)  # the first is under way before the others come
    assert post(server, "cancel_future", {"request_id": ids[1]}).status_code == 204
    engine.hold.clear()
    assert post(server, "retrieve_future", {"request_id": ids[2]}).status_code == 200
    assert post(server, "retrieve_future", {"request_id": ids[1]}).status_code == 410
    asked_for = [r.prompt[0].tokens for n, what in engine.calls if n == "sample" for r in what]
    assert asked_for == [(1,), (3,)]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("asample", [], 422, "no JSON object"),
        (
            "create_model",
            {"session_id": "?", "model_seq_id": 0, "base_model": "x"},
            404,
            "restarted",
        ),
        ("get_info", {"model_id": 5}, 422, "model_id must be a string"),
        ("get_info", {"model_id": ""}, 422, "isn't empty"),
        ("nothing", {}, 404, "there is no POST"),
    ],
)
def test_malformed_requests_are_told_so(
    server: EmbeddedServer, path: str, body: Any, status: int, says: str
) -> None:
    answer = post(server, path, body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_token_ids_too_large_for_any_vocabulary_are_refused(server: EmbeddedServer) -> None:
    session, _ = raw_session(server)
    asked = {"session_id": session, "sampling_session_seq_id": 0, "base_model": BASE}
    sampler_id = post(server, "create_sampling_session", asked).json()["sampling_session_id"]
    chunks = [{"type": "encoded_text", "tokens": [1, 2**70]}]
    request = {
        "sampling_session_id": sampler_id,
        "seq_id": 0,
        "prompt": {"chunks": chunks},
        "sampling_params": {},
    }
    answer = post(server, "asample", request)
    assert (answer.status_code, answer.json()["detail"]) == (422, "tokens must be 64-bit integers")
    request |= {"prompt": {"chunks": []}, "sampling_params": {"stop": [2**70]}}
    answer = post(server, "asample", request)
    assert (answer.status_code, answer.json()["detail"]) == (422, "stop must be 64-bit integers")


def test_web_pages_and_other_names_are_turned_away(server: EmbeddedServer) -> None:
    assert post(server, "create_session", {}, origin="https://evil.example").status_code == 403
    assert post(server, "create_session", {}, host="evil.example").status_code == 403
    assert post(server, "create_session", {}).status_code == 200


def test_sampling_within_a_running_loop(server: EmbeddedServer) -> None:
    async def ask() -> list[int]:
        client = await asyncio.to_thread(
            lambda: tinker.ServiceClient(base_url=server.base_url, api_key=KEY)
        )
        sampling = await client.create_sampling_client(base_model=BASE)
        response = await sampling.sample(prompt(5), 1, types.SamplingParams(max_tokens=1))
        await client.close("success")
        return response.sequences[0].tokens

    assert asyncio.run(ask()) == [5, 0, 0]


def test_two_clients_don_t_disturb_each_other(server: EmbeddedServer) -> None:
    losses: dict[int, float] = {}

    def work(value: int) -> None:
        with tinker.ServiceClient(base_url=server.base_url, api_key=KEY) as client:
            output = train(client).forward_backward([datum(value)], "cross_entropy").result()
            losses[value] = output.metrics["loss:sum"]

    threads = [threading.Thread(target=work, args=(value,)) for value in (10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert losses == {v: approx(v / 10) for v in (10, 20, 30)}
