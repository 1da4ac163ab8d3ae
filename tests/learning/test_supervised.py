"""From photo and answer to a training batch, checked against examples written out by hand."""

import asyncio
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from tinker import types

from geospot.config.learning import SFTConfig
from geospot.data import GeoDataset
from geospot.data.sample import GeoSample
from geospot.errors import DataError, RenderError, SourceUnavailableError
from geospot.learning.photos import open_training_data
from geospot.learning.supervised import ExampleMaker, make_batch, shifted
from geospot.prompts import load_prompt, target_text
from geospot.renderers import get_renderer
from geospot_backends.tinker_target import load_tokenizer

TINY = "geospot/tiny-vlm-scratch"


def _text(*tokens: int) -> types.EncodedTextChunk:
    return types.EncodedTextChunk(tokens=list(tokens))


def _image(tokens: int) -> types.ImageChunk:
    return types.ImageChunk(data=b"jpeg", format="jpeg", expected_tokens=tokens)


def test_each_position_learns_the_token_behind_it() -> None:
    # position  0  1  2 [3 4 5]  6  7  8  9     weights 1 on the answer: 8 and 9
    conversation = types.ModelInput(chunks=[_text(10, 11, 12), _image(3), _text(20, 21, 30, 31)])
    weights_N = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1], np.float32)

    example = shifted(conversation, weights_N)

    assert [chunk.length for chunk in example.model_input.chunks] == [3, 3, 3]
    assert list(example.model_input.chunks[-1].tokens) == [20, 21, 30]  # type: ignore[union-attr]
    assert example.targets_N.tolist() == [11, 12, 0, 0, 0, 20, 21, 30, 31]
    assert example.learned_N.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1]


def test_nothing_can_end_in_an_image() -> None:
    with pytest.raises(RenderError):
        shifted(types.ModelInput(chunks=[_text(1, 2), _image(3)]), np.zeros(5, np.float32))
    with pytest.raises(RenderError):  # what is left of it would
        shifted(types.ModelInput(chunks=[_image(3), _text(1)]), np.ones(4, np.float32))


def test_an_empty_last_chunk_is_dropped() -> None:
    example = shifted(types.ModelInput(chunks=[_text(1, 2), _text(3)]), np.ones(3, np.float32))
    assert [chunk.length for chunk in example.model_input.chunks] == [2]
    assert example.targets_N.tolist() == [2, 3]


def test_weights_add_up_to_one_over_the_answers_of_a_batch() -> None:
    short = shifted(types.ModelInput(chunks=[_text(1, 2, 3)]), np.array([0, 0, 1], np.float32))
    long = shifted(types.ModelInput(chunks=[_text(1, 2, 3, 4)]), np.array([0, 1, 1, 1], np.float32))

    batch = make_batch([short, long], lost=["a: gone"])

    weights = [datum.loss_fn_inputs["weights"].to_numpy() for datum in batch.datums]
    np.testing.assert_allclose(weights[0], [0, 0.25])
    np.testing.assert_allclose(weights[1], [0.25, 0.25, 0.25])
    assert (batch.answer_tokens, batch.positions, batch.lost) == (4, 5, ["a: gone"])


def test_the_answer_of_a_photo_is_what_is_learned() -> None:
    data = open_training_data(SFTConfig(hf_repo="world", max_samples=2))
    tokenizer = load_tokenizer(TINY)
    renderer = get_renderer(TINY, tokenizer)
    maker = ExampleMaker(data, renderer, load_prompt("tiny"), 512)

    example = maker.example(data.samples[0])

    learned = example.targets_N[example.learned_N > 0].tolist()
    assert tokenizer.decode(learned) == target_text(data.samples[0]) + "<|im_end|>"
    assert example.model_input.length == len(example.targets_N) == len(example.learned_N)
    # What is given before an answer is no part of it: the last prompt position learns the first token.
    first = int(np.argmax(example.learned_N))
    read = [t for c in example.model_input.chunks for t in getattr(c, "tokens", [0] * c.length)]
    assert tokenizer.decode(read[: first + 1]).endswith("<|im_start|>assistant\n")


def test_a_photo_that_is_lost_costs_that_photo() -> None:
    data = open_training_data(SFTConfig(hf_repo="world", max_samples=2))
    maker = ExampleMaker(
        data, get_renderer(TINY, load_tokenizer(TINY)), load_prompt("tiny"), 512, context_length=70
    )
    short = GeoSample("short", 1.0, 2.0, data.samples[0].image)

    batch = asyncio.run(maker.batch([data.samples[0], short]))

    assert len(batch.datums) == 1
    assert len(batch.lost) == 1
    assert data.samples[0].id in batch.lost[0]
    none = asyncio.run(maker.batch([data.samples[0]]))
    assert (none.datums, none.answer_tokens, none.positions, len(none.lost)) == ([], 0, 0, 1)


class _Asleep:
    """A source that answers from the third call on, as a hub does that is overloaded for a moment."""

    is_drawn = False

    def __init__(self, dataset: GeoDataset) -> None:
        self._dataset = dataset
        self.calls = 0

    def read_image(self, sample: GeoSample) -> bytes:
        self.calls += 1
        if self.calls < 3:
            raise SourceUnavailableError("asleep")
        return self._dataset.read_image(sample)


@pytest.mark.parametrize(("max_retries", "calls", "had"), [(1, 2, 0), (2, 3, 1), (9, 3, 1)])
def test_a_source_that_does_not_answer_is_asked_again(
    max_retries: int, calls: int, had: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geospot.learning.patience._FIRST_PAUSE_S", 0.01)
    data = open_training_data(SFTConfig(hf_repo="world", max_samples=2))
    source = _Asleep(data.dataset)
    maker = ExampleMaker(
        replace(data, dataset=cast(GeoDataset, source)),
        get_renderer(TINY, load_tokenizer(TINY)),
        load_prompt("tiny"),
        512,
        max_retries=max_retries,
    )
    if had:
        batch = asyncio.run(maker.batch([data.samples[0]]))
        assert (len(batch.datums), batch.lost) == (1, [])
    else:
        with pytest.raises(DataError, match=r"1 lost.*asleep"):
            asyncio.run(maker.batch([data.samples[0]]))
    assert source.calls == calls
