"""The few torch functions that have no usable types."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

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
