"""The tiny model's chat format, and answers in its tokens, without loading the model."""

from functools import cache

from geospot.prompts import load_prompt
from geospot.renderers import Renderer, Tokenizer, get_renderer
from geospot_backends.tinker_target import load_tokenizer

TINY_PROMPT = load_prompt("tiny")
_MODEL = "geospot/tiny-vlm"


@cache
def tiny_tokenizer() -> Tokenizer:
    return load_tokenizer(_MODEL)


def tiny_renderer() -> Renderer:
    return get_renderer(_MODEL, tiny_tokenizer())


def spoken(text: str, *, ended: bool = True) -> list[int]:
    """The tokens that a model samples to say `text`; not `ended`: the token limit came first."""
    stop = [int(token) for token in tiny_renderer().get_stop_sequences()]
    return [*tiny_tokenizer().encode(text, add_special_tokens=False), *(stop if ended else [])]
