"""One forward (and backward) pass over many datums, a part at a time."""

from collections.abc import Iterable
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from geospot_backends.local.api import Datum, DatumOutput, EngineUserError, ForwardBackwardResult
from geospot_backends.local.forward import Group, find_groups, read_groups, target_logprobs
from geospot_backends.local.inputs import InputReader, check_tokens
from geospot_backends.local.losses import Loss, LossInputs, read_inputs, stack
from geospot_backends.local.models import BaseModel
from geospot_backends.local.sequences import Sequence
from geospot_backends.local.tensors import tensor_of
from geospot_backends.local.weights import Weights

TOKENS_A_PASS: Final = 16_384
"""Positions in one pass, padding counted; more are read in several passes whose gradients add up."""


@dataclass(frozen=True, slots=True)
class ReadDatum:
    """A datum that was checked."""

    sequence: Sequence
    inputs: LossInputs


def read_datums(
    reader: InputReader, base: BaseModel, datums: Many[Datum], loss: Loss
) -> list[ReadDatum]:
    """Checks every datum before anything is computed.

    Raises:
        EngineUserError: with the number of the datum that can't be used.
    """
    if not datums:
        raise EngineUserError("There are no datums.")
    read: list[ReadDatum] = []
    for number, datum in enumerate(datums):
        try:
            sequence = reader.read(datum.chunks)
            inputs = read_inputs(datum, sequence.length, loss)
            check_tokens(inputs.target_tokens, base)
            silent_N = base.unspeakable_V.cpu().numpy()[inputs.target_tokens]
            if (inputs.coefficients[silent_N] != 0).any():
                raise EngineUserError(
                    "A target with weight is an image placeholder or unused token."
                )
        except EngineUserError as error:
            raise EngineUserError(f"Datum {number}: {error.message}") from error
        read.append(ReadDatum(sequence, inputs))
    return read


def run(
    base: BaseModel,
    network: Any,
    weights: Weights,
    datums: Many[ReadDatum],
    loss: Loss,
    *,
    backward: bool,
) -> tuple[ForwardBackwardResult, list[torch.Tensor]]:
    """Log-probabilities, the summed loss and its gradient for each of the weights (if `backward`).

    Raises:
        EngineUserError: the loss isn't finite.
    """
    outputs: dict[int, DatumOutput] = {}
    trained = list(weights.values()) if backward else []
    gradients = [torch.zeros_like(weight) for weight in trained]
    total = 0.0
    for groups in _passes(_groups(base, datums), datums, at_once=base.family.shares):
        members = [index for group in groups for index in group.members]
        with torch.set_grad_enabled(backward):
            logprob_T, summed = _one_pass(base, network, datums, groups, members, loss)
        value = float(summed.detach())
        if not np.isfinite(value):
            raise EngineUserError(
                "The loss isn't finite: log-probabilities or advantages are too far off."
            )
        total += value
        if backward and summed.requires_grad:
            parts: Any = torch.autograd.grad(summed, trained, allow_unused=True)
            for gradient, part in zip(gradients, parts, strict=True):
                if part is not None:
                    gradient += part
        rest: npt.NDArray[np.float32] = logprob_T.detach().cpu().numpy()
        for index in members:
            length = datums[index].sequence.length
            outputs[index] = DatumOutput(rest[:length].copy())
            rest = rest[length:]
    ordered = [outputs[index] for index in range(len(datums))]
    return ForwardBackwardResult(ordered, {"loss:sum": total}), gradients


def _one_pass(
    base: BaseModel,
    network: Any,
    datums: Many[ReadDatum],
    groups: Many[Group],
    members: Many[int],
    loss: Loss,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of all targets, end to end in the order of `members`, and the loss."""
    hidden = read_groups(base, [datum.sequence for datum in datums], groups, network)
    inputs = [datums[index].inputs for index in members]
    row_T = np.concatenate(hidden.row_of)
    target_T = np.concatenate([one.target_tokens for one in inputs])
    coefficient_T, sampler_T = stack(inputs, base.device)
    trained_T = np.concatenate([one.coefficients for one in inputs]) != 0
    where_T = tensor_of(trained_T, base.device)
    logprob_T = torch.empty(len(target_T), device=base.device)
    with torch.no_grad():
        logprob_T[~where_T] = _reported(
            base, network, hidden.rows_R_D, row_T[~trained_T], target_T[~trained_T]
        )
    row_U = tensor_of(row_T[trained_T], base.device)
    target_U = tensor_of(target_T[trained_T], base.device)
    trained_U = target_logprobs(base, hidden.rows_R_D[row_U], target_U, network)
    logprob_T[where_T] = trained_U.detach()
    sampler_U = None if sampler_T is None else sampler_T[where_T]
    return logprob_T, loss(trained_U, coefficient_T[where_T], sampler_U)


def _reported(
    base: BaseModel,
    network: Any,
    hidden_R_D: torch.Tensor,
    row_T: npt.NDArray[np.int64],
    target_T: npt.NDArray[np.int64],
) -> torch.Tensor:
    """Log-probabilities of positions without weight; each pair of row and target is computed once.

    They are most of a shared head, and alike for all that share it.
    """
    pair_U, where_T = np.unique(row_T * base.vocabulary + target_T, return_inverse=True)
    if not len(pair_U):
        return torch.empty(0, device=base.device)
    row_U, target_U = np.divmod(pair_U, base.vocabulary)
    logprob_U = target_logprobs(
        base,
        hidden_R_D[tensor_of(row_U, base.device)],
        tensor_of(target_U, base.device),
        network,
    )
    return logprob_U[tensor_of(where_T, base.device)]


def _groups(base: BaseModel, datums: Many[ReadDatum]) -> list[Group]:
    if not base.family.shares:
        return [Group([index], 0) for index in range(len(datums))]
    return find_groups([datum.sequence for datum in datums])


def _passes(
    groups: Many[Group], datums: Many[ReadDatum], *, at_once: bool
) -> Iterable[list[Group]]:
    """The groups in portions that fit into one pass; a group too large for one is divided.

    Args:
        at_once: whether a pass may hold more than one group.
    """
    portion: list[Group] = []
    for group in _divided(groups, datums):
        if portion and (not at_once or _positions([*portion, group], datums) > TOKENS_A_PASS):
            yield portion
            portion = []
        portion.append(group)
    if portion:
        yield portion


def _divided(groups: Many[Group], datums: Many[ReadDatum]) -> Iterable[Group]:
    for group in groups:
        longest = max(datums[index].sequence.length for index in group.members)
        tail = max(1, longest - group.shared)
        size = max(1, (TOKENS_A_PASS - group.shared) // tail)
        for first in range(0, len(group.members), size):
            yield Group(group.members[first : first + size], group.shared)


def _positions(groups: Many[Group], datums: Many[ReadDatum]) -> int:
    """Positions of heads and tails when each is padded to the longest."""
    lengths = {index: datums[index].sequence.length for group in groups for index in group.members}
    heads = [group.shared or lengths[group.members[0]] for group in groups]
    tails = [lengths[i] - group.shared for group in groups if group.shared for i in group.members]
    return len(heads) * max(heads) + len(tails) * max(tails, default=0)
