"""The parts of a text model with their gradients written out: few passes over memory, few calls.

All take rows: matrices (T, D) in float32 on a CPU. What torch would keep of every step on the way is kept
once, or computed again.
"""

from typing import Any, Final

import torch

from geospot_backends.local.products import product

_LOGITS_AT_ONCE: Final = 1 << 18
"""They stay in a core's own cache; but of a large vocabulary at least this many rows are made at once:"""
_ROWS_AT_ONCE: Final = 64


def _with_gradient(function: Any, *arguments: Any) -> torch.Tensor:
    made: torch.Tensor = function.apply(*arguments)
    return made


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_T_D: torch.Tensor, weight_E_D: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x_T_D, weight_E_D)
        return product(x_T_D, weight_E_D.t())

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        x_T_D, weight_E_D = ctx.saved_tensors
        (grad_T_E,) = grads
        return product(grad_T_E, weight_E_D), _weight_gradient(grad_T_E, x_T_D)


def linear(x_T_D: torch.Tensor, weight_E_D: torch.Tensor) -> torch.Tensor:
    """Rows times the transposed weight."""
    if not torch.is_grad_enabled():
        return product(x_T_D, weight_E_D.t())
    return _with_gradient(_Linear, x_T_D, weight_E_D)


def quick_linear(module: Any, x: torch.Tensor) -> torch.Tensor:
    """What a `torch.nn.Linear` computes."""
    rows = linear(x.reshape(-1, x.shape[-1]), module.weight)
    rows = rows if module.bias is None else rows + module.bias
    return rows.view(*x.shape[:-1], -1)


def _weight_gradient(grad_T_E: torch.Tensor, x_T_D: torch.Tensor) -> torch.Tensor:
    return product(grad_T_E.t(), x_T_D)


def _norm(
    x_T_D: torch.Tensor, weight_D: torch.Tensor, epsilon: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows at a root mean square of 1, times the weight; and what each was multiplied with."""
    scale_T_I = x_T_D.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
    return (x_T_D * scale_T_I).mul_(weight_D), scale_T_I


def _norm_gradient(
    grad_T_D: torch.Tensor, x_T_D: torch.Tensor, weight_D: torch.Tensor, scale_T_I: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of the rows and of the weight."""
    both_T_D = grad_T_D * x_T_D
    turn_T = both_T_D @ weight_D
    weight_grad_D = scale_T_I[:, 0] @ both_T_D
    pull_T_I = turn_T[:, None].mul_(scale_T_I.pow(3)).div_(-x_T_D.shape[1])
    row_grad_T_D = torch.mul(grad_T_D, weight_D, out=both_T_D).mul_(scale_T_I)
    return row_grad_T_D.addcmul_(x_T_D, pull_T_I), weight_grad_D


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_T_D: torch.Tensor, weight_D: torch.Tensor, epsilon: float
    ) -> torch.Tensor:
        out_T_D, scale_T_I = _norm(x_T_D, weight_D, epsilon)
        ctx.save_for_backward(x_T_D, weight_D, scale_T_I)
        return out_T_D

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return (*_norm_gradient(grads[0], *ctx.saved_tensors), None)


def rms_norm(x_T_D: torch.Tensor, weight_D: torch.Tensor, epsilon: float) -> torch.Tensor:
    """See `_norm`."""
    if not torch.is_grad_enabled():
        return _norm(x_T_D, weight_D, epsilon)[0]
    return _with_gradient(_RMSNorm, x_T_D, weight_D, epsilon)


def _turn(
    x_N_L_H_D: torch.Tensor, cos_N_L_I_D: torch.Tensor, sin_N_L_I_D: torch.Tensor, way: int
) -> torch.Tensor:
    """Turns the pairs (i, i + D/2) by their angles, or back (`way` -1)."""
    half = x_N_L_H_D.shape[-1] // 2
    out = torch.mul(x_N_L_H_D, cos_N_L_I_D, out=torch.empty(x_N_L_H_D.shape))
    out[..., :half].addcmul_(x_N_L_H_D[..., half:], sin_N_L_I_D[..., :half], value=-way)
    out[..., half:].addcmul_(x_N_L_H_D[..., :half], sin_N_L_I_D[..., half:], value=way)
    return out


