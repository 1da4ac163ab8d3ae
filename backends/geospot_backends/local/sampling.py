"""Batched decoding: each distinct prompt is read once, and all its samples go on from there."""

import math
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import numpy as np
import torch

from geospot_backends.local.api import (
    MAX_SAMPLES,
    EngineError,
    EngineUserError,
    SampledSequence,
    SampleRequest,
    SampleResult,
    SamplingParams,
    StopReason,
    TopTokens,
)
from geospot_backends.local.caches import with_room
from geospot_backends.local.families import Heads
from geospot_backends.local.forward import logprobs, read_heads, target_logprobs
from geospot_backends.local.inputs import InputReader
from geospot_backends.local.models import BaseModel
from geospot_backends.local.sequences import Sequence
from geospot_backends.local.tensors import list_of, tensor_of
from geospot_backends.local.toplist import check_top, top_of_prompt, top_tokens

T = TypeVar("T")

POSITIONS_AT_ONCE: Final = 1 << 18
"""Positions that one batch may come to hold; what goes beyond waits for the next batch."""

GREEDY_BELOW: Final = 1e-4
"""Temperatures below this take the likeliest token, as 0 does.

At 1e-4 a token whose logit is 0.002 lower is 5e-10 times as likely: what is left to chance lies within
the rounding of low-precision logits. Much smaller temperatures overflow the division.
"""

