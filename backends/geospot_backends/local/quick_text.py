"""The text model of a small Qwen3-VL on a CPU, with little between its matrix products.

transformers' own code stays the reference, and serves whatever isn't exactly this: another architecture,
an adapter's layers, other numbers than float32. In a model whose layers take a tenth of a millisecond most
of its time goes elsewhere: into dispatch, copies of keys, and what is kept for the gradient.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch

from geospot_backends.local import quick_ops as ops

_ATTENTION: Final = ("q_proj", "k_proj", "v_proj", "o_proj")
_MLP: Final = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class _Layer:
    """Weights of one layer; those that are multiplied with the same rows are one matrix."""

    qkv: torch.Tensor
    out: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor
    norms: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    """Before attention; of each head of queries and keys, one row each; before the MLP."""


def make_quick(network: Any) -> None:
    """Has a network computed here from now on, if it can be. No adapter may be put into it later."""
    network.geospot_quick = _is_plain(network)


def is_quick(network: Any) -> bool:
    """Whether the network was made quick: `go_on` computes what its text model does."""
    quick: bool = getattr(network, "geospot_quick", False)
    return quick


def _is_plain(network: Any) -> bool:
    """Whether all is as expected here: bare matrices of float32 on a CPU."""
    if type(network).__name__ != "Qwen3VLForConditionalGeneration":
        return False
    text = network.model.language_model
    matrices: list[Any] = [network.lm_head]
    for layer in text.layers:
        matrices += [getattr(layer.self_attn, name) for name in _ATTENTION]
        matrices += [getattr(layer.mlp, name) for name in _MLP]
    return (
        all(type(one) is torch.nn.Linear and getattr(one, "bias", None) is None for one in matrices)
        and network.dtype == torch.float32
        and network.device.type == "cpu"
        and text.config.hidden_act == "silu"
        and text.config.rope_parameters["rope_type"] == "default"
    )


@dataclass(frozen=True, slots=True)
class Images:
    """What the vision tower says of P image positions."""

    where_P: torch.Tensor
    """Rows that they are, where all sequences stand end to end."""
    embedded_P_D: torch.Tensor
    deep: tuple[torch.Tensor, ...]
    """(P, D) each: added behind the first layers."""


def go_on(
    network: Any,
    cache: Any,
    tokens_N_L: torch.Tensor,
    positions_3_N_L: torch.Tensor,
    mask_N_K: torch.Tensor,
    images: Images | None = None,
) -> torch.Tensor:
    """Hidden states (N, L, D) of what follows that which the cache remembers; padding is on the right.

    Args:
        cache: grows by it; None where nothing is to be remembered.
        mask_N_K: 1 for positions, 0 for padding, of what is remembered and of the new tokens.
    """
    text = network.model.language_model
    count, length = tokens_N_L.shape
    x = torch.nn.functional.embedding(tokens_N_L, text.embed_tokens.weight).flatten(0, 1)
    if images is not None:
        x = x.index_copy(0, images.where_P, images.embedded_P_D)
    turn = _turn(text, x, positions_3_N_L)
    mask = _mask(mask_N_K, length, text.layers[0].self_attn.num_key_value_groups)
    for number, (weights, layer) in enumerate(zip(_layers(text), text.layers, strict=True)):
        before, both, after = weights.norms
        attention, epsilon = layer.self_attn, layer.input_layernorm.variance_epsilon
        qkv = ops.linear(ops.rms_norm(x, before, epsilon), weights.qkv)
        qkv = qkv.view(count, length, -1, attention.head_dim)
        qk = ops.norm_and_turn(qkv[:, :, : len(both)], both, epsilon, turn)
        v = qkv[:, :, len(both) :].transpose(1, 2)
        k = qk[:, :, -v.shape[1] :].transpose(1, 2)
        q = qk[:, :, : -v.shape[1]].transpose(1, 2)
        if cache is not None:
            k, v = cache.update(k, v, number)
        attended = _attend(q, k, v, mask, attention.scaling)
        x = x + ops.linear(attended.view(count * length, -1), weights.out)
        gated = ops.gated_silu(ops.linear(ops.rms_norm(x, after, epsilon), weights.gate_up))
        x = x + ops.linear(gated, weights.down)
        if images is not None and number < len(images.deep):
            x = x.index_add(0, images.where_P, images.deep[number])
    hidden = ops.rms_norm(x, text.norm.weight, text.norm.variance_epsilon)
    return hidden.view(count, length, -1)


def _turn(
    text: Any, x: torch.Tensor, positions_3_N_L: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (N, L, 1, D) of positions; from a table where those of an image aren't among them."""
    one_N_L = positions_3_N_L[0]
    if not bool((positions_3_N_L == one_N_L).all()):
        cos, sin = text.rotary_emb(x, positions_3_N_L)
        return cos[:, :, None], sin[:, :, None]
    known = getattr(text, "geospot_turns", None)
    last = int(one_N_L.max())
    if known is None or len(known[0]) <= last:
        every = torch.arange(2 * last + 1)
        known = text.geospot_turns = tuple(
            part[0] for part in text.rotary_emb(x, every.expand(3, 1, -1))
        )
    cos, sin = (torch.nn.functional.embedding(one_N_L, table) for table in known)
    return cos[:, :, None], sin[:, :, None]


def _layers(text: Any) -> list[_Layer]:
    """Joined weights; without a gradient those of the last call, as long as they are the same."""
    if torch.is_grad_enabled():
        return [_joined(layer) for layer in text.layers]
    first = text.layers[0].self_attn.q_proj.weight  # bound with all others, and changed with them
    known = getattr(text, "geospot_joined", None)
    if known is None or known[0] is not first or known[1] != first._version:
        known = text.geospot_joined = (
            first,
            first._version,
            [_joined(layer) for layer in text.layers],
        )
    made: list[_Layer] = known[2]
    return made


def _joined(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    heads = attention.q_proj.out_features // attention.head_dim
    shared = attention.k_proj.out_features // attention.head_dim
    return _Layer(
        torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]),
        attention.o_proj.weight,
        torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
        mlp.down_proj.weight,
        (
            layer.input_layernorm.weight,
            torch.cat(
                [
                    attention.q_norm.weight.expand(heads, -1),
                    attention.k_norm.weight.expand(shared, -1),
                ]
            ),
            layer.post_attention_layernorm.weight,
        ),
    )


def _mask(mask_N_K: torch.Tensor, length: int, repeated: int) -> torch.Tensor | None:
    """What is added to scores so that no query sees padding or what follows it; None where none would.

    Padding behind the new tokens follows every one of them. So where nothing before them is padding,
    all rows of the batch have the same mask.
    """
    keys = mask_N_K.shape[1]
    before_N_K = mask_N_K[:, : keys - length]
    seen = mask_N_K.bool()[:, None, None, :]
    if bool(before_N_K.all()):
        if length == 1:
            return None
        seen = seen.new_ones(keys)
    if length > 1:
        seen = torch.ones(length, keys, dtype=torch.bool).tril_(keys - length) & seen
    mask = torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf)
    return mask.repeat(*(1,) * (mask.dim() - 2), repeated, 1) if length > 1 else mask


def _attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> torch.Tensor:
    """Attention (N, L, H, D); queries that share keys stand behind one another, not the keys repeated."""
    count, heads, length, width = q.shape
    packed = q.reshape(count, k.shape[1], -1, width)
    out = ops.attend(packed, k, v, mask, scale)
    return out.view(count, heads, length, width).transpose(1, 2).reshape(count, length, -1)
