"""Supervised examples as the datums that a training client takes."""

from typing import Any

import numpy as np
from tinker import types


def shifted(model_input: types.ModelInput, weights: Any) -> types.Datum:
    """The example as a datum: position i predicts token i + 1. It must end in text."""
    ids: list[int] = []
    for chunk in model_input.chunks:
        text = isinstance(chunk, types.EncodedTextChunk)
        ids += chunk.tokens if text else [0] * chunk.length
    last = model_input.chunks[-1]
    assert isinstance(last, types.EncodedTextChunk)
    short = types.EncodedTextChunk(tokens=list(last.tokens)[:-1])
    arrays: dict[str, Any] = {
        "target_tokens": np.array(ids[1:]),
        "weights": np.asarray(weights, dtype=np.float32)[1:],
    }
    chunks = [*model_input.chunks[:-1], short]
    return types.Datum(model_input=types.ModelInput(chunks=chunks), loss_fn_inputs=arrays)
