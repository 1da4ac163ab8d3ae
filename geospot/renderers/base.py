"""What a renderer is: ours, and tinker-cookbook's behind the same face."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from geospot.renderers.messages import Message, TrainOn
from geospot.renderers.response import ParsedResponse

if TYPE_CHECKING:
    import numpy as np
    import tinker
    from numpy.typing import NDArray


class Renderer(Protocol):
    """Puts conversations into a model's tokens, and its tokens into messages."""

    name: str

    def build_generation_prompt(
        self, messages: Sequence[Message], prefill: str = ""
    ) -> "tinker.ModelInput":
        """The conversation, ending where the assistant begins to speak.

        Args:
            messages: what was said so far.
            prefill: the answer's first words, put into the model's mouth.

        Raises:
            RenderError: no conversation that can be rendered.
            ImageError: a photo that can't be sent.
        """
        ...

    def build_supervised_example(
        self, messages: Sequence[Message], train_on: TrainOn = "last_assistant_message"
    ) -> "tuple[tinker.ModelInput, NDArray[np.float32]]":
        """The whole conversation, and a weight for every position: 1 where the model is to learn.

        Positions are those of the input, not yet shifted by one; a photo has as many as it has
        tokens.

        Raises:
            RenderError: nothing in it can be learned from, or it can't be rendered.
            ImageError: a photo that can't be sent.
        """
        ...

    def get_stop_sequences(self) -> list[int] | list[str]:
        """Tokens, or strings, at which sampling ends."""
        ...

    def parse_response(self, tokens: Sequence[int]) -> ParsedResponse:
        """What was sampled after a generation prompt, as a message."""
        ...