_UNIFORMS_AT_ONCE: Final = 64
_STOP_TAIL_TOKENS: Final = 64


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request that was checked."""

    request: SampleRequest
    prompt: Sequence
    max_tokens: int
    stop_tokens: frozenset[int]
    stop_texts: tuple[str, ...]


@dataclass(slots=True)
class _Running:
    """One sequence that is being sampled."""

    owner: int
    head: int
    read: ReadRequest
    random: np.random.Generator
    tokens: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    top: list[TopTokens] = field(default_factory=list[TopTokens])
    stop_reason: StopReason | None = None
    is_broken: bool = False
    """The model gave no finite number for what comes next."""
    _uniforms: list[float] = field(default_factory=list[float])

    def uniform(self) -> float:
        """The next number in [0, 1) of this sequence alone."""
        if not self._uniforms:
            self._uniforms = self.random.random(_UNIFORMS_AT_ONCE).tolist()[::-1]
        return self._uniforms.pop()

    def finished(self) -> SampledSequence:
        """What was sampled."""
        top = self.top if self.read.request.top_sampled else None
        return SampledSequence(self.tokens, self.logprobs, self.stop_reason or "length", top)


def read_request(reader: InputReader, base: BaseModel, request: SampleRequest) -> ReadRequest:
    """Checks one request.

    Raises:
        EngineUserError: what is wrong with it.
    """
    params = request.params
    if not 1 <= request.num_samples <= MAX_SAMPLES:
        raise EngineUserError(f"num_samples of {request.num_samples} is not in 1 … {MAX_SAMPLES}.")
    _check(params)
    check_top(request, base)
    prompt = reader.read(request.prompt, room=params.max_tokens or 1)
    room = base.context_length - prompt.length
    tokens, texts = _stops(params, base)
    return ReadRequest(request, prompt, params.max_tokens or room, tokens, texts)


def _check(params: SamplingParams) -> None:
    if params.max_tokens is not None and params.max_tokens < 1:
        raise EngineUserError(f"max_tokens of {params.max_tokens} leaves nothing to sample.")
    if not 0 <= params.temperature < float("inf"):
        raise EngineUserError(f"A temperature of {params.temperature} makes no sense.")
    if params.top_k < -1 or params.top_k == 0:
        raise EngineUserError(f"top_k of {params.top_k} must be -1 (no limit) or at least 1.")
    if not 0 < params.top_p <= 1:
        raise EngineUserError(f"top_p of {params.top_p} is not in (0, 1].")


def _stops(params: SamplingParams, base: BaseModel) -> tuple[frozenset[int], tuple[str, ...]]:
    """Tokens that stop, and texts that stop. A text that is one token of the vocabulary is that token."""
    if params.stop is None:
        return base.end_tokens, ()
    given = [params.stop] if isinstance(params.stop, str) else list(params.stop)
    tokens: set[int] = set()
    texts: list[str] = []
    vocabulary: dict[str, int] = base.tokenizer.get_added_vocab()
    for stop in given:
        if not isinstance(stop, str):
            tokens.add(int(stop))
        elif not stop:
            raise EngineUserError("An empty stop text would stop before it begins.")
        elif stop in vocabulary:
            tokens.add(vocabulary[stop])
        else:
            texts.append(stop)
    if any(not 0 <= token < base.vocabulary for token in tokens):
        raise EngineUserError("A stop token is out of the vocabulary.")
    return frozenset(tokens), tuple(texts)


def sample(
    base: BaseModel, network: Any, reads: Many[ReadRequest]
) -> list[SampleResult | EngineError]:
    """Answers requests that were read, in as few batches as memory allows.

    One for which the model's numbers aren't finite yields an error in its place.
    """
    results: list[SampleResult | EngineError] = []
    with torch.no_grad():
        for portion in _portions(reads, many_prompts=base.family.shares):
            results += _sample_portion(base, network, portion)
    return results


def _portions(reads: Many[ReadRequest], *, many_prompts: bool) -> list[list[ReadRequest]]:
    """Requests whose longest outcomes fit into memory together; at least one at a time.

    Args:
        many_prompts: whether different prompts may be answered together.
    """
    portions: list[list[ReadRequest]] = []
    positions = 0
    for read in reads:
        size = (read.prompt.length + read.max_tokens) * read.request.num_samples
        alike = many_prompts or not portions or portions[-1][0].prompt.key == read.prompt.key
        if not portions or not alike or positions + size > POSITIONS_AT_ONCE:
            portions.append([])
            positions = 0
        portions[-1].append(read)
        positions += size
    return portions


def _sample_portion(
    base: BaseModel, network: Any, reads: list[ReadRequest]
) -> list[SampleResult | EngineError]:
    head_of: dict[tuple[bytes, ...], int] = {}
    prompts: list[Sequence] = []
    heads_of_reads: list[int] = []
    for read in reads:
        head = head_of.setdefault(read.prompt.key, len(head_of))
        if head == len(prompts):
            prompts.append(read.prompt)
        heads_of_reads.append(head)
    heads = read_heads(base, prompts, network)
    asked = [
        _prompt_logprobs(base, network, heads, head, read.prompt)
        if read.request.prompt_logprobs
        else None
        for read, head in zip(reads, heads_of_reads, strict=True)
    ]
    tops = [
        _prompt_top(base, network, heads, head, read)
        for read, head in zip(reads, heads_of_reads, strict=True)
    ]
    running: list[_Running] = []
    for owner, (read, head) in enumerate(zip(reads, heads_of_reads, strict=True)):
        seed = read.request.params.seed
        seeds = np.random.SeedSequence(None if seed is None else [abs(seed), int(seed < 0)])
        running += [
            _Running(owner, head, read, np.random.default_rng(child))
            for child in seeds.spawn(read.request.num_samples)
        ]
    sequences = list(running)
    _decode(base, network, heads, prompts, running)
    return [
        _answer([one for one in sequences if one.owner == owner], asked[owner], tops[owner])
        for owner in range(len(reads))
    ]


def _answer(
    sequences: list[_Running],
    prompt_logprobs: list[float | None] | None,
    prompt_top: list[TopTokens | None] | None,
) -> SampleResult | EngineError:
    """What a request gets; nothing but a sentence where one of its numbers isn't finite."""
    said = [value for value in prompt_logprobs or () if value is not None]
    if any(one.is_broken for one in sequences) or not all(map(math.isfinite, said)):
        return EngineUserError(
            "The model answers this with NaN or infinity, so nothing can be sampled: its weights "
            "have diverged. Go on from an earlier checkpoint."
        )
    return SampleResult([one.finished() for one in sequences], prompt_logprobs, prompt_top)


