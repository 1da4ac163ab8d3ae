"""A family without code of its own through the real SDK: rendered by its template, trained, asked."""

from pathlib import Path

import numpy as np
import pytest
import tinker
from tinker import types

from geospot.renderers import Message, get_renderer
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.models import load_tokenizer
from geospot_backends.local.server import EmbeddedServer
from tests.support.datums import shifted
from tests.support.general_models import gemma3_folder
from tests.support.photos import make_photo


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_gemma_learns_an_answer_to_a_photo_and_gives_it(tmp_path: Path) -> None:
    model = str(gemma3_folder())
    renderer = get_renderer(model, load_tokenizer(gemma3_folder()))
    photo = make_photo("a", size=(120, 80))
    question: Message = {
        "role": "user",
        "content": [{"type": "image", "image": photo}, {"type": "text", "text": "Where is this?"}],
    }
    answer: Message = {"role": "assistant", "content": "City: Lyon"}
    datum = shifted(*renderer.build_supervised_example([question, answer]))
    engine = LocalEngine(tmp_path, device="cpu", models=[model])
    with (
        EmbeddedServer(engine, engine.checkpoints) as server,
        tinker.ServiceClient(base_url=server.base_url, api_key="tml-test") as service,
    ):
        client = service.create_lora_training_client(model, rank=8, seed=1).result()
        for _ in range(12):
            client.forward_backward([datum], "cross_entropy")
            client.optim_step(types.AdamParams(learning_rate=2e-2)).result()
        sampler = client.save_weights_and_get_sampling_client().result()
        prompt = renderer.build_generation_prompt([question])
        params = types.SamplingParams(
            max_tokens=20, temperature=0, stop=renderer.get_stop_sequences()
        )
        sampled = sampler.sample(prompt, 2, params).result()
        said = renderer.parse_response(sampled.sequences[0].tokens)
        assert (said.text, said.truncated) == ("City: Lyon", False)
        read = client.forward([datum], "cross_entropy").result()
        learned = np.asarray(read.loss_fn_outputs[0]["logprobs"].to_numpy())
        logprobs = sampled.sequences[1].logprobs
        assert logprobs is not None
        np.testing.assert_allclose(learned[-len(logprobs) :], logprobs, atol=1e-4)
