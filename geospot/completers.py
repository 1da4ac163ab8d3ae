"""Many samples of one prompt in one call to a Tinker service.

One call encodes the prompt and its photo once; the hosted service bills the other samples' prompts as
cache hits, and the embedded engine decodes them as one batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geospot.errors import BackendError, DivergedError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import tinker
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Completion:
    """One sampled sequence of T tokens.

    `tokens` includes the stop token that ended it, where one did. `truncated`: it ended at the token
    limit. `logprobs_T` are natural logarithms of the model's own probabilities, at temperature 1 and
    before top_k and top_p cut the distribution, whatever was asked for, from the embedded engine; the
    hosted service is reported to send the same (tinker-feedback issue 148). They are those of the
    distribution that was sampled only at temperature 1 without a cut: reinforcement learning from
    other samples must account for the difference, or its importance ratios are wrong.
    """

    tokens: list[int]
    logprobs_T: "NDArray[np.float32]"
    truncated: bool
    sequence_id: str


@dataclass(frozen=True, slots=True)
class TinkerTokenCompleter:
    """Samples continuations of prompts from one model.

    Args:
        client: a `tinker.SamplingClient`.
        max_tokens: at most so many tokens a sample.
        temperature: 1 samples from the model's distribution, 0 takes the likeliest token.
        top_k: only among so many of the likeliest tokens; -1 for all.
        top_p: only among the likeliest tokens that together have this probability.
        seed: equal seeds give equal samples; None for different ones each time.
        context_length: prompt and sample together stay within so many tokens, where it is known.
    """

    client: "tinker.SamplingClient"
    max_tokens: int
    temperature: float = 1.0
    top_k: int = -1
    top_p: float = 1.0
    seed: int | None = None
    context_length: int | None = None

    async def __call__(
        self,
        prompt: "tinker.ModelInput",
        stop: Sequence[int] | Sequence[str],
        num_samples: int = 1,
    ) -> list[Completion]:
        """`num_samples` continuations of one prompt, in one call.

        Args:
            prompt: a renderer's generation prompt.
            stop: the renderer's stop sequences.

        Raises:
            UsageError: the prompt leaves no room for an answer, or no samples are asked for.
            BackendError: the service answered with too few samples, or without log-probabilities.
            DivergedError: a log-probability is no finite number, and so the weights are spoiled.
            tinker.TinkerError: the service or the connection failed.
        """
        from tinker import types

        if num_samples < 1:
            raise UsageError(f"{num_samples} samples can't be drawn.", "Ask for one or more.")
        response = await self.client.sample(
            prompt,
            num_samples=num_samples,
            sampling_params=types.SamplingParams(
                max_tokens=self._room(prompt),
                temperature=self.temperature,
                top_k=self.top_k,
                top_p=self.top_p,
                seed=self.seed,
                stop=list(stop),  # pyright: ignore[reportArgumentType] - all tokens or all strings
            ),
        )
        if len(response.sequences) != num_samples:
            raise BackendError(
                f"The service was asked for {num_samples} samples and sent {len(response.sequences)}."
            )
        return [_completion(sequence) for sequence in response.sequences]

    def _room(self, prompt: "tinker.ModelInput") -> int:
        if self.context_length is None:
            return self.max_tokens
        room = self.context_length - prompt.length
        if room < 1:
            raise UsageError(
                f"The prompt has {prompt.length} tokens, and the model's context "
                f"{self.context_length}.",
                "Shorten the prompt, or shrink the image with a smaller maximum side.",
            )
        return min(room, self.max_tokens)


def _completion(sequence: "tinker.types.SampledSequence") -> Completion:
    import numpy as np

    if sequence.logprobs_np is None and sequence.logprobs is None:
        raise BackendError("The service sent a sample without log-probabilities.")
    logprobs_T = np.asarray(
        sequence.logprobs if sequence.logprobs_np is None else sequence.logprobs_np, np.float32
    )
    if not np.isfinite(logprobs_T).all():
        raise DivergedError(
            "The model's answers have log-probabilities that are no finite numbers: its weights are "
            "spoiled."
        )
    return Completion(
        tokens=sequence.tokens,
        logprobs_T=logprobs_T,
        truncated=sequence.stop_reason == "length",
        sequence_id=sequence.sequence_id,
    )
