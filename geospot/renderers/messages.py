"""Conversations as plain dictionaries, the way chat services and tinker-cookbook write them.

A message is `{"role": "user", "content": …}`. Its content is a string, or a list of parts:
`{"type": "text", "text": …}`, `{"type": "image", "image": …}`, `{"type": "thinking", "thinking": …}`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, cast

from geospot.errors import RenderError
from geospot.images import PreparedImage

if TYPE_CHECKING:
    from PIL.Image import Image

ImageSource: TypeAlias = "bytes | Path | PreparedImage | Image"
"""An image file's bytes, its path, what `prepare_image` made of it, or a Pillow image.

Never a URL: nothing is fetched here.
"""

Role = Literal["system", "user", "assistant"]


class TextPart(TypedDict):
    """Text that is meant to be seen."""

    type: Literal["text"]
    text: str


class ImagePart(TypedDict):
    """A photo."""

    type: Literal["image"]
    image: ImageSource


class ThinkingPart(TypedDict):
    """A model's reasoning, without the marks around it."""

    type: Literal["thinking"]
    thinking: str


Part = TextPart | ImagePart | ThinkingPart


class Message(TypedDict):
    """One turn of a conversation."""

    role: Role
    content: str | list[Part]


TrainOn = Literal["last_assistant_message", "all_assistant_messages", "all_tokens"]
"""Which tokens of a supervised example carry weight 1; tinker-cookbook's names."""

TRAIN_ON: Final[tuple[TrainOn, ...]] = (
    "last_assistant_message",
    "all_assistant_messages",
    "all_tokens",
)

_KINDS: Final = ("text", "image", "thinking")
"""Of parts; what a part holds stands under the name of its kind."""
_ROLES: Final = ("system", "user", "assistant")


def check_conversation(messages: Sequence[Message]) -> list[Message]:
    """The conversation, as soon as it is known to be one; callers' dictionaries are untyped.

    Raises:
        RenderError: no messages, an unknown role or kind of part, or tools.
    """
    if not messages:
        raise RenderError("The conversation has no messages.", "Give it at least one.")
    for number, message in enumerate(messages, start=1):
        _check_message(number, cast(Mapping[str, Any], message))
    return list(messages)


def _check_message(number: int, message: Mapping[str, Any]) -> None:
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES or "tool_calls" in message:
        raise RenderError(
            f"Message {number} has the role {role!r}{' and calls tools' * ('tool_calls' in message)}.",
            f"Roles are {', '.join(_ROLES)}; conversations with tools aren't rendered here.",
        )
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise RenderError(
            f"The content of message {number} is a {type(content).__name__}.",
            "Make it a string or a list of parts.",
        )
    for part in cast(list[Any], content):
        kind = _kind(part)
        if not kind or kind not in part or (kind != "image" and not isinstance(part[kind], str)):
            raise RenderError(
                f"Message {number} has a part that is none: {part!r:.80}.",
                'Parts are {"type": "text", "text": "…"}, with "image" or "thinking" likewise.',
            )


def _kind(part: Any) -> str:
    """The kind of a part; empty for what is none."""
    kind: Any = cast(Mapping[str, Any], part).get("type") if isinstance(part, Mapping) else None
    return kind if kind in _KINDS else ""


def check_learnable(messages: list[Message], train_on: str) -> None:
    """Raises RenderError where an example would have nothing to learn."""
    if train_on not in TRAIN_ON:
        raise RenderError(
            f"Nobody can train on {train_on!r}.", f"Use one of {', '.join(TRAIN_ON)}."
        )
    if train_on == "last_assistant_message" and messages[-1]["role"] != "assistant":
        raise RenderError(
            "The example's last message isn't the assistant's, so there is nothing to learn.",
            "End the conversation with the answer.",
        )
    if all(message["role"] != "assistant" for message in messages) and train_on != "all_tokens":
        raise RenderError(
            "The example has no message of the assistant's, so there is nothing to learn.",
            "Put the answer into it.",
        )


def parts_of(message: Message) -> list[Part]:
    """The content as a list; a string is one part of text."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def text_of(message: Message) -> str:
    """All text of a message, without its reasoning."""
    return "".join(part["text"] for part in parts_of(message) if part["type"] == "text")


def thinking_of(message: Message) -> str:
    """All reasoning of a message that is kept in parts."""
    return "".join(part["thinking"] for part in parts_of(message) if part["type"] == "thinking")


def has_images(messages: Iterable[Message]) -> bool:
    """Whether any message shows a photo."""
    return any(part["type"] == "image" for message in messages for part in parts_of(message))
