"""Any renderer of tinker-cookbook, by name, where that package is installed."""

import importlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from geospot.errors import ImageError, RenderError, UsageError
from geospot.renderers.messages import (
    Message,
    Part,
    TrainOn,
    check_conversation,
    has_images,
    parts_of,
)
from geospot.renderers.photos import format_of, prepare_photo
from geospot.renderers.response import ParsedResponse, read_response
from geospot.renderers.style import OPEN_BLOCK, ChatStyle

if TYPE_CHECKING:
    import numpy as np
    import tinker
    from numpy.typing import NDArray

    from geospot.images import PreparedImage

PREFIX: Final = "cookbook:"


def cookbook_renderer(
    name: str, tokenizer: Any, image_processor: Any, max_image_side: int | None
) -> "CookbookRenderer | None":
    """The cookbook's renderer of that name; None where the cookbook knows no such name.

    Raises:
        UsageError: tinker-cookbook isn't installed, or doesn't import.
    """
    try:
        renderers: Any = importlib.import_module("tinker_cookbook.renderers")
        exceptions: Any = importlib.import_module("tinker_cookbook.exceptions")
    except ImportError as error:
        raise UsageError(
            f"The renderer {name!r} is looked for in tinker-cookbook, which can't be imported: {error}.",
            "Run `pip install tinker-cookbook`, or name one of geospot's own renderers.",
        ) from error
    try:
        inner = renderers.get_renderer(name, tokenizer, image_processor)
    except exceptions.RendererError:
        return None
    its_error = cast(type[Exception], exceptions.RendererError)
    return CookbookRenderer(name, inner, its_error, image_processor, max_image_side)


class CookbookRenderer:
    """A renderer of tinker-cookbook behind the face of ours.

    Photos are prepared as for our own renderers, and it is those bytes that are sent: the cookbook
    would encode every image again.
    """

    def __init__(
        self,
        name: str,
        inner: Any,
        its_error: type[Exception],
        image_processor: Any,
        max_image_side: int | None,
    ) -> None:
        self.name = PREFIX + name
        self.max_image_side = max_image_side
        self._inner = inner
        self._errors = (its_error, ValueError, NotImplementedError)
        self._processor = image_processor

    def build_generation_prompt(
        self, messages: Sequence[Message], prefill: str = ""
    ) -> "tinker.ModelInput":
        """The conversation, ending where the assistant begins to speak; see `Renderer`."""
        theirs, photos = self._converted(messages)
        try:
            model_input = self._inner.build_generation_prompt(theirs, prefill=prefill or None)
        except self._errors as error:
            raise self._failed(error) from error
        return _with_photos(model_input, photos)

    def build_supervised_example(
        self, messages: Sequence[Message], train_on: TrainOn = "last_assistant_message"
    ) -> "tuple[tinker.ModelInput, NDArray[np.float32]]":
        """The conversation and a weight for each of its positions; see `Renderer`."""
        import numpy as np

        theirs, photos = self._converted(messages)
        try:
            model_input, weights = self._inner.build_supervised_example(theirs, train_on)
        except self._errors as error:
            raise self._failed(error) from error
        return _with_photos(model_input, photos), np.array(weights.tolist(), np.float32)

    def get_stop_sequences(self) -> list[int] | list[str]:
        """Tokens, or strings, at which sampling ends."""
        return self._inner.get_stop_sequences()

    def parse_response(self, tokens: Sequence[int]) -> ParsedResponse:
        """What was sampled after a generation prompt, as a message.

        An answer that was cut off is read as by our own renderers; the cookbook leaves it as it is,
        reasoning and all.
        """
        sampled = list(tokens)
        try:
            message, termination = self._inner.parse_response(sampled)
        except self._errors as error:
            raise self._failed(error) from error
        truncated = not termination.is_clean
        read = read_response(self._without_stop(sampled), self._style(), truncated=truncated)
        if truncated:
            return read
        content: Any = message["content"]
        if not isinstance(content, str):
            content = [part for part in content if part["type"] in ("text", "thinking")]
        return ParsedResponse({"role": "assistant", "content": content}, read.raw, truncated=False)

    def _without_stop(self, tokens: list[int]) -> str:
        stops = self.get_stop_sequences()
        ends = [index for index, token in enumerate(tokens) if token in stops]
        text = str(self._inner.tokenizer.decode(tokens[: ends[0]] if ends else tokens))
        for stop in stops:
            text = text.removesuffix(stop) if isinstance(stop, str) else text
        return text

    def _style(self) -> ChatStyle:
        """All that reading needs to know of the format: whether its prompts open a block of reasoning."""
        prompt = self.build_generation_prompt([{"role": "user", "content": "?"}])
        end = str(self._inner.tokenizer.decode(prompt.to_ints()[-8:])).rstrip()
        return ChatStyle(self.name, prompt_end=OPEN_BLOCK if end.endswith("<think>") else "")

    def _converted(
        self, messages: Sequence[Message]
    ) -> tuple[list[dict[str, Any]], "list[PreparedImage]"]:
        """The conversation as the cookbook takes it, and its photos in the order of appearance."""
        from PIL import Image

        conversation = check_conversation(messages)
        if has_images(conversation) and self._processor is None:
            raise RenderError(
                f"The renderer {self.name} can't count an image's tokens without the model's image "
                "processor.",
                "Name one of geospot's own renderers, or pass image_processor to get_renderer.",
            )
        photos: list[PreparedImage] = []

        def converted(part: Part) -> Any:
            if part["type"] != "image":
                return part
            photo = prepare_photo(part["image"], self.max_image_side)
            self._check_shape(photo)
            photos.append(photo)
            return {"type": "image", "image": Image.open(io.BytesIO(photo.data))}

        theirs = [
            {
                "role": message["role"],
                "content": message["content"]
                if isinstance(message["content"], str)
                else [converted(part) for part in parts_of(message)],
            }
            for message in conversation
        ]
        return theirs, photos

    def _check_shape(self, photo: "PreparedImage") -> None:
        """Some image processors refuse a shape; then it is the photo that can't be sent."""
        count: Any = getattr(self._processor, "get_number_of_image_patches", None)
        if count is None:
            return
        width, height = photo.original_size
        try:
            count(height, width, {})
        except ImageError:
            raise
        except ValueError as error:
            raise ImageError(
                f"The image is {width} × {height} pixels, which the model refuses: {error}."
            ) from error

    def _failed(self, error: Exception) -> RenderError:
        return RenderError(f"The renderer {self.name} refuses: {str(error).rstrip('.')}.")


def _with_photos(model_input: Any, photos: "list[PreparedImage]") -> "tinker.ModelInput":
    """The cookbook's model input with our bytes in place of its own encoding of them."""
    from tinker import types

    rest = iter(photos)
    chunks: list[types.ModelInputChunk] = []
    for chunk in cast(types.ModelInput, model_input).chunks:
        if isinstance(chunk, types.ImageChunk):
            photo = next(rest, None)
            if photo is None:
                raise RenderError("The renderer made more images than the conversation has.")
            chunks.append(
                types.ImageChunk(
                    data=photo.data,
                    format=format_of(photo),
                    expected_tokens=chunk.expected_tokens,
                )
            )
        elif chunk.length:  # the service refuses empty ones
            chunks.append(chunk)
    if next(rest, None) is not None:
        raise RenderError("The renderer left out an image: it is for text alone.")
    return types.ModelInput(chunks=chunks)
