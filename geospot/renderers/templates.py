"""A tokenizer's chat template: conversations as the text that it writes."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from geospot.errors import RenderError
from geospot.renderers.messages import Message, parts_of
from geospot.renderers.style import CHAT_TEMPLATE

_PROBE: Final = "probe"
# Private characters stand for special tokens' texts in messages until the template has been filled in.
_OPEN, _CLOSE = "\ue000", "\ue001"
_FOUND: Final = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


class ChatTemplate:
    """Fills in the chat template of a tokenizer.

    Args:
        tokenizer: transformers' tokenizer with a template.
        marks: texts that mean something to the tokenizer; in messages they are hidden from it.
        placeholder: what stands for a photo where the template takes strings only.

    Raises:
        RenderError: there is no template.
    """

    def __init__(self, tokenizer: Any, marks: Iterable[str], placeholder: str) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise RenderError(
                "The tokenizer has no chat template, so nobody knows how its model is spoken to.",
                "Take the model's instruction-tuned version.",
            )
        self._tokenizer = tokenizer
        self._marks = [*sorted(marks, key=len)[::-1], _OPEN, _CLOSE]
        self._mark = re.compile("|".join(map(re.escape, self._marks)))
        self._placeholder = placeholder
        self._takes_parts = self._does_take_parts()

    def parts(self, text: str) -> Iterator[tuple[str, bool]]:
        """A filled-in text in order; True where it is what a message says, and no mark."""
        for number, part in enumerate(_FOUND.split(text)):
            if number % 2 == 0:
                yield part, False
            else:
                yield self._marks[int(part)], True

    def fill(self, messages: list[Message], *, prompt: bool = False) -> str:
        """The conversation as the template writes it, with placeholders for photos."""
        from jinja2 import TemplateError

        plain = [self._plain(message) for message in messages]
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    plain, tokenize=False, add_generation_prompt=prompt
                )
            )
        except (TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
            raise RenderError(
                f"The model's chat template refuses the conversation: {str(error).splitlines()[0]}",
                "It may want the roles to alternate, or no system message.",
            ) from error

    def _plain(self, message: Message) -> dict[str, Any]:
        """The message as templates take it: without photos' bytes and what looks like marks."""
        parts: list[dict[str, str]] = []
        for part in parts_of(message):
            if part["type"] == "thinking":
                raise RenderError(
                    f"The renderer {CHAT_TEMPLATE} doesn't know how this model writes its reasoning.",
                    "Leave reasoning out of the conversation.",
                )
            if part["type"] == "image":
                parts.append({"type": "image"})
            else:
                parts.append({"type": "text", "text": self._hidden(part["text"])})
        if self._takes_parts:
            return {"role": message["role"], "content": parts}
        text = "".join(part.get("text", self._placeholder) for part in parts)
        return {"role": message["role"], "content": text}

    def _hidden(self, text: str) -> str:
        return self._mark.sub(lambda found: f"{_OPEN}{self._marks.index(found[0])}{_CLOSE}", text)

    def _does_take_parts(self) -> bool:
        """Whether the template takes lists of parts; others take strings only, and print a list."""
        self._takes_parts = True
        try:
            text = self.fill([{"role": "user", "content": [{"type": "text", "text": _PROBE}]}])
        except RenderError:
            return False
        return _PROBE in text and "'type'" not in text
