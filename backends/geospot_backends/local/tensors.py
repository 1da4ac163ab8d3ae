"""The few functions on tensors that have no usable types."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from geospot_backends.local.api import EngineUserError
from geospot_backends.local.untyped import untyped


def tensor_of(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """A tensor on the device, with the array's type."""
    return untyped("torch").from_numpy(np.ascontiguousarray(array)).to(device)


def again_for_gradient(function: Any, *arguments: Any) -> Any:
    """Calls a function without keeping what it computes on the way; the gradient computes it again."""
    return untyped("torch.utils.checkpoint").checkpoint(function, *arguments, use_reentrant=False)


def list_of(tensor_N: torch.Tensor) -> list[Any]:
    """The tensor's numbers."""
    tensor: Any = tensor_N
    return tensor.tolist()


@contextmanager
def writing_tensors() -> Generator[None]:
    """Where the disk doesn't take weights, the block raises OSError; safetensors has an error of its own."""
    errors: Any = untyped("safetensors").SafetensorError
    try:
        yield
    except errors as error:
        raise OSError(str(error)) from error


def save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Writes a safetensors file. Raises OSError where the disk doesn't take it."""
    with writing_tensors():
        untyped("safetensors.torch").save_file(tensors, str(path), metadata={"format": "pt"})


def load_tensors(path: Path, device: torch.device) -> dict[str, torch.Tensor]:
    """What a safetensors file of a checkpoint holds. Raises EngineUserError where it can't be read."""
    errors: Any = untyped("safetensors").SafetensorError
    try:
        return untyped("safetensors.torch").load_file(str(path), device=str(device))
    except (OSError, errors) as error:
        raise EngineUserError(f"The file {path.name} of the checkpoint can't be read.") from error