class _NormTurn(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight_H_D: torch.Tensor,
        epsilon: float,
        cos: torch.Tensor,
        sin: torch.Tensor,
    ) -> torch.Tensor:
        normed, scale = _norm(x, weight_H_D, epsilon)
        ctx.save_for_backward(x, weight_H_D, scale, cos, sin)
        return _turn(normed, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        x, weight_H_D, scale, cos, sin = ctx.saved_tensors
        grad = _turn(grads[0], cos, sin, -1)
        both = grad * x
        weight_grad_H_D = (both * scale).sum((0, 1))
        pull = both.mul_(weight_H_D).mean(-1, keepdim=True).mul_(scale.pow(3)).neg_()
        x_grad = grad.mul_(weight_H_D).mul_(scale).addcmul_(x, pull)
        return x_grad, weight_grad_H_D, None, None, None


def norm_and_turn(
    x_N_L_H_D: torch.Tensor,
    weight_H_D: torch.Tensor,
    epsilon: float,
    turn: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """RMS norm of each head, then its rotation by `turn`: cosines and sines (N, L, 1, D)."""
    if not torch.is_grad_enabled():
        return _turn(_norm(x_N_L_H_D, weight_H_D, epsilon)[0], *turn, 1)
    return _with_gradient(_NormTurn, x_N_L_H_D, weight_H_D, epsilon, *turn)


class _GatedSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, joined_T_F: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(joined_T_F)
        return _gated_silu(joined_T_F)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (joined_T_F,) = ctx.saved_tensors
        gate_T_E, up_T_E = joined_T_F.chunk(2, dim=1)
        out = torch.empty_like(joined_T_F)
        width = gate_T_E.shape[1]
        kernels: Any = torch.ops.aten
        kernels.silu_backward.grad_input(grads[0] * up_T_E, gate_T_E, grad_input=out[:, :width])
        torch.mul(torch.nn.functional.silu(gate_T_E), grads[0], out=out[:, width:])
        return out


def _gated_silu(joined_T_F: torch.Tensor) -> torch.Tensor:
    gate_T_E, up_T_E = joined_T_F.chunk(2, dim=1)
    return torch.nn.functional.silu(gate_T_E).mul_(up_T_E)


def gated_silu(joined_T_F: torch.Tensor) -> torch.Tensor:
    """SiLU of the first half of the columns times the second half."""
    if not torch.is_grad_enabled():
        return _gated_silu(joined_T_F)
    return _with_gradient(_GatedSilu, joined_T_F)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        share = _shares(q, k, mask, scale)
        ctx.save_for_backward(q, k, v, share)
        ctx.scale = scale
        return product(share, v)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        q, k, v, share = ctx.saved_tensors
        kernels: Any = torch.ops.aten
        grad = grads[0]
        pull = kernels._softmax_backward_data(
            product(grad, v.transpose(-1, -2)), share, -1, torch.float32
        ).mul_(ctx.scale)
        return (
            product(pull, k),
            product(pull.transpose(-1, -2), q),
            product(share.transpose(-1, -2), grad),
            None,
            None,
        )


def _shares(
    q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> torch.Tensor:
    score = product(q, k.transpose(-1, -2)).mul_(scale)
    return (score if mask is None else score.add_(mask)).softmax(-1)


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> torch.Tensor:
    """Attention of queries (N, G, L, D) to keys and values (N, G, K, D).

    Args:
        mask: added to the scores; None leaves them.
        scale: what scores are multiplied with.
    """
    if not torch.is_grad_enabled():
        return product(_shares(q, k, mask, scale), v)
    return _with_gradient(_Attend, q, k, v, mask, scale)


def _parts(count: int, vocabulary: int) -> list[slice]:
    size = max(_ROWS_AT_ONCE, _LOGITS_AT_ONCE // vocabulary)
    return [slice(first, first + size) for first in range(0, count, size)]


class _TargetLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_T_D: torch.Tensor,
        weight_V_D: torch.Tensor,
        target_T: torch.Tensor,
        masked: torch.Tensor,
        fill: float,
    ) -> torch.Tensor:
        logprob_T = hidden_T_D.new_empty(len(target_T))
        top_T_I = hidden_T_D.new_empty(len(target_T), 1)
        rest_T_I = hidden_T_D.new_empty(len(target_T), 1)
        for part in _parts(len(target_T), len(weight_V_D)):
            logit_V = product(hidden_T_D[part], weight_V_D.t()).index_fill_(1, masked, fill)
            top_T_I[part] = logit_V.amax(1, keepdim=True)
            logit_V -= top_T_I[part]  # before anything is added to it: less is rounded away
            logprob_T[part] = logit_V.gather(1, target_T[part, None])[:, 0]
            rest_T_I[part] = logit_V.exp_().sum(1, keepdim=True).log_()
        ctx.save_for_backward(hidden_T_D, weight_V_D, target_T, masked, top_T_I, rest_T_I)
        return logprob_T.sub_(rest_T_I[:, 0])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        hidden_T_D, weight_V_D, target_T, masked, top_T_I, rest_T_I = ctx.saved_tensors
        grad_T_I = grads[0][:, None]
        hidden_grad_T_D = torch.empty_like(hidden_T_D)
        weight_grad_V_D = torch.zeros_like(weight_V_D)
        total_T_I = top_T_I + rest_T_I
        for part in _parts(len(target_T), len(weight_V_D)):
            logit_V = product(hidden_T_D[part], weight_V_D.t())
            pull_V = logit_V.sub_(total_T_I[part]).exp_().mul_(-grad_T_I[part])
            pull_V.scatter_add_(1, target_T[part, None], grad_T_I[part])
            pull_V.index_fill_(1, masked, 0.0)
            hidden_grad_T_D[part] = product(pull_V, weight_V_D)
            weight_grad_V_D += product(pull_V.t(), hidden_T_D[part])
        return hidden_grad_T_D, weight_grad_V_D, None, None, None


def target_logprobs(
    hidden_T_D: torch.Tensor,
    weight_V_D: torch.Tensor,
    target_T: torch.Tensor,
    masked: torch.Tensor,
    fill: float,
) -> torch.Tensor:
    """Log-probability of each target under the softmax of hidden states times the transposed weight.

    Logits are made a few rows at a time, and again for the gradient.

    Args:
        masked: indices whose logit is `fill`.
    """
    return _with_gradient(_TargetLogprobs, hidden_T_D, weight_V_D, target_T, masked, fill)
