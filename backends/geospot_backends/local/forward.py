"""Forward passes that read a shared prefix once.

Sequences that begin alike (the rollouts of one prompt and image) are split into a head, which is read
once with its images, and tails, which attend to the head's keys and values and go on from its recurrent
states. It is exact, and gradients flow from every tail into the head.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from geospot_backends.local import quick_ops, quick_text
from geospot_backends.local.api import NO_LOGPROB
from geospot_backends.local.caches import fork
from geospot_backends.local.families import Heads
from geospot_backends.local.models import BaseModel
from geospot_backends.local.sequences import Sequence
from geospot_backends.local.tensors import again_for_gradient, tensor_of

_LOGITS_AT_ONCE: Final = 1 << 25
TAILS_AT_ONCE: Final = 32
"""Few enough that tails of like length stay together, and many enough to keep a processor busy."""
SHORTEST_SHARED: Final = 16
"""Sharing fewer positions than this isn't worth a second pass."""


def read_heads(
    base: BaseModel, sequences: Many[Sequence], network: Any, *, remember: bool = True
) -> Heads:
    """Reads H sequences with their images in one pass."""
    return base.family.read(network, sequences, remember=remember)


def read_tails(
    base: BaseModel, heads: Heads, tails: Many[tuple[int, Sequence, int]], network: Any
) -> torch.Tensor:
    """Hidden states (N, L, D) of N tails, each the rest of a sequence behind one of the heads.

    Args:
        tails: index of the head, the whole sequence, and the length of the head.
    """
    longest = max(sequence.length - start for _, sequence, start in tails)
    tokens = np.zeros((len(tails), longest), np.int64)
    positions = np.zeros((3, len(tails), longest), np.int64)
    mask = np.zeros((len(tails), longest), np.int64)
    for row, (_, sequence, start) in enumerate(tails):
        length = sequence.length - start
        tokens[row, :length] = sequence.tokens_L[start:]
        positions[:, row, :length] = sequence.positions_3_L[:, start:]
        mask[row, :length] = 1
    head_N = torch.tensor([head for head, _, _ in tails], device=base.device)
    cache = fork(heads.cache)
    cache.reorder_cache(head_N)
    mask_N_K = torch.cat([heads.mask_H_L[head_N], tensor_of(mask, base.device)], dim=1)
    return base.family.go_on(
        network,
        cache,
        tensor_of(tokens, base.device),
        tensor_of(positions, base.device),
        mask_N_K,
    )


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences with the first `shared` positions in common; 0 where each is read on its own."""

    members: list[int]
    shared: int


def find_groups(sequences: Many[Sequence]) -> list[Group]:
    """Which sequences share a beginning worth sharing: all their images, and text as far as it goes."""
    by_start: dict[tuple[bytes, ...], list[int]] = {}
    for index, sequence in enumerate(sequences):
        start = sequence.head(sequence.text_start or min(SHORTEST_SHARED, sequence.length))
        by_start.setdefault(start.key, []).append(index)
    groups: list[Group] = []
    for members in by_start.values():
        shared = _common_length([sequences[index].tokens_L for index in members])
        if len(members) > 1 and shared >= SHORTEST_SHARED:
            groups.append(Group(members, shared))
        else:
            groups += [Group([index], 0) for index in members]
    return groups


def _common_length(rows: Many[npt.NDArray[np.int64]]) -> int:
    """How many first tokens all rows have in common; each row keeps at least one for itself."""
    longest = min(len(row) for row in rows) - 1
    first = rows[0][:longest]
    differs = np.zeros(longest, np.bool_)
    for row in rows[1:]:
        differs |= row[:longest] != first
    return int(differs.argmax()) if differs.any() else longest


@dataclass(frozen=True, slots=True)
class Hidden:
    """Last hidden states of many sequences; those of a shared head are there once."""

    rows_R_D: torch.Tensor
    row_of: list[npt.NDArray[np.int64]]
    """For each sequence, in the order of `groups`' members, the row of each of its positions."""


