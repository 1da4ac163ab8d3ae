"""Sampled tokens read back into a message, also where the token limit cut them off."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from geospot.renderers.messages import Message, Part, text_of, thinking_of
from geospot.renderers.style import OPEN_BLOCK, ChatStyle

_OPENING: Final = "<think>"
_CLOSING: Final = "</think>"
# A block ends at its closing mark, or where the text ends.
_BLOCK: Final = re.compile(rf"{_OPENING}(.*?)(?:{_CLOSING}|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """What the model said.

    `raw` is the text as sampled, with the opening mark of reasoning put back where the prompt had
    written it; `truncated` says that the model didn't end its turn itself.
    """

    message: Message
    raw: str
    truncated: bool

    @property
    def text(self) -> str:
        """The answer, without reasoning."""
        return text_of(self.message)

    @property
    def thinking(self) -> str:
        """The reasoning, empty where there was none."""
        return thinking_of(self.message)


def read_response(text: str, style: ChatStyle, *, truncated: bool) -> ParsedResponse:
    """The text of a turn as a message.

    Args:
        text: what was sampled, without the token that ended it.
        truncated: no such token came. Then half a character at the end is dropped, and reasoning
            that isn't closed is reasoning all the same.
    """
    if truncated:
        text = text.rstrip("\ufffd")
    if _prompt_opened_it(text, style, truncated=truncated):
        text = OPEN_BLOCK + text
    parts = list(_parts(text, style))
    reasoned = any(part["type"] == "thinking" for part in parts) or _OPENING in text
    content = parts if reasoned else text
    return ParsedResponse({"role": "assistant", "content": content}, text, truncated)


def _prompt_opened_it(text: str, style: ChatStyle, *, truncated: bool) -> bool:
    """Whether the text starts inside a block of reasoning."""
    opening, closing = text.find(_OPENING), text.find(_CLOSING)
    if closing >= 0:
        return not 0 <= opening < closing
    return truncated and style.prompt_end == OPEN_BLOCK and opening < 0


def _parts(text: str, style: ChatStyle) -> Iterator[Part]:
    position, behind_block = 0, False
    for block in _BLOCK.finditer(text):
        yield from _text_part(text[position : block.start()], style, behind_block)
        reasoning = block[1]
        if style.padded:
            reasoning = reasoning.strip()
        elif style.strips_answer:
            reasoning = reasoning.strip("\n")
        if reasoning:
            yield {"type": "thinking", "thinking": reasoning}
        position, behind_block = block.end(), True
    yield from _text_part(text[position:], style, behind_block)


def _text_part(text: str, style: ChatStyle, behind_block: bool) -> Iterator[Part]:
    if behind_block and style.strips_answer:
        text = text.lstrip("\n")
    if text:
        yield {"type": "text", "text": text}
