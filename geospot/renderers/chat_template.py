"""Any model's conversations, by its own chat template: for families without a renderer of their own.

The template writes the text and a placeholder for each photo, and the model's processor says what a photo
becomes. Tokens are those that transformers makes of the same conversation, with one exception: where
messages hold the text of a special token, it stays text.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from geospot.errors import ImageError, RenderError
from geospot.images import PreparedImage
from geospot.renderers.messages import (
    Message,
    TrainOn,
    check_conversation,
    check_learnable,
    parts_of,
)
from geospot.renderers.photos import format_of, prepare_photo
from geospot.renderers.pieces import Picture, Piece, length_of, to_model_input
from geospot.renderers.processors import ModelProcessor
from geospot.renderers.response import ParsedResponse, read_response
from geospot.renderers.style import CHAT_TEMPLATE, OPEN_BLOCK, ChatStyle
from geospot.renderers.templates import ChatTemplate
from geospot.renderers.tokens import Encoder

if TYPE_CHECKING:
    import tinker
    from numpy.typing import NDArray

_PROBE: Final = "probe"


class ChatTemplateRenderer:
    """Renders chat with photos by the tokenizer's chat template and the model's processor.

    Args:
        processor: the model's, with its tokenizer.
        ends: tokens that end an answer by the model's generation settings; the tokenizer's end token
            and the mark that the template writes behind an answer are added.
        max_image_side: longest side in pixels; larger photos are shrunk.

    Raises:
        RenderError: there is no template, or it can't be filled in.
    """

    def __init__(
        self,
        processor: ModelProcessor,
        *,
        ends: Iterable[int] = (),
        max_image_side: int | None = None,
    ) -> None:
        self.name = CHAT_TEMPLATE
        self.max_image_side = max_image_side
        self._processor = processor
        self._tokenizer: Any = processor.tokenizer
        self._encoder = Encoder(self._tokenizer)
        self._template = ChatTemplate(
            self._tokenizer, {*self._encoder.special, processor.placeholder}, processor.placeholder
        )
        self._opening = self._tokens_before_text()
        self._ends = self._all_ends(ends)
        prompt = self._template.fill([{"role": "user", "content": _PROBE}], prompt=True)
        opens = prompt.rstrip().endswith("<think>")
        self._style = ChatStyle(CHAT_TEMPLATE, prompt_end=OPEN_BLOCK if opens else "")

    def build_generation_prompt(
        self, messages: Sequence[Message], prefill: str = ""
    ) -> "tinker.ModelInput":
        """The conversation, ending where the assistant begins to speak; see `Renderer`."""
        conversation = check_conversation(messages)
        photos = self._photos(conversation)
        text = self._template.fill(conversation, prompt=True)
        pieces = self._pieces(text, iter(photos), first=True)
        self._check_count(pieces, photos)
        return to_model_input([*pieces, self._encoder.template(prefill)])

    def build_supervised_example(
        self, messages: Sequence[Message], train_on: TrainOn = "last_assistant_message"
    ) -> "tuple[tinker.ModelInput, NDArray[np.float32]]":
        """The conversation and a weight for each of its positions; see `Renderer`.

        What is learned of a message is what the template writes behind the prompt for it, up to the
        token that ends it. Photos carry no weight.

        Raises:
            RenderError: the template writes a message otherwise once it is answered, or drops text of
                earlier ones.
        """
        conversation = check_conversation(messages)
        check_learnable(conversation, train_on)
        photos = self._photos(conversation)
        rest = iter(photos)
        pieces: list[Piece] = []
        weights: list[float] = []
        for number, (text, learned) in enumerate(self._segments(conversation, train_on)):
            found = self._pieces(text, rest, first=number == 0)
            pieces += found
            weights += self._weights(found, learned=learned, to_the_end=train_on == "all_tokens")
        self._check_count(pieces, photos)
        if conversation[-1]["role"] == "assistant" and train_on != "all_tokens":
            self._end_there(pieces, weights)
        return to_model_input(pieces), np.array(weights, np.float32)

    def get_stop_sequences(self) -> list[int]:
        """The tokens that end an answer."""
        return list(self._ends)

    def parse_response(self, tokens: Sequence[int]) -> ParsedResponse:
        """What was sampled after a generation prompt, up to the first token that ends an answer."""
        sampled = list(tokens)
        end = next((at for at, token in enumerate(sampled) if token in self._ends), None)
        text = self._encoder.decode(sampled[:end])
        return read_response(text, self._style, truncated=end is None)

    def _segments(self, messages: list[Message], train_on: TrainOn) -> Iterator[tuple[str, bool]]:
        """The text in order, and whether it is to be learned."""
        if train_on == "all_tokens":
            yield self._template.fill(messages), True
            return
        spoken = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
        text = ""
        for at in spoken if train_on == "all_assistant_messages" else spoken[-1:]:
            prompt = self._template.fill(messages[:at], prompt=True)
            whole = self._template.fill(messages[: at + 1])
            yield _behind(text, prompt), False
            yield _behind(prompt, whole), True
            text = whole
        if messages[-1]["role"] != "assistant":
            yield _behind(text, self._template.fill(messages)), False

    def _weights(self, pieces: list[Piece], *, learned: bool, to_the_end: bool) -> list[float]:
        weights: list[float] = []
        for piece in pieces:
            if isinstance(piece, Picture) or not learned:
                weights += [0.0] * length_of(piece)
                continue
            ends = (
                [] if to_the_end else [at for at, token in enumerate(piece) if token in self._ends]
            )
            said = ends[0] + 1 if ends else len(piece)
            weights += [1.0] * said + [0.0] * (len(piece) - said)
        return weights

    def _end_there(self, pieces: list[Piece], weights: list[float]) -> None:
        """The example ends with the token that ends the answer; written here if the template doesn't."""
        last = pieces[-1]
        if isinstance(last, Picture):
            raise RenderError("An answer may not end in a photo.", "Put its text behind the photo.")
        ends = [at for at, token in enumerate(last) if token in self._ends]
        if not ends:
            pieces[-1] = [*last, self._ends[0]]
            weights.append(1.0)
            return
        behind = len(last) - ends[0] - 1
        if behind:
            pieces[-1] = last[:-behind]
            del weights[-behind:]

    def _photos(self, messages: list[Message]) -> list[PreparedImage]:
        return [
            prepare_photo(part["image"], self.max_image_side)
            for message in messages
            for part in parts_of(message)
            if part["type"] == "image"
        ]

    def _check_count(self, pieces: list[Piece], photos: list[PreparedImage]) -> None:
        shown = sum(isinstance(piece, Picture) for piece in pieces)
        if shown != len(photos):
            raise RenderError(
                f"The chat template shows {shown} of {len(photos)} photos.",
                "It may take photos in the user's messages only, or none at all.",
            )

    def _pieces(self, text: str, photos: Iterator[PreparedImage], *, first: bool) -> list[Piece]:
        """Tokens and photos of a stretch of the text; what was hidden in it is written as text."""
        placeholder = self._processor.placeholder
        stretches = text.split(placeholder)
        pictures: list[Picture] = []
        joined = stretches[0]
        for stretch in stretches[1:]:
            before, picture, after = self._picture(photos)
            pictures.append(picture)
            joined += f"{before}{placeholder}{after}{stretch}"
        opening = self._opening if first and not joined.startswith(self._begin_text()) else []
        pieces: list[Piece] = [list(opening)]
        waiting = iter(pictures)
        run = pieces[0]
        for token, literal in self._tokens(joined):
            if token == self._processor.placeholder_token and not literal:
                run = list[int]()
                pieces += [next(waiting), run]
            elif isinstance(run, list):
                run.append(token)
        return pieces

    def _tokens(self, text: str) -> Iterator[tuple[int, bool]]:
        """Tokens of text, each with whether it is text that looks like a special token."""
        for part, hidden in self._template.parts(text):
            encode = self._encoder.content if hidden else self._encoder.template
            yield from ((token, hidden) for token in encode(part))

    def _picture(self, photos: Iterator[PreparedImage]) -> tuple[str, Picture, str]:
        from PIL import Image

        photo = next(photos, None)
        if photo is None:
            raise RenderError(
                "The chat template shows more photos than the conversation has.",
                "Name the renderer that fits the model.",
            )
        with Image.open(io.BytesIO(photo.data)) as opened:
            expansion = self._processor.expand(opened.convert("RGB"))
        if not len(expansion.tokens_N):
            raise ImageError("The model's processor makes no tokens of the image.")
        picture = Picture(photo.data, format_of(photo), len(expansion.tokens_N))
        return expansion.before, picture, expansion.after

    def _begin_text(self) -> str:
        return str(getattr(self._tokenizer, "bos_token", None) or "\0")

    def _tokens_before_text(self) -> list[int]:
        """What the tokenizer puts in front of every text, unless the template has written it."""
        plain = self._encoder.template(_PROBE)
        whole: list[int] = self._tokenizer.encode(_PROBE, add_special_tokens=True)
        at = next((at for at in range(len(whole)) if whole[at : at + len(plain)] == plain), 0)
        return whole[:at]

    def _all_ends(self, ends: Iterable[int]) -> list[int]:
        """Tokens that end an answer, the one that the template writes first."""
        text = self._template.fill(
            [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        )
        tokens = self._encoder.template(text.rpartition(_PROBE)[2].lstrip())
        mark = [token for token in tokens[:1] if token in self._encoder.added]
        own = self._tokenizer.eos_token_id
        found = list({int(token): None for token in (*mark, own, *ends) if token is not None})
        if not found:
            raise RenderError(
                "Neither the tokenizer nor its chat template says what ends an answer.",
                "Take the model's instruction-tuned version.",
            )
        return found


def _behind(start: str, text: str) -> str:
    if not text.startswith(start):
        raise RenderError(
            "The chat template writes the conversation otherwise once it goes on, so it isn't known "
            "which tokens the answer has.",
            "Train on the last assistant message, or on all tokens.",
        )
    return text[len(start) :]