def read_groups(
    base: BaseModel, sequences: Many[Sequence], groups: Many[Group], network: Any
) -> Hidden:
    """Hidden states of every position, in two passes: heads (and loners whole), then tails."""
    heads: list[Sequence] = []
    tails: list[tuple[int, Sequence, int]] = []
    places: list[tuple[int, int, int | None]] = []  # head, its length, tail
    for group in groups:
        for index in group.members:
            sequence = sequences[index]
            if group.shared == 0:
                heads.append(sequence)
                places.append((len(heads) - 1, sequence.length, None))
                continue
            if index == group.members[0]:
                heads.append(sequence.head(group.shared))
            places.append((len(heads) - 1, group.shared, len(tails)))
            tails.append((len(heads) - 1, sequence, group.shared))
    read = read_heads(base, heads, network, remember=bool(tails))
    width = read.hidden_H_L_D.shape[1]
    rows = [read.hidden_H_L_D.flatten(0, 1)]
    first_row_of_tail: dict[int, int] = {}
    end = len(heads) * width
    for portion in _of_like_length(tails):
        hidden_N_L_D = read_tails(base, read, [tails[tail] for tail in portion], network)
        rows.append(hidden_N_L_D.flatten(0, 1))
        for place, tail in enumerate(portion):
            first_row_of_tail[tail] = end + place * hidden_N_L_D.shape[1]
        end += rows[-1].shape[0]
    row_of: list[npt.NDArray[np.int64]] = []
    members = [index for group in groups for index in group.members]
    for index, (head, shared, tail) in zip(members, places, strict=True):
        parts = [head * width + read.first_H[head] + np.arange(shared)]
        if tail is not None:
            rest = sequences[index].length - shared
            parts.append(first_row_of_tail[tail] + np.arange(rest))
        row_of.append(np.concatenate(parts))
    return Hidden(torch.cat(rows), row_of)


def _of_like_length(tails: Many[tuple[int, Sequence, int]]) -> list[list[int]]:
    """Numbers of the tails in portions of similar length, so that little of a portion is padding."""
    by_length = sorted(range(len(tails)), key=lambda tail: tails[tail][1].length - tails[tail][2])
    return [by_length[at : at + TAILS_AT_ONCE] for at in range(0, len(tails), TAILS_AT_ONCE)]


def target_logprobs(
    base: BaseModel, hidden_T_D: torch.Tensor, target_T: torch.Tensor, network: Any
) -> torch.Tensor:
    """Log-probability of each target, float32, over what can be sampled.

    Logits of a large vocabulary are made a part at a time and made again for the gradient.
    """
    if quick_text.is_quick(network):
        masked = base.unspeakable_V.nonzero()[:, 0]
        weight_V_D = network.lm_head.weight
        return quick_ops.target_logprobs(hidden_T_D, weight_V_D, target_T, masked, NO_LOGPROB)
    at_once = max(1, _LOGITS_AT_ONCE // base.vocabulary)
    if len(target_T) <= at_once:
        return _target_logprobs(base, hidden_T_D, target_T, network)
    parts: list[torch.Tensor] = []
    for first in range(0, len(target_T), at_once):
        part = slice(first, first + at_once)
        arguments = (base, hidden_T_D[part], target_T[part], network)
        if torch.is_grad_enabled():
            parts.append(again_for_gradient(_target_logprobs, *arguments))
        else:
            parts.append(_target_logprobs(*arguments))
    return torch.cat(parts)


def _target_logprobs(
    base: BaseModel, hidden_T_D: torch.Tensor, target_T: torch.Tensor, network: Any
) -> torch.Tensor:
    logprob_T_V = logprobs(base, hidden_T_D, network)
    return logprob_T_V.gather(1, target_T[:, None])[:, 0]


def logprobs(base: BaseModel, hidden_T_D: torch.Tensor, network: Any) -> torch.Tensor:
    """Log-probabilities (T, V) of the next token, float32, over what can be sampled."""
    logit_T_V = base.family.logits(network, hidden_T_D)
    if not torch.is_grad_enabled():
        logit_T_V.masked_fill_(base.unspeakable_V, NO_LOGPROB)
    else:
        logit_T_V = logit_T_V.masked_fill(base.unspeakable_V, NO_LOGPROB)
    return logit_T_V.log_softmax(-1)
