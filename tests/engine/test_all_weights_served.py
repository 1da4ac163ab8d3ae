"""All weights trained through the real SDK: rank 0 is the word for it."""

from pathlib import Path

import numpy as np
import pytest
import tinker
from tinker import types

from geospot_backends.local.api import AdamParams
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.models import load_tokenizer
from geospot_backends.local.server import EmbeddedServer
from tests.support.engines import engine_at, question, supervised, tiny_folder


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_rank_0_trains_all_weights_and_samples_what_it_learned(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, device="cpu", models=[str(tiny_folder())])
    tokens = [70, 71, 72, 73, 74]
    datum = types.Datum(
        model_input=types.ModelInput.from_ints([5, 6, *tokens[:-1]]),
        loss_fn_inputs={
            "target_tokens": types.TensorData.from_numpy(np.array([6, *tokens])),
            "weights": types.TensorData.from_numpy(np.array([0, 1, 1, 1, 1, 1], np.float32)),
        },
    )
    with (
        EmbeddedServer(engine, engine.checkpoints) as server,
        tinker.ServiceClient(base_url=server.base_url, api_key="tml-test") as service,
    ):
        client = service.create_lora_training_client(str(tiny_folder()), rank=0).result()
        assert client.get_info().is_lora is False
        for _ in range(25):
            client.forward_backward([datum], "cross_entropy")
            client.optim_step(types.AdamParams(learning_rate=1e-2)).result()
        sampler = client.save_weights_and_get_sampling_client().result()
        params = types.SamplingParams(max_tokens=5, temperature=0)
        answer = sampler.sample(types.ModelInput.from_ints([5, 6]), 1, params).result()
        assert list(answer.sequences[0].tokens) == tokens
        path = client.save_weights_for_sampler("whole").result().path
    folder = engine.checkpoints.find(path).folder
    assert (folder / "model.safetensors").is_file()
    assert len(load_tokenizer(folder)) == len(load_tokenizer(tiny_folder()))


def test_a_second_model_begins_with_the_base_weights_and_not_with_the_first_ones(
    tmp_path: Path,
) -> None:
    engine = engine_at(tmp_path)
    datums = [supervised(question("photo"), [30, 31, 32, 33])]

    def loss(model: str) -> float:
        result = engine.forward_backward(model, datums, "cross_entropy", forward_only=True)
        return result.metrics["loss:sum"]

    engine.create_model("first", str(tiny_folder()), None)
    untrained = loss("first")
    for _ in range(3):
        engine.forward_backward("first", datums, "cross_entropy")
        engine.optim_step("first", AdamParams(learning_rate=1e-2))
    assert loss("first") < untrained - 1

    engine.create_model("second", str(tiny_folder()), None)

    assert loss("second") == untrained