def _prompt_logprobs(
    base: BaseModel, network: Any, heads: Heads, head: int, prompt: Sequence
) -> list[float | None]:
    """Log-probability of each prompt token after the first; None for images."""
    first = heads.first_H[head]
    hidden_T_D = heads.hidden_H_L_D[head, first : first + prompt.length - 1]
    said_L = np.where(
        prompt.tokens_L < base.vocabulary, prompt.tokens_L, 0
    )  # placeholders may not be
    target_T = tensor_of(said_L[1:], base.device)
    values = list_of(target_logprobs(base, hidden_T_D, target_T, network))
    return _without_images([None, *values], prompt)


def _prompt_top(
    base: BaseModel, network: Any, heads: Heads, head: int, read: ReadRequest
) -> list[TopTokens | None] | None:
    """The likeliest tokens at each position after the first, None for images; None if not asked for."""
    if not read.request.top_of_prompt:
        return None
    first = heads.first_H[head]
    hidden_T_D = heads.hidden_H_L_D[head, first : first + read.prompt.length - 1]
    found = top_of_prompt(base, hidden_T_D, read.request.top_of_prompt, network)
    return _without_images([None, *found], read.prompt)


def _without_images(values: list[T | None], prompt: Sequence) -> list[T | None]:
    for image in prompt.images:
        values[image.start : image.start + image.tokens] = [None] * image.tokens
    return values


def _decode(
    base: BaseModel,
    network: Any,
    heads: Heads,
    prompts: list[Sequence],
    running: list[_Running],
) -> None:
    """Samples token by token until every sequence has stopped; those that have leave the batch."""
    rows = torch.tensor([one.head for one in running], device=base.device)
    ends = [first + prompt.length - 1 for first, prompt in zip(heads.first_H, prompts, strict=True)]
    last_H = torch.tensor(ends, device=base.device)
    head_range = torch.arange(len(prompts), device=base.device)
    hidden_N_D = heads.hidden_H_L_D[head_range, last_H][rows]
    mask_N_L = heads.mask_H_L[rows]
    next_N = torch.tensor(heads.next_position_H, device=base.device)[rows]
    cache = heads.cache
    cache.reorder_cache(rows)
    with_room(cache)
    while True:
        token_N = _draw(logprobs(base, hidden_N_D, network), running, base)
        kept = [row for row, one in enumerate(running) if one.stop_reason is None]
        if not kept:
            return
        if len(kept) < len(running):
            keep = torch.tensor(kept, device=base.device)
            running = [running[row] for row in kept]
            token_N, mask_N_L, next_N = token_N[keep], mask_N_L[keep], next_N[keep]
            cache.reorder_cache(keep)
        mask_N_L = torch.cat([mask_N_L, mask_N_L.new_ones(len(running), 1)], dim=1)
        positions = next_N.expand(3, -1)[:, :, None]
        hidden_N_D = base.family.go_on(network, cache, token_N[:, None], positions, mask_N_L)[:, -1]
        next_N = next_N + 1


def _draw(logprob_N_V: torch.Tensor, running: list[_Running], base: BaseModel) -> torch.Tensor:
    """The next token of each row, noted with its log-probability at temperature 1."""
    token_N = choose(
        logprob_N_V,
        [one.read.request.params for one in running],
        [one.uniform() for one in running],
        base.unspeakable_V,
    )
    chosen_N = logprob_N_V.gather(1, token_N[:, None])[:, 0]
    # Where every number is NaN, whatever stands last is drawn: an image's placeholder, perhaps.
    logprobs_N: list[float] = list_of(chosen_N.masked_fill(base.unspeakable_V[token_N], torch.nan))
    tokens: list[int] = list_of(token_N)
    if most := max(one.read.request.top_sampled for one in running):
        for one, top in zip(running, top_tokens(logprob_N_V, most), strict=True):
            one.top.append(top[: one.read.request.top_sampled])
    for one, token, logprob in zip(running, tokens, logprobs_N, strict=True):
        one.tokens.append(token)
        one.logprobs.append(logprob)
        if not math.isfinite(logprob):
            one.is_broken, one.stop_reason = True, "stop"
        elif token in one.read.stop_tokens or (
            one.read.stop_texts and _ends_in_stop_text(one, base)
        ):
            one.stop_reason = "stop"
        elif len(one.tokens) >= one.read.max_tokens:
            one.stop_reason = "length"
    return token_N


