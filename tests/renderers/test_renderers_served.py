"""Prompts and samples through the real SDK, a real socket, and models with weights."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import tinker

from geospot.completers import Completion, TinkerTokenCompleter
from geospot.errors import UsageError
from geospot.renderers import Message, Renderer, get_renderer
from geospot.renderers.messages import Part
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.engine import LocalEngine
from geospot_backends.local.server import EmbeddedServer
from tests.support.approx import approx
from tests.support.engines import qwen25_folder, tiny_folder
from tests.support.photos import make_photo
from tests.support.scripted_engine import BASE, CONTEXT, ScriptedEngine, answer_tokens

pytestmark = [
    pytest.mark.filterwarnings("error::DeprecationWarning"),
    pytest.mark.filterwarnings("error::FutureWarning"),
]

SHAPES = (
    *((96, 96), (64, 64), (97, 31), (33, 33), (8, 9), (1, 90), (300, 200), (40, 513), (640, 64)),
    *((200, 1), (5, 1000), (1024, 768)),
)


def _asked(*numbers: int, kind: str = "JPEG") -> list[Message]:
    photos: list[Part] = [
        {"type": "image", "image": make_photo(str(n), size=SHAPES[n], kind=kind)} for n in numbers
    ]
    return [{"role": "user", "content": [*photos, {"type": "text", "text": "Where is this?"}]}]


def _answers(completer: TinkerTokenCompleter, prompt: Any, stop: Any, n: int) -> list[Completion]:
    async def ask() -> list[Completion]:
        return await completer(prompt, stop, n)

    return asyncio.run(ask())


@contextmanager
def _sampling(server: EmbeddedServer, model: str) -> Generator[tinker.SamplingClient]:
    service = tinker.ServiceClient(base_url=server.base_url, api_key="tml-test")
    yield service.create_sampling_client(base_model=model).result()
    service.close("success").result()


@pytest.mark.parametrize(
    ("folder", "renderer_name"), [(tiny_folder, None), (qwen25_folder, "qwen2_5_vl")]
)
def test_photos_of_every_shape_take_the_tokens_that_the_engine_counts(
    folder: Callable[[], Path], renderer_name: str | None, tmp_path: Path
) -> None:
    """The engine refuses an image whose `expected_tokens` isn't its own count."""
    model = str(folder())
    renderer = _renderer(model, renderer_name)
    engine = LocalEngine(tmp_path, device="cpu", models=[model])
    with (
        EmbeddedServer(engine, engine.checkpoints) as server,
        _sampling(server, model) as client,
    ):
        completer = TinkerTokenCompleter(client, max_tokens=3, seed=5)
        for number in range(len(SHAPES)):
            prompt = renderer.build_generation_prompt(
                _asked(number, kind="PNG" if number % 2 else "JPEG")
            )
            (completion,) = _answers(completer, prompt, renderer.get_stop_sequences(), 1)
            assert 1 <= len(completion.tokens) <= 3
        prompt = renderer.build_generation_prompt(_asked(0, 6, 4))
        several = _answers(completer, prompt, renderer.get_stop_sequences(), 4)
        assert len(several) == 4
        for completion in several:
            assert completion.logprobs_T.shape == (len(completion.tokens),)
            assert (completion.logprobs_T <= 0).all()
            stopped = completion.tokens[-1] in renderer.get_stop_sequences()
            assert completion.truncated == (not stopped)
            assert renderer.parse_response(completion.tokens).truncated == (not stopped)
        again = _answers(completer, prompt, renderer.get_stop_sequences(), 4)
        assert [one.tokens for one in again] == [one.tokens for one in several]


def test_many_samples_are_one_call_with_every_setting(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    with (
        EmbeddedServer(engine, CheckpointStore(tmp_path)) as server,
        _sampling(server, BASE) as client,
    ):
        completer = TinkerTokenCompleter(client, 9, temperature=0.7, top_k=5, top_p=0.9, seed=4)
        prompt = tinker.ModelInput.from_ints([7, 8])
        completions = _answers(completer, prompt, [2, 3], 5)
    ((_, (request,)),) = [call for call in engine.calls if call[0] == "sample"]
    assert request.num_samples == 5
    params = request.params
    assert (params.max_tokens, params.seed, params.stop) == (9, 4, [2, 3])
    assert (params.temperature, params.top_k, params.top_p) == (0.7, 5, 0.9)
    assert [one.tokens for one in completions] == [answer_tokens(request, n) for n in range(5)]
    assert completions[0].logprobs_T.tolist() == [-0.5] * len(completions[0].tokens)
    assert len({one.sequence_id for one in completions}) == 5
    assert not completions[0].truncated


def test_logprobs_are_those_at_temperature_1_without_a_cut(tmp_path: Path) -> None:
    model = str(tiny_folder())
    engine = LocalEngine(tmp_path, device="cpu", models=[model])
    with (
        EmbeddedServer(engine, engine.checkpoints) as server,
        _sampling(server, model) as client,
    ):
        completer = TinkerTokenCompleter(client, 8, temperature=0.3, top_k=4, top_p=0.9, seed=4)
        prompt = [70, 71, 72]
        for one in _answers(completer, tinker.ModelInput.from_ints(prompt), [2], 3):
            text = tinker.ModelInput.from_ints(prompt + one.tokens)
            read = client.compute_logprobs(text).result()[len(prompt) :]
            assert one.logprobs_T.tolist() == approx(read, abs=1e-4)


def test_an_answer_gets_the_room_that_the_prompt_leaves(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    with (
        EmbeddedServer(engine, CheckpointStore(tmp_path)) as server,
        _sampling(server, BASE) as client,
    ):
        completer = TinkerTokenCompleter(client, 512, context_length=CONTEXT)
        _answers(completer, tinker.ModelInput.from_ints([1] * 990), [2], 1)
        assert engine.calls[-1][1][0].params.max_tokens == 10
        calls = len(engine.calls)
        with pytest.raises(UsageError, match="1000 tokens, and the model's context 1000"):
            _answers(completer, tinker.ModelInput.from_ints([1] * 1000), [2], 1)
        with pytest.raises(UsageError, match="0 samples"):
            _answers(completer, tinker.ModelInput.from_ints([1]), [2], 0)
        assert len(engine.calls) == calls


def _renderer(model: str, renderer_name: str | None) -> Renderer:
    from transformers import AutoTokenizer

    tokenizer: Any = cast(Any, AutoTokenizer).from_pretrained(model)
    return get_renderer(model, tokenizer, renderer_name=renderer_name)


def test_the_tiny_models_own_template_reads_the_same() -> None:
    """An independent rendering: the chat template that is exported with the model, by transformers."""
    from transformers import AutoTokenizer

    tokenizer: Any = cast(Any, AutoTokenizer).from_pretrained(str(tiny_folder()))
    renderer = get_renderer("geospot/tiny-vlm", tokenizer)
    messages: list[Message] = [
        {"role": "system", "content": "You are a helpful assistant."},
        *_asked(0, 6),
        {"role": "assistant", "content": "City: Lyon\nCountry: France"},
        *_asked(2),
    ]
    templated: list[int] = tokenizer.apply_chat_template(
        [{**message} for message in messages], add_generation_prompt=True, return_dict=False
    )
    (pad,) = tokenizer.encode("<|image_pad|>", add_special_tokens=False)
    ours: list[int] = []
    for chunk in cast(Any, renderer.build_generation_prompt(messages)).chunks:
        ours += [pad] if chunk.type == "image" else list(chunk.tokens)
    assert ours == templated
