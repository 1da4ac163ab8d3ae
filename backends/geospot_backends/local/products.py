"""Matrix products in float32 on one thread of a CPU, by the faster of the two libraries at hand.

torch's wheels multiply with MKL, which leaves the AVX-512 of AMD's processors alone; OpenBLAS, which comes
with numpy's, doesn't. On a core of Zen 5 that is 230 instead of 110 billion operations a second.
"""

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "1")
"""What the process must have been started with: the library reads it once, and else takes all cores."""

_PROCESSORS: Final = Path("/proc/cpuinfo")
"""Where Linux describes the processors."""


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The product of two matrices, or of each two in two stacks of them; without a gradient."""
    if not _BY_NUMPY or torch.get_num_threads() != 1:
        return a.detach() @ b.detach()
    out = torch.empty(*a.shape[:-1], b.shape[-1])
    np.matmul(_array(a), _array(b), out=_array(out))
    return out


def _array(tensor: Any) -> Any:
    return tensor.detach().numpy()


def _is_faster() -> bool:
    """Whether numpy multiplies faster here than torch, on one thread as well."""
    blas: Any = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return (
        os.environ.get(_ONE_THREAD[0]) == _ONE_THREAD[1]
        and "openblas" in str(blas.get("name"))
        and _PROCESSORS.is_file()
        and "AuthenticAMD" in _PROCESSORS.read_text(encoding="utf-8", errors="replace")
    )


_BY_NUMPY: Final = _is_faster()
