"""From a rollout to what the service trains on: tokens shifted by one, with an advantage on each."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geospot.errors import RenderError
from geospot.rl.types import Transition

if TYPE_CHECKING:
    import tinker


def policy_datum(transition: Transition, advantage: float) -> "tinker.Datum":
    """A datum of importance_sampling, ppo or cispo.

    The prompt of P positions and the action of T tokens make an input of P + T − 1 positions: the last
    token is only ever predicted. Position P − 1 predicts the action's first token. Targets,
    log-probabilities and advantages have the input's length and are 0 over the prompt, where the loss
    is 0 whatever the model says.

    Raises:
        RenderError: an empty action, log-probabilities of another length, or a prompt that ends in an
            image.
    """
    import tinker

    action, prompt = transition.action, transition.observation
    if not action or len(action) != len(transition.logprobs_T):
        raise RenderError(
            f"A rollout of {len(action)} tokens has {len(transition.logprobs_T)} log-probabilities."
        )
    behind = prompt.length - 1
    return tinker.Datum(
        model_input=_continued(prompt, action[:-1]),
        loss_fn_inputs={
            "target_tokens": tinker.TensorData.from_numpy(
                _behind(behind, np.asarray(action, np.int64))
            ),
            "logprobs": tinker.TensorData.from_numpy(
                _behind(behind, np.asarray(transition.logprobs_T, np.float32))
            ),
            "advantages": tinker.TensorData.from_numpy(
                _behind(behind, np.full(len(action), advantage, np.float32))
            ),
        },
    )


def scoring_input(transition: Transition) -> "tinker.ModelInput":
    """Prompt and whole action, for log-probabilities under another model."""
    return _continued(transition.observation, transition.action)


def _continued(prompt: "tinker.ModelInput", tokens: list[int]) -> "tinker.ModelInput":
    """The prompt with tokens behind it, in its last chunk of text."""
    import tinker

    *before, last = prompt.chunks
    if not isinstance(last, tinker.types.EncodedTextChunk):
        raise RenderError("A prompt ends in an image.", "Put text behind the last image.")
    text = tinker.types.EncodedTextChunk(tokens=[*last.tokens, *tokens])
    return tinker.ModelInput(chunks=[*before, text])


def _behind(prompt: int, values_T: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The values at the end of an array of zeros that begins with so many positions of the prompt."""
    padded = np.zeros(prompt + len(values_T), values_T.dtype)
    padded[prompt:] = values_T
    return padded