def _ends_in_stop_text(one: _Running, base: BaseModel) -> bool:
    text: str = base.tokenizer.decode(one.tokens[-_STOP_TAIL_TOKENS:])
    return any(stop in text for stop in one.read.stop_texts)


def choose(
    logprob_N_V: torch.Tensor,
    params: Many[SamplingParams],
    uniform_N: Many[float],
    unspeakable_V: torch.Tensor,
) -> torch.Tensor:
    """One token a row: the likeliest at temperatures below `GREEDY_BELOW`, otherwise by inverting the
    distribution at `uniform`.

    A row's token depends on nothing but that row. top_k and top_p cut the distribution at the row's
    temperature, and keep tokens that tie with the last one kept (top_k). Tokens marked in
    `unspeakable_V` are drawn at no temperature.
    """
    kinds = list({id(one): one for one in params}.values())  # rows of one request share theirs
    is_greedy = [_is_greedy(one) for one in kinds]
    if all(is_greedy):
        return logprob_N_V.argmax(-1)
    if all(one.temperature == 1 and one.top_k == -1 and one.top_p == 1 for one in kinds):
        weight_N_V = logprob_N_V.exp().masked_fill_(unspeakable_V, 0.0)
    else:
        weight_N_V = _weights(logprob_N_V, params, unspeakable_V)
    device = logprob_N_V.device
    sum_N_V = weight_N_V.cumsum(-1, dtype=torch.float64)
    total_N = sum_N_V[:, -1]
    # Below the total even where the product rounds up: nothing behind the last weight is drawn.
    at_N = torch.minimum(
        torch.tensor(list(uniform_N), device=device, dtype=torch.float64) * total_N,
        total_N.nextafter(torch.zeros_like(total_N)),
    )
    drawn_N = torch.searchsorted(sum_N_V, at_N[:, None], right=True)[:, 0]
    drawn_N = drawn_N.clamp(max=logprob_N_V.shape[1] - 1)
    if not any(is_greedy):
        return drawn_N
    greedy_N = torch.tensor([_is_greedy(one) for one in params], device=device)
    return torch.where(greedy_N, logprob_N_V.argmax(-1), drawn_N)


def _weights(
    logprob_N_V: torch.Tensor, params: Many[SamplingParams], unspeakable_V: torch.Tensor
) -> torch.Tensor:
    """How likely each token is at its row's temperature, float64; 0 where top_k or top_p cut it off."""
    hot = [replace(one, temperature=1.0) if _is_greedy(one) else one for one in params]
    temperature_N = torch.tensor(
        [one.temperature for one in hot], device=logprob_N_V.device, dtype=torch.float64
    )
    # Masked once more after the division, which makes the finite mask in the logits vanish when hot.
    scaled_N_V = (logprob_N_V.double() / temperature_N[:, None]).masked_fill(
        unspeakable_V, -torch.inf
    )
    for row, one in enumerate(hot):
        if 0 < one.top_k < scaled_N_V.shape[1]:
            least = scaled_N_V[row].topk(one.top_k).values[-1]
            scaled_N_V[row] = scaled_N_V[row].masked_fill(scaled_N_V[row] < least, -torch.inf)
    weight_N_V = scaled_N_V.softmax(-1)
    for row, one in enumerate(hot):
        if one.top_p < 1:
            weight_N_V[row] = _nucleus(weight_N_V[row], one.top_p)
    return weight_N_V


def _is_greedy(params: SamplingParams) -> bool:
    return params.temperature < GREEDY_BELOW


def _nucleus(weight_V: torch.Tensor, top_p: float) -> torch.Tensor:
    """The fewest likeliest tokens that reach `top_p` together; the rest become 0."""
    ordered, order = weight_V.sort(descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    kept = torch.where(before < top_p, ordered, 0.0)
    return torch.zeros_like(weight_V).scatter(0, order, kept)
