"""The likeliest tokens of a position, as `topk_sample_logprobs` and `topk_prompt_logprobs` ask for them."""

from typing import Any, Final

import torch

from geospot_backends.local.api import NO_LOGPROB, EngineUserError, SampleRequest, TopTokens
from geospot_backends.local.forward import logprobs
from geospot_backends.local.models import BaseModel
from geospot_backends.local.tensors import list_of

MOST: Final = 128
_ROWS_AT_ONCE: Final = 64
"""Positions of a prompt whose logits over the whole vocabulary are held together."""


def check_top(request: SampleRequest, base: BaseModel) -> None:
    """Raises EngineUserError unless so many tokens can be listed."""
    most = min(MOST, base.vocabulary)
    for name, count in (
        ("topk_sample_logprobs", request.top_sampled),
        ("topk_prompt_logprobs", request.top_of_prompt),
    ):
        if not 0 <= count <= most:
            raise EngineUserError(f"{name} of {count} is not in 0 … {most}.")


def top_tokens(logprob_T_V: torch.Tensor, count: int) -> list[TopTokens]:
    """Of each row the `count` likeliest tokens with their log-probabilities, the likeliest first.

    A row has fewer where fewer tokens can be sampled at all.
    """
    values_T_K, tokens_T_K = logprob_T_V.topk(count, dim=-1)
    rows = zip(list_of(tokens_T_K), list_of(values_T_K), strict=True)
    return [
        [(token, value) for token, value in zip(*row, strict=True) if value > NO_LOGPROB / 2]
        for row in rows
    ]


def top_of_prompt(
    base: BaseModel, hidden_T_D: torch.Tensor, count: int, network: Any
) -> list[TopTokens]:
    """The same from hidden states, a part at a time."""
    found: list[TopTokens] = []
    for first in range(0, len(hidden_T_D), _ROWS_AT_ONCE):
        part_T_D = hidden_T_D[first : first + _ROWS_AT_ONCE]
        found += top_tokens(logprobs(base, part_T_D, network), count)
    return found
