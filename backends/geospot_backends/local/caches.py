"""What a model remembers of positions it has read: keys and values, and states of linear attention."""

import copy
from functools import cache
from typing import Any, Final

import torch

from geospot_backends.local.untyped import untyped

_STATES: Final = (
    "conv_states",
    "recurrent_states",
    "is_conv_states_initialized",
    "is_recurrent_states_initialized",
)
"""What a layer of linear attention keeps, in dictionaries whose values are replaced."""

_ROOM: Final = 64
"""Positions for which room is made at least."""


def has_linear_attention(network: Any) -> bool:
    """Whether some layers keep a recurrent state instead of keys and values (Gated DeltaNet)."""
    return "linear_attention" in (getattr(_text_config(network), "layer_types", None) or ())


def new_cache(network: Any) -> Any:
    """An empty cache for the network's text model; `reorder_cache` repeats its rows.

    transformers overwrites recurrent states in place, which autograd doesn't allow where a state was
    read for a gradient; so here each new state replaces the old one.
    """
    made = untyped("transformers").DynamicCache(config=_text_config(network))
    plain: Any = untyped("transformers.cache_utils").LinearAttentionLayer
    made.layers = [
        _replacing_layer()(layer.number_of_states) if type(layer) is plain else layer
        for layer in made.layers
    ]
    return made


def fork(cache: Any) -> Any:
    """A cache that goes on from what this one remembers, and leaves it as it is."""
    made = copy.copy(cache)
    made.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in made.layers:
        for name in _STATES:
            if hasattr(layer, name):
                setattr(layer, name, dict(getattr(layer, name)))
    return made


def with_room(cache: Any) -> None:
    """Lets keys and values grow in place, where they would be copied for each token.

    Nothing that was forked from the cache may be in use any more, and no gradient is kept.
    """
    plain: Any = untyped("transformers.cache_utils").DynamicLayer
    for layer in cache.layers:
        if type(layer) is plain and layer.is_initialized:
            end = layer.keys.shape[-2]
            layer.__class__ = _roomy_layer()
            layer.room = (_larger(layer.keys, end), _larger(layer.values, end))


def masks_padded_left(mask_H_L: torch.Tensor) -> dict[str, torch.Tensor]:
    """Masks for both kinds of layers where sequences are padded on the left.

    In full attention a position of padding attends to itself: a row that attends to nothing has no
    softmax, and some kernels return NaN for it.
    """
    length = mask_H_L.shape[1]
    causal_L_L = torch.ones(length, length, dtype=torch.bool, device=mask_H_L.device).tril()
    itself_L_L = torch.eye(length, dtype=torch.bool, device=mask_H_L.device)
    full = (causal_L_L & mask_H_L.bool()[:, None, None, :]) | itself_L_L
    return {"full_attention": full, "linear_attention": mask_H_L}


def _text_config(network: Any) -> Any:
    return network.config.get_text_config()


@cache
def _replacing_layer() -> Any:
    """The class, made when transformers is first needed."""
    plain: Any = untyped("transformers.cache_utils").LinearAttentionLayer

    def update(
        self: Any, recurrent_states: torch.Tensor, state_idx: int = 0, **_: Any
    ) -> torch.Tensor:
        self.recurrent_states[state_idx] = recurrent_states
        self.is_recurrent_states_initialized[state_idx] = True
        return recurrent_states

    return type("ReplacedStates", (plain,), {"update_recurrent_state": update})


@cache
def _roomy_layer() -> Any:
    """The class, made when transformers is first needed. `room` are two buffers, (N, H, more, D)."""
    plain: Any = untyped("transformers.cache_utils").DynamicLayer

    def update(
        self: Any, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        if end > self.room[0].shape[-2]:
            self.room = (_larger(self.keys, end), _larger(self.values, end))
        for buffer, states in zip(self.room, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.room)
        return self.keys, self.values

    def reorder_cache(self: Any, beam_idx: torch.Tensor) -> None:
        length = self.keys.shape[-2]
        self.room = tuple(buffer.index_select(0, beam_idx) for buffer in self.room)
        self.keys, self.values = (buffer[:, :, :length] for buffer in self.room)

    return type("RoomyLayer", (plain,), {"update": update, "reorder_cache": reorder_cache})


def _larger(states: torch.Tensor, end: int) -> torch.Tensor:
    """A buffer that begins with these states and has room up to `end` and beyond."""
    count, heads, length, width = states.shape
    buffer = states.new_empty(count, heads, end + max(_ROOM, end // 2), width)
    buffer[:, :, :length] = states
    return buffer
