"""What renderers need of a tokenizer, and text that can't pretend to be markup."""

import copy
from typing import Any, Final, Protocol, cast

from geospot.errors import RenderError

IM_START: Final = "<|im_start|>"
IM_END: Final = "<|im_end|>"
VISION_START: Final = "<|vision_start|>"
VISION_END: Final = "<|vision_end|>"
MARKS: Final = (IM_START, IM_END, VISION_START, VISION_END)
_KEPT: Final = 256
_SHORT: Final = 4_000
"""Texts of so many characters at most are kept with their tokens, the first `_KEPT` of them: those of the
format and of the prompt come with every photo."""


class Tokenizer(Protocol):
    """The part of transformers' fast tokenizers that is used here."""

    @property
    def backend_tokenizer(self) -> Any:
        """The `tokenizers.Tokenizer` inside."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]:
        """Tokens of a text."""
        ...

    def decode(self, token_ids: list[int]) -> Any:
        """Text of tokens, special ones included."""
        ...


class Encoder:
    """Encodes what a renderer writes itself, and what others wrote.

    In what others wrote (prompts, captions, a model's own earlier answers) the text of a special token
    such as `<|im_end|>` stays text. As a token it would end the turn, and let a caption speak as the
    assistant; `<|image_pad|>` would make the server count images that aren't there.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        added = _added_tokens(tokenizer)
        self.special = tuple(str(one.content) for one in added.values() if one.special)
        """Texts of special tokens."""
        self.added = frozenset(added)
        """Tokens that were added to the vocabulary, special or not."""
        self._literal: Any = None
        self._known: dict[str, list[int]] = {}

    def mark(self, text: str) -> int:
        """The token of one of the marks of the Qwen chat format.

        Raises:
            RenderError: a tokenizer without it.
        """
        tokens = self.template(text)
        if len(tokens) != 1:
            raise RenderError(
                f"This tokenizer has no token {text}: it isn't one of the Qwen vision families.",
                "Use the model's own tokenizer, or name the renderer that fits it.",
            )
        return tokens[0]

    def template(self, text: str) -> list[int]:
        """Tokens of text that the chat format prescribes; marks in it become tokens."""
        tokens = self._known.get(text)
        if tokens is None:
            tokens = list(self.tokenizer.encode(text, add_special_tokens=False))
            if len(text) <= _SHORT and len(self._known) < _KEPT:
                self._known[text] = tokens
        return tokens.copy()

    def content(self, text: str) -> list[int]:
        """Tokens of text that somebody else wrote; nothing in it becomes a special token."""
        if not any(special in text for special in self.special):
            return self.template(text)
        if self._literal is None:
            # A copy: the switch belongs to the tokenizer, which other threads may be using.
            self._literal = copy.deepcopy(self.tokenizer.backend_tokenizer)
            self._literal.encode_special_tokens = True
        return list(cast(list[int], self._literal.encode(text, add_special_tokens=False).ids))

    def decode(self, tokens: list[int]) -> str:
        """Text of tokens."""
        return str(self.tokenizer.decode(tokens))


def _added_tokens(tokenizer: Tokenizer) -> dict[int, Any]:
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise RenderError(
            f"{type(tokenizer).__name__} is no fast tokenizer.",
            "Load it with transformers.AutoTokenizer.",
        )
    return dict(backend.get_added_tokens_decoder())
