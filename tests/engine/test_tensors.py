"""Weights that can't be written are an OSError, as every other file is."""

from pathlib import Path

import pytest
import torch

from geospot_backends.local.tensors import load_tensors, save_tensors, writing_tensors


def test_a_place_that_takes_nothing(tmp_path: Path) -> None:
    weights = {"a": torch.zeros(10)}
    with pytest.raises(OSError, match="No such file or directory"):
        save_tensors(weights, tmp_path / "gone" / "a.safetensors")
    save_tensors(weights, tmp_path / "a.safetensors")
    assert load_tensors(tmp_path / "a.safetensors", torch.device("cpu"))["a"].shape == (10,)


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(KeyError), writing_tensors():
        raise KeyError("no weight of this name")
