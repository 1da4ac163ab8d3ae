"""The renderer of the Qwen vision families: Qwen2.5-VL, Qwen3-VL, Qwen3.5, 3.6 and 3.8."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geospot.errors import RenderError
from geospot.renderers.messages import (
    Message,
    Part,
    TrainOn,
    check_conversation,
    check_learnable,
    has_images,
    parts_of,
)
from geospot.renderers.photos import to_picture
from geospot.renderers.pieces import Piece, length_of, to_model_input
from geospot.renderers.response import ParsedResponse, read_response
from geospot.renderers.style import EMPTY_BLOCK, QWEN3_VL_INSTRUCT, ChatStyle
from geospot.renderers.system import with_system
from geospot.renderers.tokens import (
    IM_END,
    IM_START,
    MARKS,
    VISION_END,
    VISION_START,
    Encoder,
    Tokenizer,
)
from geospot.renderers.vision import grid_of

if TYPE_CHECKING:
    import numpy as np
    import tinker
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class _Turn:
    """One message in pieces: what introduces it, and what its author contributes."""

    role: str
    header: list[int]
    output: list[Piece]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a message stands in its conversation."""

    first: bool
    last: bool
    after_last_user: bool


class Qwen3VLRenderer:
    """Renders chat with photos for one `ChatStyle`.

    Args:
        tokenizer: the model's fast tokenizer.
        image_processor: the model's image processor from transformers or a `VisionGrid`; None for
            what the family was released with.
        style: the chat format; Qwen3-VL-Instruct's unless told otherwise.
        max_image_side: longest side in pixels; larger photos are shrunk.

    Raises:
        RenderError: a tokenizer or image processor of another kind.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        image_processor: Any = None,
        *,
        style: ChatStyle = QWEN3_VL_INSTRUCT,
        max_image_side: int | None = None,
    ) -> None:
        self.name = style.name
        self.style = style
        self.grid = style.grid if image_processor is None else grid_of(image_processor)
        self.max_image_side = max_image_side
        self._encoder = Encoder(tokenizer)
        self._marks = {mark: self._encoder.mark(mark) for mark in MARKS}
        self._end = self._marks[IM_END]

    def build_generation_prompt(
        self, messages: Sequence[Message], prefill: str = ""
    ) -> "tinker.ModelInput":
        """The conversation, ending where the assistant begins to speak; see `Renderer`."""
        conversation = with_system(check_conversation(messages), self.style)
        pieces = self._prompt(conversation)
        return to_model_input([*pieces, self._encoder.template(prefill)])

    def build_supervised_example(
        self, messages: Sequence[Message], train_on: TrainOn = "last_assistant_message"
    ) -> "tuple[tinker.ModelInput, NDArray[np.float32]]":
        """The conversation and a weight for each of its positions; see `Renderer`.

        Reasoning is removed from earlier messages as the family's template does it, so with
        `all_assistant_messages` those are learned without theirs.
        """
        import numpy as np

        conversation = with_system(check_conversation(messages), self.style)
        check_learnable(conversation, train_on)
        pieces: list[Piece] = []
        weights: list[float] = []
        last = len(conversation) - 1
        for index, turn in enumerate(self._turns(conversation)):
            learned = train_on == "all_tokens" or (
                turn.role == "assistant" and (train_on != "last_assistant_message" or index == last)
            )
            pieces += [turn.header, *turn.output]
            weights += [float(train_on == "all_tokens")] * len(turn.header)
            weights += [float(learned)] * sum(map(length_of, turn.output))
        weights_N = np.array(weights, np.float32)
        if train_on == "last_assistant_message":
            weights_N[: self._given_length(conversation, pieces)] = 0
        return to_model_input(pieces), weights_N

    def get_stop_sequences(self) -> list[int]:
        """The token `<|im_end|>`."""
        return [self._end]

    def parse_response(self, tokens: Sequence[int]) -> ParsedResponse:
        """What was sampled after a generation prompt, up to the first `<|im_end|>`, as a message."""
        sampled = list(tokens)
        truncated = self._end not in sampled
        if not truncated:
            sampled = sampled[: sampled.index(self._end)]
        return read_response(self._encoder.decode(sampled), self.style, truncated=truncated)

    def _prompt(self, messages: list[Message]) -> list[Piece]:
        turns = self._turns(messages)
        pieces = [piece for turn in turns for piece in (turn.header, *turn.output)]
        line_break = "\n" if messages else ""
        end = f"{line_break}{IM_START}assistant\n{self.style.prompt_end}"
        return [*pieces, self._encoder.template(end)]

    def _given_length(self, messages: list[Message], pieces: list[Piece]) -> int:
        """How many positions of a text-only example the generation prompt would have supplied.

        The header has no weight anyway; what this takes away is the start of a block of reasoning
        that the prompt opens. With photos the weights stay as tinker-cookbook 0.6.1 leaves them, so
        that runs can be compared: there the model also learns to write `<think>`, which the prompt
        gives it.
        """
        if has_images(messages):
            if self.style.thinking_disabled and self._has_reasoning(messages[-1]):
                raise _reasons_though_disabled(self.name)
            return 0
        prompt, whole = _tokens(self._prompt(messages[:-1])), _tokens(pieces)
        if whole[: len(prompt)] == prompt:
            return len(prompt)
        if self.style.thinking_disabled:
            raise _reasons_though_disabled(self.name)
        return 0

    def _turns(self, messages: list[Message]) -> Iterator[_Turn]:
        last_user = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=-1)
        for index, message in enumerate(messages):
            place = _Place(index == 0, index == len(messages) - 1, index > last_user)
            yield self._turn(_trimmed(message) if self.style.padded else message, place)

    def _turn(self, message: Message, place: _Place) -> _Turn:
        role = message["role"]
        line_break = "" if place.first else "\n"
        header = f"{line_break}{IM_START}{role}\n"
        block = EMPTY_BLOCK if self._gets_empty_block(message, place) else ""
        body = self._body(message, place)
        given = self.style.prompt_end
        if block and place.last and given:
            # Of the empty block, the turn being produced contributes only what the prompt left open.
            header, block = header + given, block.removeprefix(given)
            if block:
                body.insert(0, self._encoder.template(block))
        else:
            header += block
        return _Turn(role, self._encoder.template(header), body)

    def _gets_empty_block(self, message: Message, place: _Place) -> bool:
        if message["role"] != "assistant" or self.style.empty_block == "never":
            return False
        if self.style.empty_block == "after_last_user" and not place.after_last_user:
            return False
        return not self._has_reasoning(message)

    def _has_reasoning(self, message: Message) -> bool:
        content = message["content"]
        if isinstance(content, str):
            return self.style.inline_reasoning and "<think>" in content
        return any(part["type"] == "thinking" for part in content)

    def _body(self, message: Message, place: _Place) -> list[Piece]:
        """Content and end mark; text between two photos is encoded in one go, as templates do."""
        forgets = message["role"] == "assistant" and not (place.last or self.style.keeps_reasoning)
        pieces: list[Piece] = []
        text = ""
        for part in parts_of(message):
            if part["type"] == "text":
                text += part["text"]
            elif part["type"] == "thinking":
                text += "" if forgets else self._reasoning(part["thinking"])
            else:
                picture = to_picture(part["image"], self.grid, self.max_image_side)
                start, end = self._marks[VISION_START], self._marks[VISION_END]
                pieces += [self._encoder.content(text), [start], picture, [end]]
                text = ""
        return [*pieces, self._encoder.content(text), [self._end]]

    def _reasoning(self, text: str) -> str:
        return f"<think>\n{text}\n</think>\n\n" if self.style.padded else f"<think>{text}</think>"


def _reasons_though_disabled(name: str) -> RenderError:
    return RenderError(
        f"The renderer {name} tells the model not to reason, but the answer to be learned reasons.",
        "Use a renderer with thinking enabled, or take the reasoning out of the answer.",
    )


def _tokens(pieces: list[Piece]) -> list[int]:
    return [token for piece in pieces if isinstance(piece, list) for token in piece]


def _trimmed(message: Message) -> Message:
    """Without white space around what is visible; reasoning is trimmed by nobody."""
    content = message["content"]
    if isinstance(content, str):
        return {"role": message["role"], "content": content.strip()}
    parts = list(content)
    visible = [index for index, part in enumerate(parts) if part["type"] != "thinking"]
    for indices, strip in ((visible, str.lstrip), (visible[::-1], str.rstrip)):
        for index in indices:
            part: Part = parts[index]
            if part["type"] != "text":
                break
            text = strip(part["text"])
            parts[index] = {"type": "text", "text": text}
            if text:
                break
    return {"role": message["role"], "content": parts}
