"""What a chat format does to the system message before anything is rendered."""

from geospot.renderers.messages import Message, Part, text_of
from geospot.renderers.style import ChatStyle


def with_system(messages: list[Message], style: ChatStyle) -> list[Message]:
    """The conversation with the default system message or the instruction that the format demands."""
    first = messages[0] if messages and messages[0]["role"] == "system" else None
    if first is None:
        text = style.instruction or style.default_system
        return [{"role": "system", "content": text}, *messages] if text else messages
    if style.system_may_be_empty and not style.instruction:
        return messages
    content = first["content"]
    if not isinstance(content, str) and any(part["type"] != "text" for part in content):
        return [{"role": "system", "content": _instructed(content, style)}, *messages[1:]]
    text = text_of(first).strip()
    if style.instruction and not _begins_with(text, style.instruction):
        text = f"{style.instruction}\n\n{text}" if text else style.instruction
    return [{"role": "system", "content": text}, *messages[1:]] if text else messages[1:]


def _instructed(parts: list[Part], style: ChatStyle) -> list[Part]:
    first = parts[0]
    if not style.instruction or (
        first["type"] == "text" and first["text"].startswith(style.instruction)
    ):
        return parts
    return [{"type": "text", "text": f"{style.instruction}\n\n"}, *parts]


def _begins_with(text: str, instruction: str) -> bool:
    return text == instruction or text.startswith(f"{instruction}\n\n")
